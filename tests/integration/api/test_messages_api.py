"""Anthropic's SDK against this gateway, over a socket: messages whole and streamed, tools, tokens and errors."""

import asyncio
import json
from typing import Any

import anthropic
import httpx
import pytest

from functions.operations.app import ROUTES as FUNCTION_ROUTES
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.request_records import listed
from tests.rest_function import RestFunction

type Json = dict[str, Any]

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
TOOLS: list[Any] = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@pytest.fixture
def operations(chat: ChatServer) -> RestFunction:
    """The function that shows records, with an operator's key of the tenant `acme`."""
    return RestFunction(FUNCTION_ROUTES, chat.key("acme", role="operator"))


def client(chat: ChatServer, **options: Any) -> anthropic.Anthropic:
    """The official client, without retries."""
    return anthropic.Anthropic(
        base_url=chat.root_url, **{"api_key": chat.api_key, "auth_token": None, "max_retries": 0, **options}
    )


def post(chat: ChatServer, body: Any, path: str = "/messages", **headers: str) -> httpx.Response:
    """A request as it is, without an SDK."""
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    return httpx.post(chat.base_url + path, headers={"x-api-key": chat.api_key} | headers, timeout=60, **content)


def asked(**fields: Any) -> Json:
    return {"model": "small", "max_tokens": 100, "messages": HELLO} | fields


def test_a_message_is_answered_whole(chat: ChatServer, fake: FakeProvider) -> None:
    answer = client(chat).messages.with_raw_response.create(**asked(system="Be short.", metadata={"user_id": "u-1"}))
    message = answer.parse()
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there."]
    assert (message.type, message.role, message.model) == ("message", "assistant", "small")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens == 2
    assert message._request_id == answer.headers["x-sluice-request-id"]
    assert answer.headers["x-sluice-deployment"] == "fake-1#small"
    sent = fake.last_body()
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert (sent["max_tokens"], sent["user"]) == (100, "u-1")


def test_a_message_is_streamed(chat: ChatServer) -> None:
    with client(chat).messages.stream(**asked()) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(texts) == "Hello there."
    assert len(texts) > 1
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 2
    assert message.usage.input_tokens > 0


def test_the_events_of_a_stream_have_their_names_and_no_other_end(chat: ChatServer) -> None:
    answer = post(chat, asked(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in answer.text.strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in events]
    assert names == [json.loads(line.removeprefix("data: "))["type"] for _, line in events]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_tool_is_called_and_its_result_answered(chat: ChatServer, fake: FakeProvider, is_streamed: bool) -> None:
    fake.configure(answer=None)
    messages = [*HELLO]
    sdk = client(chat).messages
    question: Json = asked(tools=TOOLS, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    if is_streamed:
        with sdk.stream(**question) as stream:
            message: Any = stream.get_final_message()
    else:
        message = sdk.create(**question)
    assert message.stop_reason == "tool_use"
    [call] = message.content
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "x"})
    sent = fake.last_body()
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
    assert sent["tools"][0]["function"]["parameters"] == TOOLS[0]["input_schema"]

    result = {"type": "tool_result", "tool_use_id": call.id, "content": "22 degrees", "is_error": True}
    messages += [message.to_param(), {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]}]
    last = sdk.create(**asked(tools=TOOLS, messages=messages))
    assert last.stop_reason in ("end_turn", "tool_use")
    sent = fake.last_body()
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "tool", "user"]
    assert sent["messages"][1]["tool_calls"][0]["id"] == sent["messages"][2]["tool_call_id"] == call.id


def test_the_async_client_works_as_well(chat: ChatServer) -> None:
    async def ask() -> tuple[Any, str]:
        sdk = anthropic.AsyncAnthropic(base_url=chat.root_url, api_key=chat.api_key, max_retries=0)
        async with sdk:
            whole = await sdk.messages.create(**asked())
            async with sdk.messages.stream(**asked(system="Be short.")) as stream:
                streamed = await stream.get_final_text()
        return whole.content[0].to_dict(), streamed

    whole, streamed = asyncio.run(ask())
    assert whole["text"] == streamed == "Hello there."


def test_tokens_are_estimated_and_no_model_is_asked(chat: ChatServer, fake: FakeProvider) -> None:
    sdk = client(chat).messages
    few = sdk.count_tokens(model="small", messages=HELLO)
    many = sdk.count_tokens(model="auto", messages=HELLO, system="Be short. " * 100, tools=TOOLS)
    assert 0 < few.input_tokens < many.input_tokens
    too_many = sdk.count_tokens(model="small", messages=[{"role": "user", "content": "one two three " * 200_000}])
    assert too_many.input_tokens > 200_000
    assert fake.requests() == []
    with pytest.raises(anthropic.NotFoundError):
        sdk.count_tokens(model="none", messages=HELLO)


def test_a_coding_agent_s_request_reaches_a_model_that_knows_nothing_of_it(
    chat: ChatServer, fake: FakeProvider
) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tools = [{**TOOLS[0], "name": f"tool_{number}"} for number in range(20)]
    tools[-1] |= mark
    texts = [{"type": "text", "text": f"<system-reminder>{number}</system-reminder>"} for number in range(3)]
    body = asked(
        system=[
            {"type": "text", "text": "You are an agent. " * 500, **mark},
            {"type": "text", "text": "cwd: /", **mark},
        ],
        messages=[{"role": "user", "content": [*texts, {"type": "text", "text": "Go on.", **mark}]}],
        tools=tools,
        thinking={"type": "enabled", "budget_tokens": 4000},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        metadata={"user_id": "user_" + "a" * 64 + "_account__session_" + "b" * 36},
        stream=True,
    )
    headers = {"anthropic-beta": "claude-code-20250219", "anthropic-version": "2023-06-01", "x-app": "cli"}
    answer = post(chat, body, "/messages?beta=true", **headers)
    assert answer.status_code == 200, answer.text
    assert '"applied_edits":[]' in answer.text
    raw = fake.requests()[-1]["raw"]
    assert "cache_control" not in raw
    assert "thinking" not in fake.last_body()
    assert fake.last_body()["reasoning_effort"] == "high"
    assert len(fake.last_body()["tools"]) == 20


def test_a_request_is_answered_once_from_the_cache_and_by_its_key(chat: ChatServer, fake: FakeProvider) -> None:
    first, second = post(chat, asked()), post(chat, asked())
    assert second.headers["x-sluice-cache"] == "hit"
    assert first.json() == second.json()
    # A chat that asks the same is answered by the same.
    same = chat.post({"model": "small", "max_tokens": 100, "messages": HELLO})
    assert same.headers["x-sluice-cache"] == "hit"
    body = asked(stream=True, temperature=1)
    once, again = (post(chat, body, **{"idempotency-key": "k-1"}) for _ in range(2))
    assert again.headers["idempotent-replayed"] == "true"
    assert again.text == once.text
    assert again.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert len(fake.requests()) == 2


def test_a_conversation_is_remembered(chat: ChatServer, fake: FakeProvider) -> None:
    for text in ("My name is Ada.", "What is my name?"):
        headers = {"x-sluice-conversation-id": "lesson"}
        assert post(chat, asked(messages=[{"role": "user", "content": text}]), **headers).status_code == 200
    assert [each["role"] for each in fake.last_body()["messages"]] == ["user", "assistant", "user"]


def error_of(answer: httpx.Response) -> Json:
    body: Json = answer.json()
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-sluice-request-id"]
    return dict(body["error"])


def test_errors_are_in_anthropic_s_envelope(chat: ChatServer, fake: FakeProvider) -> None:
    cases = [
        (post(chat, asked(max_tokens=None)), 400, "invalid_request_error"),
        (post(chat, b"{"), 400, "invalid_request_error"),
        (post(chat, asked(), **{"x-api-key": "sk-ant-1"}), 401, "authentication_error"),
        (post(chat, asked(model="none")), 404, "not_found_error"),
        (post(chat, {}, "/messages/batches"), 404, "not_found_error"),
        (httpx.get(chat.base_url + "/messages"), 405, "invalid_request_error"),
        (post(chat, b" " * 6_300_000), 413, "request_too_large"),
    ]
    for answer, status, kind in cases:
        assert (answer.status_code, error_of(answer)["type"]) == (status, kind)
    assert fake.requests() == []
    key = chat.key("acme", limits={"requests_per_minute": 1})
    sdk = client(chat, api_key=key)
    sdk.messages.create(**asked())
    with pytest.raises(anthropic.RateLimitError) as limited:
        sdk.messages.create(**asked())
    assert limited.value.type == "rate_limit_error"
    assert int(limited.value.response.headers["retry-after"]) > 0


def test_providers_that_fail_are_overload(chat: ChatServer, fake: FakeProvider, operations: RestFunction) -> None:
    fake.add_fault("500", times=None)
    with pytest.raises(anthropic.APIStatusError) as failed:
        client(chat).messages.create(**asked())
    assert failed.value.status_code == 529
    assert failed.value.type == "overloaded_error"
    [record] = listed(operations)
    assert (record["status"], record["route"]) == (529, "createMessage")


def test_a_stream_that_breaks_off_ends_with_an_error(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("cut")
    with pytest.raises(anthropic.APIStatusError), client(chat).messages.stream(**asked()) as stream:
        list(stream)
    fake.add_fault("cut")
    answer = post(chat, asked(stream=True, temperature=1))
    last = answer.text.strip().split("\n\n")[-1]
    assert last.startswith("event: error\n")
    error = json.loads(last.split("data: ")[1])
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert "message_stop" not in answer.text


def test_the_authorization_goes_before_the_other_header(chat: ChatServer, operations: RestFunction) -> None:
    other = chat.tenant("other")
    answer = post(chat, asked(), authorization=f"Bearer {other}")
    assert answer.status_code == 200
    assert listed(operations) == []
    # What is sent as such counts even where the other would be taken.
    assert post(chat, asked(), authorization="Bearer sk-ant-1").status_code == 401
    assert client(chat, api_key=None, auth_token=chat.api_key).messages.create(**asked()).role == "assistant"


def test_what_a_provider_lacks_is_refused_by_name(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    with serving(aws) as chat:
        refused = post(chat, asked(top_k=5))
        assert (refused.status_code, error_of(refused)["param"]) == (400, "top_k")
        document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
        refused = post(chat, asked(messages=[{"role": "user", "content": [document]}]))
        assert (refused.status_code, error_of(refused)["type"]) == (400, "invalid_request_error")
        assert "document" in error_of(refused)["message"]
