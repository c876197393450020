"""Labels in headers, over a real socket, and by the function's own handler."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.chat_server import ChatServer, logged
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.tasks import SUM, serving_tasks

HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
OTHERS = {"user": {"id": 7}, "task": "summarise", "conversation_id": "theirs", "trace": "abc"}


def usage(chat: ChatServer, user: str) -> int:
    """How many requests are recorded for a user."""
    keys = [item for item in chat.aws.items("USAGE_TABLE") if f"#{user}" in json.dumps(item)]
    return len(keys)


def test_the_official_client_names_its_user_and_task_in_headers(chat: ChatServer, fake: FakeProvider) -> None:
    client = chat.openai(default_headers={"x-sluice-user": "ada", "x-sluice-task": "homework"})
    with logged() as lines:
        client.chat.completions.create(model="small", messages=HELLO, metadata={"user": "theirs", "task": "theirs too"})
        stream = client.chat.completions.create(model="small", messages=[*HELLO, *HELLO], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Hello there."
    assert [line["task"] for line in lines() if line["message"] == "request"] == ["homework", "homework"]
    assert usage(chat, "ada") == 1
    assert usage(chat, "theirs") == 0
    first, second = (request["body"] for request in fake.requests())
    assert first["metadata"] == {"user": "theirs", "task": "theirs too"}
    assert "metadata" not in second


@pytest.mark.parametrize(
    "metadata",
    [
        OTHERS,
        {"user": ["ada"], "task": None},
        {"user": 7},
        {"task": {"name": "summarise"}},
        {"task": "t" * 400},
        {"conversation_id": 12},
        {"user": "ada", "environment": "test"},
        {"task": "t", "tags": ["a"]},
        {"user": True},
        {"conversation_id": {"a": 1}, "user": "u"},
    ],
)
def test_a_client_s_own_metadata_passes_and_means_nothing_here(
    chat: ChatServer, fake: FakeProvider, metadata: Any
) -> None:
    answer = chat.post({"model": "small", "messages": HELLO, "metadata": metadata})
    assert answer.status_code == 200, answer.text
    assert fake.last_body()["metadata"] == metadata
    assert chat.count("CONVERSATIONS_TABLE") == 0
    assert usage(chat, "ada") == 0


def test_a_conversation_goes_on_by_its_header(chat: ChatServer, fake: FakeProvider) -> None:
    client = chat.openai()
    headers = {"x-sluice-conversation-id": "c-1"}
    for question in ("1?", "2?"):
        message: Any = {"role": "user", "content": question}
        client.chat.completions.create(model="small", messages=[message], extra_headers=headers)
    assert [each["content"] for each in fake.last_body()["messages"]] == ["1?", "Hello there.", "2?"]
    # The body's own says less than the header.
    client.chat.completions.create(
        model="small", messages=HELLO, extra_headers=headers, metadata={"sluice_conversation_id": "c-2"}
    )
    assert len(fake.last_body()["messages"]) == 5


@pytest.mark.parametrize("bad", ["#", "a b", "-a", "a/b", "x" * 129])
def test_an_id_that_can_t_be_is_refused_at_its_header(chat: ChatServer, fake: FakeProvider, bad: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat.openai().chat.completions.create(
            model="small", messages=HELLO, extra_headers={"x-sluice-conversation-id": bad}
        )
    assert raised.value.param == "x-sluice-conversation-id"
    assert fake.requests() == []


@pytest.mark.parametrize("name", ["x-sluice-user", "x-sluice-task"])
def test_a_label_that_is_too_long_is_refused_at_its_header(chat: ChatServer, fake: FakeProvider, name: str) -> None:
    refused = chat.post({"model": "small", "messages": HELLO}, headers={name: "x" * 129})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert fake.requests() == []


def test_an_empty_header_says_nothing(chat: ChatServer, fake: FakeProvider) -> None:
    headers = {"x-sluice-user": "", "x-sluice-task": "", "x-sluice-conversation-id": ""}
    body = {"model": "small", "messages": HELLO, "metadata": {"user": "ada"}}
    assert chat.post(body, headers=headers).status_code == 200
    assert usage(chat, "ada") == 1
    assert chat.count("CONVERSATIONS_TABLE") == 0


def test_a_name_may_have_any_letters(chat: ChatServer) -> None:
    for headers in ([(b"x-sluice-user", "zo\u00eb".encode())], [(b"X-Sluice-User", "zo\u00eb".encode("latin-1"))]):
        authorization = (b"authorization", f"Bearer {chat.api_key}".encode())
        body = {"model": "small", "messages": HELLO}
        answer = httpx.post(f"{chat.base_url}/chat/completions", json=body, headers=[authorization, *headers])
        assert answer.status_code == 200
    [shown] = {
        json.dumps(item, ensure_ascii=False).count("zo\u00eb") > 0
        for item in chat.aws.items("USAGE_TABLE")
        if "zo" in json.dumps(item)
    }
    assert shown


def test_a_flat_answer_s_user_and_conversation_may_be_in_headers_too(chat: ChatServer, fake: FakeProvider) -> None:
    headers = {
        "authorization": f"Bearer {chat.api_key}",
        "x-sluice-user": "ada",
        "x-sluice-conversation-id": "c-1",
    }
    for prompt in ("1?", "2?"):
        url = f"{chat.root_url}/api/v1/llm/completion"
        assert httpx.post(url, json={"prompt": prompt, "user_id": "bob"}, headers=headers).status_code == 200
    assert [each["content"] for each in fake.last_body()["messages"]] == ["1?", "Hello there.", "2?"]
    assert (usage(chat, "ada"), usage(chat, "bob")) == (1, 0)
    bad = httpx.post(url, json={"prompt": "1?"}, headers=headers | {"x-sluice-conversation-id": "#"})
    assert bad.json()["error"]["param"] == "x-sluice-conversation-id"


def test_a_task_s_user_and_conversation_may_be_in_headers_too(aws: Aws, fake: FakeProvider) -> None:
    with serving_tasks(aws, fake) as tasks:
        headers = {"x-sluice-user": "ada", "X-Sluice-Conversation-Id": "c-1"}
        body = {"inputs": {"issue_details": "FATAL: sorry, too many clients already"}}
        answer = tasks.send("POST /v1/tasks/explanation", body, headers=headers)
        assert answer.status == 200, answer.raw
        assert answer.body["conversation_id"] == "c-1"
        items = json.dumps(aws.items("CONVERSATIONS_TABLE"))
        assert "#ada" in items
        bad = tasks.send("POST /v1/tasks/explanation", body, headers={"x-sluice-conversation-id": "#"})
        assert (bad.status, bad.error["param"]) == (400, "x-sluice-conversation-id")
        fake.configure(answer=json.dumps({"test_cases": []}))
        tasks.send("POST /api/tasks/7/generate-test-cases", SUM, headers={"x-sluice-user": "eve"})
        assert "eve" in json.dumps(aws.items("USAGE_TABLE"))
