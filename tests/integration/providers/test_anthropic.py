"""Anthropic's adapter against a fake that is as strict as Anthropic, and through the whole gateway."""

import json
from typing import Any

import pytest

from sluice.chat import ChatRequest, Usage
from sluice.chat_stream import assemble
from sluice.errors import (
    ProviderContextError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.anthropic import AnthropicProvider
from sluice.providers.base import ProviderConfig, RateLimitHeaders
from tests.chat_server import serving
from tests.conftest import Aws
from tests.fakes import FakeProvider

type Json = dict[str, Any]

API_KEY = "sk-ant-secret-0123456789"
PROMPT = "the patient is called Rumpelstiltskin"
ALLOWED = frozenset(
    {
        "thinking",
        "top_k",
        "cache_control",
        *(f"messages.{name}" for name in ("cache_control", "document", "tool_image")),
    }
)
MARK = {"type": "ephemeral"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}]


def provider_for(fake: FakeProvider, **config: Any) -> AnthropicProvider:
    known = {"adapter": "anthropic", "allowed_fields": ALLOWED, **config}
    return AnthropicProvider(ProviderConfig("anthropic", "ant-1", API_KEY, fake.anthropic_url, **known))


def ask(provider: AnthropicProvider, *, streamed: bool = False, **fields: Any) -> Json:
    """The answer as one body."""
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}], **fields}
    request = ChatRequest.model_validate(body)
    if streamed:
        return assemble(provider.stream(request, "claude", 5))
    return provider.complete(request, "claude", 5).chat.body


def error_of(provider: AnthropicProvider, *, streamed: bool = False, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask(provider, streamed=streamed, **fields)
    for secret in (API_KEY, PROMPT):
        assert secret not in str(raised.value)
    return raised.value


def test_it_is_asked_in_its_own_protocol(fake: FakeProvider) -> None:
    limits = frozenset({("claude", 9000)})
    ask(
        provider_for(fake, completion_limits=limits),
        messages=[{"role": "system", "content": "Be brief."}, *said(PROMPT)],
    )
    [request] = fake.requests()
    assert request["path"] == "/anthropic/v1/messages"
    assert request["headers"]["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request["headers"]
    assert request["body"] == {
        "model": "claude",
        "max_tokens": 9000,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
    }
    ask(provider_for(fake))
    assert fake.last_body()["max_tokens"] == 4096


def said(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_with_thoughts_and_tools_goes_round(fake: FakeProvider, streamed: bool) -> None:
    provider = provider_for(fake)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    messages = said("Is it raining?")
    fields: Json = {"tools": TOOLS, "thinking": thinking}
    first = ask(provider, streamed=streamed, messages=messages, **fields)["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    message = first["message"]
    assert message["reasoning_content"] == "They said: Is it raining?"
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "They said: Is it raining?", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    [call] = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "x"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Yes.", "is_error": True}
    second = ask(provider, streamed=streamed, messages=[*messages, message, result], **fields)["choices"][0]
    assert second["message"]["content"] == "Echo: Yes."
    sent = fake.last_body()["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["thinking", "redacted_thinking", "tool_use"]
    assert sent[2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "toolu_0",
            "content": [{"type": "text", "text": "Yes."}],
            "is_error": True,
        }
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_marks_for_the_cache_arrive_and_what_they_did_is_counted(fake: FakeProvider, streamed: bool) -> None:
    content = [{"type": "text", "text": "Long.", "cache_control": MARK | {"ttl": "1h"}}]
    answer = ask(provider_for(fake), streamed=streamed, messages=[{"role": "user", "content": content}])
    assert fake.last_body()["messages"][0]["content"] == content
    counted = Usage.from_body(answer)
    assert counted == Usage(8 + 5 + 7, 2, 7, 5, 5)
    assert answer["usage"]["cache_read_input_tokens"] == 7


def test_a_schema_is_held_to_by_anthropic_itself(fake: FakeProvider) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = ask(provider_for(fake), response_format=asked)
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"a": "x"}
    assert fake.last_body()["output_config"]["format"]["schema"]["properties"] == {"a": {"type": "string"}}


def test_what_has_no_place_there_is_refused_by_name_before_anything_is_sent(fake: FakeProvider) -> None:
    error = error_of(provider_for(fake), seed=1)
    assert type(error) is ProviderRejectedError
    assert not error.was_sent
    assert "seed" in error.message
    assert fake.requests() == []


ERRORS: list[tuple[int, str, str, type[ProviderError]]] = [
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ProviderContextError),
    (
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        ProviderContextError,
    ),
    (400, "invalid_request_error", "This model does not support the effort parameter.", ProviderUnsuitedError),
    (400, "invalid_request_error", "`temperature` is deprecated for this model.", ProviderUnsuitedError),
    (
        400,
        "invalid_request_error",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        ProviderUnsuitedError,
    ),
    (400, "invalid_request_error", "messages: first message must use the user role", ProviderRejectedError),
    (413, "request_too_large", "Request exceeds the maximum size", ProviderUnsuitedError),
    (529, "overloaded_error", "Overloaded", ProviderUnavailableError),
]


@pytest.mark.parametrize(("status", "kind", "words", "expected"), ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
def test_each_error_is_what_it_says(
    fake: FakeProvider, streamed: bool, status: int, kind: str, words: str, expected: type[ProviderError]
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": f"{words} {API_KEY} {PROMPT}"}, "request_id": "req_1"}
    fake.add_raw(json.dumps(body).encode(), raw_status=status)
    assert type(error_of(provider_for(fake), streamed=streamed)) is expected


def test_a_rate_limit_says_when_to_come_back(fake: FakeProvider) -> None:
    fake.add_fault("429", retry_after="17", message="Number of request tokens has exceeded your rate limit")
    error = error_of(provider_for(fake))
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == 17


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("overloaded_error", ProviderUnavailableError), ("rate_limit_error", ProviderRateLimitedError)],
)
def test_an_error_event_before_anything_is_said_is_what_it_says(
    fake: FakeProvider, kind: str, expected: type[ProviderError]
) -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}}
    error = {"type": "error", "error": {"type": kind, "message": "Busy"}}
    fake.add_raw(events(start, error))
    assert type(error_of(provider_for(fake), streamed=True)) is expected


def events(*bodies: Json) -> bytes:
    return b"".join(f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode() for body in bodies)


START = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
TEXT = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
    {"type": "content_block_stop", "index": 0},
]
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
STOP = {"type": "message_stop"}


def test_a_stream_that_ends_within_an_event_is_broken(fake: FakeProvider) -> None:
    whole = events(START, *TEXT, END)
    for end in (len(events(START)) + 30, len(events(START, *TEXT)) - 40, len(events(START, *TEXT)) + 20):
        for ends in (True, False):
            fake.add_raw(whole[:end], ends=ends)
            assert type(error_of(provider_for(fake), streamed=True)) is ProviderProtocolError


@pytest.mark.parametrize("last", [[STOP], [], [{"type": "ping"}]])
def test_what_follows_the_end_of_an_answer_may_be_missing(fake: FakeProvider, last: list[Json]) -> None:
    fake.add_raw(events(START, *TEXT, END, *last), ends=bool(last))
    answer = ask(provider_for(fake), streamed=True)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert Usage.from_body(answer) == Usage(3, 2)


def test_a_call_whose_arguments_are_no_json_is_passed_on_as_it_came(fake: FakeProvider) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    parts = ({"type": "input_json_delta", "partial_json": part} for part in ('{"city"', ': "Par'))
    deltas = ({"type": "content_block_delta", "index": 0, "delta": part} for part in parts)
    end = END | {"delta": {"stop_reason": "max_tokens"}}
    fake.add_raw(events(START, {"type": "content_block_start", "index": 0, "content_block": use}, *deltas, end, STOP))
    [choice] = ask(provider_for(fake), streamed=True)["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Par'
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": -3, "output_tokens": 2}, {"input_tokens": "three"}, "many"]
)
def test_counts_that_can_not_be_cost_nothing_but_the_counts(fake: FakeProvider, usage: Any) -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": usage}}
    fake.add_raw(events(start, *TEXT, END, STOP))
    answer = ask(provider_for(fake), streamed=True)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert Usage.from_body(answer) is None


def test_a_whole_message_in_place_of_a_stream_is_read(fake: FakeProvider) -> None:
    body = {
        "type": "message",
        "id": "m",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    fake.add_raw(json.dumps(body).encode())
    assert Usage.from_body(ask(provider_for(fake), streamed=True)) == Usage(3, 2)
    fake.add_raw(events(START, *TEXT, END, STOP))
    assert ask(provider_for(fake))["choices"][0]["message"]["content"] == "Hello."


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-tokens-limit": "96000",
                "anthropic-ratelimit-tokens-remaining": "95000",
                "anthropic-ratelimit-input-tokens-limit": "80000",
                "anthropic-ratelimit-input-tokens-remaining": "79000",
                "anthropic-ratelimit-output-tokens-limit": "16000",
                "anthropic-ratelimit-output-tokens-remaining": "16000",
            },
            RateLimitHeaders(
                {"requests_per_minute": 50, "tokens_per_minute": 80_000},
                {"requests_per_minute": 49, "tokens_per_minute": 79_000},
            ),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "many",
                "anthropic-ratelimit-requests-remaining": "-1",
                "anthropic-ratelimit-tokens-limit": "1e999",
                "anthropic-ratelimit-input-tokens-limit": "",
            },
            RateLimitHeaders(),
        ),
    ],
)
def test_its_headers_say_what_is_left(fake: FakeProvider, headers: dict[str, str], expected: RateLimitHeaders) -> None:
    request = ChatRequest.model_validate({"model": "auto", "messages": said("Hi.")})
    body = {"content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"}
    fake.add_raw(json.dumps(body).encode(), headers=headers)
    assert provider_for(fake).complete(request, "claude", 5).rate_limits == expected


CREDENTIAL: Json = {"provider": "anthropic", "alias": "ant-1", "api_key": API_KEY}


def test_the_gateway_asks_it_and_charges_what_its_cache_costs(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(CREDENTIAL | {"base_url": fake.anthropic_url})
    with serving(aws) as chat:
        content = [{"type": "text", "text": "Say hello.", "cache_control": MARK}]
        body: Json = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": content}]}
        answer = chat.post(body)
        assert answer.status_code == 200, answer.text
        # Prompt: 3 + 3 tokens and 3 for the text; cached 7 at a twentieth, taken in 5 at five quarters; answered 3.
        assert float(answer.headers["x-sluice-cost-usd"]) == pytest.approx(
            (9 * 2.0 + 7 * 0.1 + 5 * 2.5 + answer.json()["usage"]["completion_tokens"] * 10.0) / 1e6
        )
        assert fake.last_body()["max_tokens"] == 128_000
        streamed = chat.post(body | {"stream": True, "thinking": {"type": "adaptive"}})
        assert '"thinking_blocks"' in streamed.text
        refused = chat.post(body | {"seed": 1})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "seed")
        refused = chat.post(body | {"temperature": 0.3})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")
        assert chat.post(body | {"temperature": 1}).status_code == 200
        assert "temperature" not in fake.last_body()


def test_who_can_carry_a_request_is_asked_in_its_place(aws: Aws, fake: FakeProvider) -> None:
    models = {"small": {"tier": "fast", "price": "free"}}
    other = {"provider": "gateway", "alias": "gw-1", "api_key": "k", "base_url": fake.openai_url, "models": models}
    claude = CREDENTIAL | {
        "base_url": fake.anthropic_url,
        "priority": 1,
        "models": {"claude-haiku-5-5": {"aliases": ["small"], "price": "free"}},
    }
    aws.set_credentials(claude, {**other, "models": {"tiny": {**models["small"], "aliases": ["small"]}}})
    with serving(aws) as chat:
        body: Json = {"model": "small", "messages": said("Say hello.")}
        assert chat.post(body | {"seed": 1}).status_code == 200
        assert fake.requests()[-1]["path"] == "/v1/chat/completions"
        thinking = {"type": "enabled", "budget_tokens": 2000}
        assert chat.post(body | {"thinking": thinking, "max_tokens": 3000}).status_code == 200
        assert fake.requests()[-1]["path"] == "/anthropic/v1/messages"
