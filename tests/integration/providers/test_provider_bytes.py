"""Answers byte for byte as providers send them, over a socket: what of them arrives, and what is a failure."""

import gzip
import json
import zlib
from typing import Any

import pytest

from sluice.chat import ChatRequest, Usage
from sluice.chat_stream import assemble
from sluice.errors import (
    ProviderAuthenticationError,
    ProviderContextError,
    ProviderError,
    ProviderModelError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderSpoiledError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.groq import GroqProvider
from sluice.providers.huggingface import HuggingFaceProvider
from sluice.providers.openai_compatible import OpenAICompatibleProvider
from sluice.providers.verdict import AnswerState, may_be_cached, state_of
from tests.fakes import FakeProvider
from tests.openai_bodies import Json, chunk, events

ADAPTERS: dict[str, type[Provider]] = {
    "groq": GroqProvider,
    "huggingface": HuggingFaceProvider,
    "openai": OpenAICompatibleProvider,
}
BROKEN, UNAVAILABLE = ProviderProtocolError, ProviderUnavailableError


@pytest.fixture(params=ADAPTERS)
def provider(request: pytest.FixtureRequest, fake: FakeProvider) -> Provider:
    urls = {"groq": fake.groq_url, "huggingface": fake.huggingface_url, "openai": fake.openai_url}
    name: str = request.param
    return ADAPTERS[name](ProviderConfig(name, f"{name}-1", "secret-key-0123456789", urls[name]))


def ask(provider: Provider, *, streamed: bool, **fields: Any) -> Json:
    """The answer as one body."""
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi."}]} | fields)
    if streamed:
        return assemble(list(provider.stream(request, "m", 5)))
    return provider.complete(request, "m", 5).chat.body


def failure_of(provider: Provider, *, streamed: bool) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask(provider, streamed=streamed)
    return raised.value


def whole(message: Json, reason: Any = "stop", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


HELLO = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo."}),
    chunk({}, "stop"),
]

# Gemini: no index, calls whole, "stop" at the end of the stream.
GEMINI_CALLS = [
    {
        "extra_content": {"google": {"thought_signature": f"s{name}"}},
        "function": {"arguments": json.dumps({"city": city}), "name": "weather"},
        "id": f"function-call-{name}",
        "type": "function",
    }
    for name, city in (("1", "Paris"), ("2", "Rome"))
]
OLLAMA_CALLS = [
    {
        "id": f"call_{city}",
        "index": 0,
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": city})},
    }
    for city in ("Paris", "Rome")
]


@pytest.mark.parametrize("calls", [GEMINI_CALLS, OLLAMA_CALLS], ids=["gemini", "ollama"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_two_calls_stay_two_calls(
    provider: Provider, fake: FakeProvider, calls: list[Json], streamed: bool, together: bool
) -> None:
    deltas = [chunk({"role": "assistant", "tool_calls": calls})]
    if not together:
        deltas = [chunk({"role": "assistant", "tool_calls": [call]}) for call in calls]
    body = events(*deltas, chunk({}, "stop")) if streamed else json.dumps(whole({"tool_calls": calls})).encode()
    fake.add_raw(body)
    answer = ask(provider, streamed=streamed)
    made = answer["choices"][0]["message"]["tool_calls"]
    assert [call["id"] for call in made] == [call["id"] for call in calls]
    assert [json.loads(call["function"]["arguments"])["city"] for call in made] == ["Paris", "Rome"]
    assert [call.get("extra_content") for call in made] == [call.get("extra_content") for call in calls]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert may_be_cached(answer)


def test_a_call_as_text_generation_inference_sends_it(provider: Provider, fake: FakeProvider) -> None:
    function = {"name": "weather", "arguments": {"city": "Paris"}}
    fake.add_raw(json.dumps(whole({"tool_calls": [{"id": "0", "type": "function", "function": function}]})).encode())
    [call] = ask(provider, streamed=False)["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "0", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    parts = [
        {"index": 0, "id": "", "type": "function", "function": {"name": "weather", "arguments": '{"city":'}},
        {"index": 0, "id": "", "type": "function", "function": {"name": None, "arguments": ' "Paris"}'}},
    ]
    deltas = [chunk({"role": "assistant", "tool_calls": part}) for part in parts]
    fake.add_raw(events(*deltas, chunk({}, "eos_token"), done=False))
    answer = ask(provider, streamed=True)
    [call] = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert len(call["id"]) == 9


@pytest.mark.parametrize("reason", ["", "null", None])
def test_a_stream_that_never_said_it_ended_is_cut(provider: Provider, fake: FakeProvider, reason: Any) -> None:
    said = [chunk({"content": text}, reason) for text in ("Hel", "lo.")]
    for done in (False, True):
        fake.add_raw(events(*said, done=done))
        error = failure_of(provider, streamed=True)
        assert type(error) is BROKEN
        assert error.may_be_billed


@pytest.mark.parametrize(
    ("message", "reason", "state"),
    [
        ({"content": "Hello."}, "stop", AnswerState.WHOLE),
        ({"content": "Hel"}, "length", AnswerState.CUT),
        ({"content": "Hel"}, "", AnswerState.CUT),
        ({"content": "Hel"}, "content_filter", AnswerState.WITHHELD),
        ({"content": ""}, "stop", AnswerState.EMPTY),
        ({"content": None}, "stop", AnswerState.EMPTY),
        ({}, "stop", AnswerState.EMPTY),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_is_not_whole_is_given_and_never_kept(
    provider: Provider, fake: FakeProvider, streamed: bool, message: Json, reason: str, state: AnswerState
) -> None:
    if streamed and not reason:
        return  # that is no end: see above
    streamed_body = events(chunk({"role": "assistant", **message}), chunk({}, reason))
    fake.add_raw(streamed_body if streamed else json.dumps(whole(message, reason)).encode())
    answer = ask(provider, streamed=streamed)
    assert state_of(answer) is state
    assert may_be_cached(answer) is (state is AnswerState.WHOLE)


ERROR_OBJECT = {"error": {"message": "Provider returned error", "code": 502}}
FAILED_STREAMS = {
    "an error object beside empty choices": events(chunk({"role": "assistant"}), {**ERROR_OBJECT, "choices": []}),
    "finish_reason error": events(chunk({"role": "assistant", "content": ""}), chunk({}, "error")),
    "an error in the choice": events(chunk({"content": ""}, None, error={"code": 502, "message": "x"})),
    "event: error": b'event: error\ndata: {"message": "overloaded"}\n\n',
    "event: error, no JSON": b"event: error\ndata: CUDA out of memory\n\n",
    "event: error after a role": events(chunk({"role": "assistant"}), done=False) + b"event: error\ndata: {}\n\n",
    "an error object as the first event": events({"error": {"message": "overloaded", "type": "server_error"}}),
    "an error body in place of a stream": json.dumps(ERROR_OBJECT).encode(),
    "Gemini's list in place of a stream": b'[{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}]',
}


@pytest.mark.parametrize("stream", FAILED_STREAMS)
def test_a_stream_that_failed_before_it_said_something_is_a_failure_at_once(
    provider: Provider, fake: FakeProvider, stream: str
) -> None:
    fake.add_raw(FAILED_STREAMS[stream])
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi."}]})
    with pytest.raises(UNAVAILABLE):
        # Already when it is opened: the next deployment may answer.
        provider.stream(request, "m", 5)


@pytest.mark.parametrize("stream", ["finish_reason error", "an error object beside empty choices", "event: error"])
def test_a_stream_that_failed_later_breaks_off(provider: Provider, fake: FakeProvider, stream: str) -> None:
    fake.add_raw(events(chunk({"content": "Hel"}), done=False) + FAILED_STREAMS[stream])
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi."}]})
    texts: list[str] = []
    with pytest.raises(BROKEN):
        texts.extend(text for chunk in provider.stream(request, "m", 5) for _, text in chunk.deltas)
    assert texts == ["Hel"]


@pytest.mark.parametrize(
    "body",
    [
        whole({"content": "Hel"}, "error"),
        whole({"content": ""}, "stop") | ERROR_OBJECT,
        {**ERROR_OBJECT, "choices": []},
        {"object": "error", "message": "out of memory", "code": 500},
        {"choices": None, "base_resp": {"status_code": 1013, "status_msg": "internal error"}},
        [{"error": {"code": 500, "message": "x", "status": "INTERNAL"}}],
    ],
)
def test_an_answer_that_says_it_failed_is_a_failure(provider: Provider, fake: FakeProvider, body: Any) -> None:
    fake.add_raw(json.dumps(body).encode())
    assert isinstance(failure_of(provider, streamed=False), UNAVAILABLE)


@pytest.mark.parametrize(
    ("texts", "text"),
    [(["a\ud83d", "\ude00b"], "a\U0001f600b"), (["a\ud83d", "b"], "a\ufffdb"), (["a", "\ude00"], "a\ufffd")],
)
def test_half_a_character_stops_nothing(provider: Provider, fake: FakeProvider, texts: list[str], text: str) -> None:
    fake.add_raw(events(*(chunk({"content": each}) for each in texts), chunk({}, "stop")))
    answer = ask(provider, streamed=True)
    assert answer["choices"][0]["message"]["content"] == text
    fake.add_raw(json.dumps(whole({"content": "".join(texts), "name": texts[0]})).encode())
    answer = ask(provider, streamed=False)
    assert answer["choices"][0]["message"]["content"] == text
    assert json.dumps(answer, ensure_ascii=False).encode()


def test_contents_in_parts_and_numbers_that_are_none_are_read(provider: Provider, fake: FakeProvider) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]
    raw = json.dumps(whole({"content": parts}, logprobs={"content": [{"token": "a", "logprob": -1}]})).encode()
    fake.add_raw(raw.replace(b"-1}", b"-Infinity}").replace(b'"created": 1', b'"created": NaN'))
    answer = ask(provider, streamed=False)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["created"] is None
    fake.add_raw(events(chunk({"content": parts}), chunk({}, "stop")).replace(b'"created": 1', b'"created": 1e999'))
    answer = ask(provider, streamed=True)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["created"] is None


SPELLED = {
    "as OpenAI": events(*HELLO),
    "CRLF": events(*HELLO).replace(b"\n", b"\r\n"),
    "no space after the colon": events(*HELLO).replace(b"data: ", b"data:"),
    "two spaces and blanks behind": events(*HELLO).replace(b"data: [DONE]", b"data:  [DONE] "),
    "empty data": b"data:\n\ndata: \n\n" + events(*HELLO),
    "comments": b": OPENROUTER PROCESSING\n\n" * 3 + events(*HELLO),
    "pings": b'event: ping\ndata: {"type": "ping"}\n\n: ping\n\n' + events(*HELLO),
    "frames with nothing in them": events({"id": "", "choices": [], "created": 0}, done=False) + events(*HELLO),
    "a byte order mark": b"\xef\xbb\xbf" + events(*HELLO),
    "ids, names and retry times": events(*HELLO).replace(b"data:", b"id: 7\nevent: message\nretry: 5\ndata:"),
    "no last blank line": events(*HELLO).rstrip(),
    "no [DONE]": events(*HELLO, done=False),
    "no blank lines": events(*HELLO).replace(b"\n\n", b"\n"),
    "a whole answer": json.dumps(whole({"content": "Hello."})).encode(),
    "a whole answer in an event": events(whole({"content": "Hello."})),
    "one object a line": b"\n".join(json.dumps(body).encode() for body in HELLO),
    "a list": json.dumps(HELLO).encode(),
}


@pytest.mark.parametrize("spelling", SPELLED)
def test_a_stream_is_read_however_it_is_written(provider: Provider, fake: FakeProvider, spelling: str) -> None:
    content = SPELLED[spelling]
    for pieces in ([], [1] * 40, [len(content) // 2]):
        fake.add_raw(content, pieces=pieces)
        answer = ask(provider, streamed=True)
        assert answer["choices"][0]["message"]["content"] == "Hello."
        assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda raw: zlib.compress(raw)[2:-4])],
    ids=["gzip", "deflate", "deflate without a header"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_compressed_answer_is_read_though_none_was_asked_for(
    provider: Provider, fake: FakeProvider, encoding: str, compress: Any, streamed: bool
) -> None:
    body = events(*HELLO) if streamed else json.dumps(whole({"content": "Hello."})).encode()
    fake.add_raw(compress(body), headers={"content-encoding": encoding}, pieces=[3, 9])
    assert ask(provider, streamed=streamed)["choices"][0]["message"]["content"] == "Hello."
    assert fake.requests()[-1]["headers"]["accept-encoding"] == "identity"
    refusal = json.dumps({"error": {"message": "no such role", "type": "invalid_request_error"}}).encode()
    fake.add_raw(compress(refusal), raw_status=400, headers={"content-encoding": encoding})
    assert failure_of(provider, streamed=streamed).message == "no such role"


def test_an_error_that_cannot_be_unpacked_has_its_status(provider: Provider, fake: FakeProvider) -> None:
    for content in (b"nonsense", gzip.compress(b"{}" * 99)[:20]):
        fake.add_raw(content, raw_status=503, headers={"content-encoding": "gzip"})
        error = failure_of(provider, streamed=False)
        assert type(error) is UNAVAILABLE
        assert error.status == 503


def test_a_stream_in_place_of_an_answer_is_read(provider: Provider, fake: FakeProvider) -> None:
    usage = {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    fake.add_raw(events(*HELLO, usage))
    answer = ask(provider, streamed=False)
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert Usage.from_body(answer) == Usage(3, 2)
    fake.add_raw(events(*HELLO[:-1]))
    assert type(failure_of(provider, streamed=False)) is BROKEN


@pytest.mark.parametrize("streamed", [False, True])
def test_a_connection_lost_after_the_answer_costs_nothing(
    provider: Provider, fake: FakeProvider, streamed: bool
) -> None:
    if streamed:
        fake.add_raw(events(*HELLO, done=False), ends=False)
        assert ask(provider, streamed=True)["choices"][0]["message"]["content"] == "Hello."
        fake.add_raw(events(*HELLO[:-1], done=False), ends=False)
    else:
        fake.add_raw(json.dumps(whole({"content": "Hello."})).encode()[:-1], ends=False)
    assert type(failure_of(provider, streamed=streamed)) is BROKEN


TOO_LARGE = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000"
INVALID = {"code": 400, "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}
ABROAD = {"code": 400, "message": "User location is not supported for the API use."}


def coded(code: str, message: str = "x") -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


# The whole table is in tests/data/provider_refusals.jsonl.
REFUSED: list[tuple[int, Any, type[ProviderError]]] = [
    (400, [{"error": INVALID}], ProviderAuthenticationError),
    (400, [{"error": ABROAD}], ProviderAuthenticationError),
    (400, coded("organization_restricted"), ProviderAuthenticationError),
    (413, coded("rate_limit_exceeded", TOO_LARGE), ProviderUnsuitedError),
    (400, coded("tool_use_failed"), ProviderSpoiledError),
    (400, coded("model_decommissioned"), ProviderModelError),
    (400, coded("model_not_supported"), ProviderModelError),
    (400, coded("context_length_exceeded"), ProviderContextError),
    (422, {"error": "Input validation error: `temperature` must be strictly positive"}, ProviderRejectedError),
    (400, "[" * 50_000, ProviderRejectedError),
    (500, "[" * 50_000, UNAVAILABLE),
    (429, "<html>slow down</html>", ProviderRateLimitedError),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_blamed_on_whose_fault_it_is(
    provider: Provider, fake: FakeProvider, streamed: bool, status: int, body: Any, kind: type[ProviderError]
) -> None:
    fake.add_raw((body if isinstance(body, str) else json.dumps(body)).encode(), raw_status=status)
    assert type(failure_of(provider, streamed=streamed)) is kind


@pytest.mark.parametrize(
    ("status", "headers", "body", "wait_s"),
    [
        (429, {}, [{"error": {"code": 429, "details": [{"retryDelay": "38s"}]}}], 38.0),
        (429, {}, {"error": {"code": "429", "message": "Please retry after 26 seconds."}}, 26.0),
        (429, {}, {"error": {"message": "Please try again in 6m0s."}}, 360.0),
        (429, {"retry-after": "30s"}, {}, 30.0),
        (429, {"x-ratelimit-reset-tokens": "1m26.4s"}, {}, 86.4),
        (429, {"retry-after": "Thu, 01 Jan 99999999999999999999 12:00:30 GMT"}, {}, None),
        (503, {"retry-after": "2"}, {}, 2.0),
        (503, {}, {"error": "Model m is currently loading", "estimated_time": 20.0}, 20.0),
    ],
)
def test_waits_are_read(
    provider: Provider, fake: FakeProvider, status: int, headers: dict[str, str], body: Any, wait_s: float | None
) -> None:
    fake.add_raw(json.dumps(body).encode(), raw_status=status, headers=headers)
    assert failure_of(provider, streamed=False).retry_after_s == wait_s


def test_stream_options_are_left_out_once_they_were_refused(provider: Provider, fake: FakeProvider) -> None:
    refusal = {"error": {"message": "property 'stream_options' is unsupported, did you mean 'stream'?"}}
    fake.add_raw(json.dumps(refusal).encode(), raw_status=400)
    error = failure_of(provider, streamed=True)
    assert error.ask_again
    assert not error.may_be_billed
    assert "stream_options" in fake.last_body()
    for _ in range(2):
        ask(provider, streamed=True)
        assert "stream_options" not in fake.last_body()


@pytest.mark.parametrize(
    ("fields", "model", "sent"),
    [
        ({"max_tokens": 90, "max_completion_tokens": 1}, "m", {"max_tokens": 90}),
        ({"max_tokens": 1, "max_completion_tokens": 90}, "m", {"max_tokens": 90}),
        ({"max_completion_tokens": 90}, "m", {"max_tokens": 90}),
        ({"max_tokens": 90}, "new", {"max_completion_tokens": 90}),
        ({"max_tokens": 90, "max_completion_tokens": 1}, "new", {"max_completion_tokens": 90}),
        ({"max_tokens": None}, "m", {}),
        ({}, "m", {}),
    ],
)
def test_the_larger_limit_is_sent_in_the_field_that_is_honoured(
    fake: FakeProvider, fields: Json, model: str, sent: Json
) -> None:
    limits = frozenset({("new", "max_completion_tokens")})
    config = ProviderConfig("p", "p-1", "secret-key-0123", fake.openai_url, completion_limit_fields=limits)
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi."}]} | fields)
    OpenAICompatibleProvider(config).complete(request, model, 5)
    body = fake.last_body()
    assert {name: body[name] for name in ("max_tokens", "max_completion_tokens") if name in body} == sent
