"""OpenAI's SDK against what of its API is beside chats: text completions, moderations, and what is not there."""

from typing import Any

import httpx
import openai
import pytest

from tests.chat_server import ChatServer
from tests.fakes.client import FakeProvider


def test_a_text_is_completed_whole_and_streamed(chat: ChatServer, fake: FakeProvider) -> None:
    completions = chat.openai().completions
    whole = completions.create(model="small", prompt="Say hello.", max_tokens=20, n=2, logprobs=1)
    assert [choice.text for choice in whole.choices] == ["Hello there.", "Hello there."]
    assert whole.object == "text_completion"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.choices[0].logprobs is not None
    assert "".join(whole.choices[0].logprobs.tokens or []) == "Hello there."
    assert whole.usage is not None
    assert fake.last_body()["messages"] == [{"role": "user", "content": "Say hello."}]

    chunks = list(
        completions.create(
            model="small", prompt=["Say hello."], stream=True, max_tokens=1, stream_options={"include_usage": True}
        )
    )
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Hello"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "length"
    assert chunks[-1].usage is not None


def test_a_completion_that_breaks_off_ends_with_an_error(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("cut")
    with pytest.raises(openai.APIError, match="broke off"):
        list(chat.openai().completions.create(model="small", prompt="Say hello.", stream=True))


def test_what_a_completion_cannot_carry_is_refused(chat: ChatServer, fake: FakeProvider) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat.openai().completions.create(model="small", prompt="a", echo=True)
    assert refused.value.param == "echo"
    assert fake.requests() == []


def test_texts_are_moderated_by_the_rules(chat: ChatServer, fake: FakeProvider) -> None:
    answer = chat.openai().moderations.create(input=["Hello.", "You should kill yourself."])
    assert answer.model == "sluice-guard-rules"
    harmless, harmful = answer.results
    assert not harmless.flagged
    assert harmful.flagged
    assert harmful.categories.self_harm
    assert harmful.category_scores.self_harm == 1
    assert harmful.category_applied_input_types.harassment == []
    assert not harmful.categories.violence
    assert fake.requests() == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("images/generations", "images"),
        ("audio/speech", "audio"),
        ("fine_tuning/jobs", "fine-tuning"),
        ("assistants", "assistants"),
        ("threads/t_1/runs", "threads"),
        ("realtime/sessions", "realtime"),
        ("evals", "evals"),
        ("containers/c_1/files", "containers"),
        ("videos", "videos"),
    ],
)
def test_what_openai_has_and_sluice_has_not_is_named(chat: ChatServer, path: str, name: str) -> None:
    for url in (f"{chat.base_url}/{path}", f"{chat.root_url}/openai/v1/{path}"):
        answer = httpx.post(url, headers={"authorization": f"Bearer {chat.api_key}"}, json={})
        error: dict[str, Any] = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (404, "not_found")
        assert f"has no {name}" in error["message"]
        assert "GET /openapi.json" in error["message"]


def test_batches_of_messages_are_named_in_anthropic_s_envelope(chat: ChatServer) -> None:
    answer = httpx.post(f"{chat.base_url}/messages/batches", headers={"x-api-key": chat.api_key}, json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert "POST /v1/batches" in answer.json()["error"]["message"]
