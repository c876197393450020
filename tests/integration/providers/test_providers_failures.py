"""The adapters against a fake provider that misbehaves: which ProviderError each fault becomes, and how soon."""

import socket
import threading
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sluice.chat import ChatRequest
from sluice.errors import (
    ProviderAuthenticationError,
    ProviderError,
    ProviderModelError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.anthropic import AnthropicProvider
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.bedrock import BedrockProvider
from sluice.providers.decoding import MAX_STREAM_BYTES
from sluice.providers.gemini import GeminiProvider
from sluice.providers.groq import GroqProvider
from sluice.providers.huggingface import HuggingFaceProvider
from sluice.providers.openai_compatible import OpenAICompatibleProvider
from tests.fakes import FakeProvider

ADAPTERS: dict[str, type[Provider]] = {
    "groq": GroqProvider,
    "huggingface": HuggingFaceProvider,
    "openai": OpenAICompatibleProvider,
    "gemini": GeminiProvider,
    "anthropic": AnthropicProvider,
    "bedrock": BedrockProvider,
}
API_KEY = "secret-key-0123456789"
PROMPT = "the patient's name is Rosalind"
ANSWER = "her diagnosis is confidential"
TIMEOUT_S = 0.4
# What a call may take over its time-out: the machine is shared.
SLACK_S = 1.5

UNAVAILABLE, TIMED_OUT, BROKEN = ProviderUnavailableError, ProviderTimeoutError, ProviderProtocolError
STATUSES: dict[int, type[ProviderError]] = {
    400: ProviderRejectedError,
    401: ProviderAuthenticationError,
    402: ProviderAuthenticationError,
    403: ProviderUnsuitedError,
    404: ProviderModelError,
    408: UNAVAILABLE,
    409: UNAVAILABLE,
    413: ProviderUnsuitedError,
    422: ProviderRejectedError,
    429: ProviderRateLimitedError,
    498: UNAVAILABLE,
    500: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
    529: UNAVAILABLE,
}
MAY_BE_BILLED = {408, 502, 504}
BROKEN_ANSWERS = [
    "reset",
    "cut",
    "garbage",
    "not_utf8",
    "array",
    "html",
    "empty_choices",
    "no_choices",
    "choices_not_a_list",
    "content_not_text",
]
BROKEN_STREAMS = [*BROKEN_ANSWERS, "ends_early", "error_midway"]
# What follows such a delta would make a whole stream of it.
END = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WRONG_MESSAGES = [
    '{"content": 42}',
    '{"content": [1]}',
    '{"content": {"x": 1}}',
    '{"reasoning": 1}',
    '{"reasoning_content": false}',
    '{"tool_calls": "f"}',
    '{"tool_calls": ["f"]}',
    '{"tool_calls": [{"function": 1}]}',
    '{"tool_calls": [{"function": {"name": 1}}]}',
    '{"tool_calls": [{"function": {"arguments": 1}}]}',
    '{"function_call": {"arguments": true}}',
]
WRONG_FIELDS = ['"index": -1', '"index": true', '"index": 0.5', '"index": "one"']
SLOW_ANSWERS = ["hang", "hang_midway", "drip", "drip_headers", "slow"]


# Adapters that are sent server-sent events.
of_events = pytest.mark.parametrize("provider", [name for name in ADAPTERS if name != "bedrock"], indirect=True)


@pytest.fixture
def fake(shared_fake: FakeProvider) -> FakeProvider:
    shared_fake.reset()
    shared_fake.configure(answer=ANSWER)
    return shared_fake


@pytest.fixture(params=ADAPTERS)
def provider(request: pytest.FixtureRequest, fake: FakeProvider) -> Provider:
    urls = {
        "groq": fake.groq_url,
        "huggingface": fake.huggingface_url,
        "openai": fake.openai_url,
        "gemini": fake.gemini_url,
        "anthropic": fake.anthropic_url,
        "bedrock": fake.bedrock_url,
    }
    name: str = request.param
    return ADAPTERS[name](ProviderConfig(name, f"{name}-1", API_KEY, urls[name]))


@pytest.fixture(params=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "streamed")


def call(provider: Provider, streamed: bool, timeout_s: float = 5.0, **fields: Any) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]} | fields
    request = ChatRequest.model_validate(body)
    if streamed:
        list(provider.stream(request, "m", timeout_s))
    else:
        provider.complete(request, "m", timeout_s)


def failure_of(provider: Provider, streamed: bool, timeout_s: float = 5.0) -> ProviderError:
    """The error a call ends with, after a look at what its traceback, as a log would have it, gives away."""
    with pytest.raises(ProviderError) as raised:
        call(provider, streamed, timeout_s)
    logged = "".join(traceback.format_exception_only(raised.value)) + repr(raised.value.__dict__)
    cause = raised.value.__cause__
    if cause is not None:
        logged += str(cause)
    for secret in (API_KEY, PROMPT, ANSWER):
        assert secret not in logged
    return raised.value


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_becomes_its_error(provider: Provider, streamed: bool, fake: FakeProvider, status: int) -> None:
    fake.add_fault(str(status), message=f"key {API_KEY} cannot ask: {PROMPT}")
    error = failure_of(provider, streamed)
    assert type(error) is STATUSES[status]
    assert error.status == status
    assert error.was_sent
    assert error.may_be_billed == (status in MAY_BE_BILLED)
    assert fake.state()["requests"] == 1


def test_a_rejection_has_the_providers_words_without_secrets(
    provider: Provider, streamed: bool, fake: FakeProvider
) -> None:
    fake.add_fault("400", message=f"'{PROMPT}' is too short for {API_KEY}; " + "x" * 1000)
    error = failure_of(provider, streamed)
    assert error.message.startswith("'[...]' is too short for [...]; xxx")
    assert len(error.message) == 500


@pytest.mark.parametrize(
    ("details", "retry_after_s"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "9", "headers": {"retry-after-ms": "1500"}}, 1.5),
        ({"message": "Limit 30, Used 30. Please try again in 7.66s."}, 7.66),
        ({"message": "Please try again in 1m26.4s. Visit us"}, 86.4),
        ({"message": "Please try again in 2h3m0.5s"}, 7380.5),
        ({"message": "Please try again in 450ms"}, 0.45),
        ({"retry_after": "soon", "message": "Please try again in 2s"}, 2.0),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(
    provider: Provider, streamed: bool, fake: FakeProvider, details: dict[str, Any], retry_after_s: float | None
) -> None:
    fake.add_fault("429", **details)
    error = failure_of(provider, streamed)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == (retry_after_s if retry_after_s is None else pytest.approx(retry_after_s))


def test_a_rate_limit_may_name_a_date(provider: Provider, fake: FakeProvider) -> None:
    at = datetime.now(UTC) + timedelta(seconds=60)
    fake.add_fault("429", retry_after=format_datetime(at, usegmt=True))
    error = failure_of(provider, streamed=False)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s is not None
    assert 57 < error.retry_after_s <= 60


def test_the_fakes_own_limit_is_told_to_the_second(provider: Provider, streamed: bool, fake: FakeProvider) -> None:
    fake.configure(limits=[{"requests_per_minute": 1}], windows=["rolling"])
    call(provider, streamed)
    error = failure_of(provider, streamed)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s is not None
    assert 58 < error.retry_after_s <= 60


@pytest.mark.parametrize("fault", BROKEN_ANSWERS)
def test_a_broken_answer_is_a_protocol_error(provider: Provider, fake: FakeProvider, fault: str) -> None:
    fake.add_fault(fault)
    error = failure_of(provider, streamed=False)
    assert type(error) is BROKEN
    assert error.may_be_billed


@pytest.mark.parametrize("fault", BROKEN_STREAMS)
def test_a_broken_stream_is_a_protocol_error(provider: Provider, fake: FakeProvider, fault: str) -> None:
    fake.add_fault(fault)
    error = failure_of(provider, streamed=True)
    assert type(error) is BROKEN
    assert error.may_be_billed


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        '{"choices": [{"message": "a"}]}',
        '{"choices": [{}]}',
        '{"choices": ["a"]}',
        '{"choices": [{"message": {"content": null, "tool_calls": {"0": "f"}}}]}',
        "[" * 100_000,
        *(f'{{"choices": [{{"message": {message}}}]}}' for message in WRONG_MESSAGES),
        *(f'{{"choices": [{{"message": {{"content": "a"}}, {field}}}]}}' for field in WRONG_FIELDS),
    ],
)
def test_an_answer_of_wrong_types_is_a_protocol_error(provider: Provider, fake: FakeProvider, body: str) -> None:
    fake.add_fault("raw", message=body)
    assert type(failure_of(provider, streamed=False)) is BROKEN


@pytest.mark.parametrize(
    "events",
    [
        "",
        "data: [DONE]\n\n",
        "data: null\n\n",
        'data: {"choices": [{"index": -1, "delta": {}}]}\n\n',
        'data: {"choices": [{"index": 0, "delta": []}]}\n\n',
        'data: {"choices": [{"index": 0, "delta": {"content": {"text": "a"}}}]}\n\n',
        'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n',
        'data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n',
        *(f'data: {{"choices": [{{"delta": {delta}}}]}}\n\n{END}' for delta in WRONG_MESSAGES),
        *(f'data: {{"choices": [{{"delta": {{"content": "a"}}, {field}}}]}}\n\n{END}' for field in WRONG_FIELDS),
    ],
)
def test_a_stream_of_wrong_types_is_a_protocol_error(provider: Provider, fake: FakeProvider, events: str) -> None:
    fake.add_fault("raw", message=events)
    assert type(failure_of(provider, streamed=True)) is BROKEN


@of_events
def test_a_stream_without_end_is_cut_off(provider: Provider) -> None:
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}], "x": "' + b"x" * 1_000_000 + b'"}\n\n'
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            with connection, suppress(ConnectionError):
                while True:
                    connection.sendall(event)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = failure_of(type(provider)(ProviderConfig("p", "p-1", API_KEY, url)), streamed=True, timeout_s=60)
        assert type(error) is BROKEN
        assert error.message == f"the answer has more than {MAX_STREAM_BYTES} bytes"
        thread.join(5)


@pytest.mark.parametrize("usage", ["no_usage", "negative_usage", "huge_usage", "string_usage"])
def test_wrong_usage_does_not_cost_the_answer(
    provider: Provider, streamed: bool, fake: FakeProvider, usage: str
) -> None:
    fake.add_fault(usage)
    call(provider, streamed)


def test_what_came_before_a_stream_broke_is_delivered(provider: Provider, fake: FakeProvider) -> None:
    fake.add_fault("cut")
    request = ChatRequest.model_validate({"model": "auto", "messages": [{"role": "user", "content": PROMPT}]})
    texts: list[str] = []
    chunks = iter(provider.stream(request, "m", 5))
    with pytest.raises(ProviderProtocolError):
        texts.extend(text for chunk in chunks for _, text in chunk.deltas)
    assert "".join(texts) in ("her diagnosis", "her diagnosis is")


@of_events
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ('{"message": "overloaded", "type": "server_error", "code": null}', UNAVAILABLE),
        ('{"message": "busy", "code": 503}', UNAVAILABLE),
        ('{"message": "slow down", "code": 429}', ProviderRateLimitedError),
        ('{"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}', ProviderRateLimitedError),
        ('{"message": "no such role", "type": "invalid_request_error"}', ProviderRejectedError),
        ('"out of memory"', UNAVAILABLE),
    ],
)
def test_an_error_object_under_status_200_is_what_it_says(
    provider: Provider, streamed: bool, fake: FakeProvider, error: str, kind: type[ProviderError]
) -> None:
    body = f'{{"error": {error}}}'
    fake.add_fault("raw", message=f"data: {body}\n\n" if streamed else body)
    found = failure_of(provider, streamed)
    assert type(found) is kind
    assert not found.may_be_billed


@pytest.mark.parametrize("fault", SLOW_ANSWERS)
def test_the_time_out_bounds_the_whole_call(provider: Provider, streamed: bool, fake: FakeProvider, fault: str) -> None:
    call(provider, streamed)  # the first call imports the SDK
    fake.add_fault(fault, delay_s=TIMEOUT_S * 0.6 if fault == "slow" and streamed else TIMEOUT_S * 2)
    if fault.startswith("drip"):
        fake.clear_faults()
        fake.add_fault(fault, delay_s=TIMEOUT_S / 10)
    started_s = time.monotonic()
    error = failure_of(provider, streamed, TIMEOUT_S)
    took_s = time.monotonic() - started_s
    assert type(error) is TIMED_OUT
    assert error.may_be_billed
    assert TIMEOUT_S - 0.05 <= took_s <= TIMEOUT_S + SLACK_S


def test_a_byte_just_before_the_time_out_does_not_buy_more_time(
    provider: Provider, streamed: bool, fake: FakeProvider
) -> None:
    call(provider, streamed)
    fake.add_fault("drip", delay_s=TIMEOUT_S * 0.75)
    started_s = time.monotonic()
    assert type(failure_of(provider, streamed, TIMEOUT_S)) is TIMED_OUT
    assert time.monotonic() - started_s <= TIMEOUT_S + SLACK_S


def test_nobody_listening_is_unavailable_and_nothing_was_sent(streamed: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for adapter in ADAPTERS.values():
            error = failure_of(adapter(ProviderConfig("p", "p-1", API_KEY, url)), streamed)
            assert type(error) is UNAVAILABLE
            assert not error.was_sent
            assert not error.may_be_billed


def test_a_host_without_an_address_is_unavailable() -> None:
    for adapter in ADAPTERS.values():
        config = ProviderConfig("p", "p-1", API_KEY, "http://no-such-host.invalid")
        assert type(failure_of(adapter(config), streamed=False)) is UNAVAILABLE


def test_a_server_that_speaks_no_http_is_a_protocol_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in ADAPTERS:
                connection, _ = server.accept()
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        for adapter in ADAPTERS.values():
            assert type(failure_of(adapter(ProviderConfig("p", "p-1", API_KEY, url)), streamed=False)) is BROKEN
        thread.join(5)


def test_a_redirect_is_not_followed_with_the_key(provider: Provider, fake: FakeProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            head = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {fake.openai_url}/chat/completions"
            connection.sendall(f"{head}\r\ncontent-length: 0\r\n\r\n".encode())
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        moved = type(provider)(ProviderConfig("p", "p-1", API_KEY, url))
        assert type(failure_of(moved, streamed=False)) is BROKEN
        thread.join(5)
    assert fake.requests() == []


def test_a_key_the_provider_does_not_know_is_an_authentication_error(
    provider: Provider, streamed: bool, fake: FakeProvider
) -> None:
    fake.configure(api_keys=["another-key"])
    assert type(failure_of(provider, streamed)) is ProviderAuthenticationError


def test_a_provider_is_usable_again_after_every_fault(provider: Provider, streamed: bool, fake: FakeProvider) -> None:
    for fault in (*BROKEN_STREAMS, "500", "hang"):
        fake.clear_faults()
        fake.add_fault(fault)
        if fault not in ("ends_early",) or streamed:
            failure_of(provider, streamed, 0.3)
    fake.clear_faults()
    call(provider, streamed)


def test_a_number_that_json_does_not_have_is_refused_before_sending(fake: FakeProvider) -> None:
    request = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "x": float("nan")}
    )
    config = ProviderConfig("p", "p-1", API_KEY, fake.root_url, allowed_fields=frozenset({"x"}))
    for adapter in ADAPTERS.values():
        with pytest.raises(ProviderRejectedError, match="JSON"):
            adapter(config).complete(request, "m", 5)
    assert fake.requests() == []


@pytest.mark.parametrize(
    ("rest", "after_s"),
    [("content-length: 100\r\n\r\n{", 0.0), ("content-length: 100\r\n\r\n{", 4.0), ("", 0.0)],
    ids=["cut", "hanging", "cut within headers"],
)
def test_the_status_of_an_error_counts_even_if_its_body_does_not_come(
    provider: Provider, streamed: bool, rest: str, after_s: float
) -> None:
    has_ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 503 Service Unavailable\r\n{rest}".encode())
            has_ended.wait(after_s)
            connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        started_s = time.monotonic()
        error = failure_of(type(provider)(ProviderConfig("p", "p-1", API_KEY, url)), streamed)
        assert time.monotonic() - started_s < 3
        assert type(error) is (UNAVAILABLE if rest else BROKEN)
        has_ended.set()
        thread.join(5)


def test_a_server_that_does_not_take_the_request_is_a_time_out(provider: Provider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        full = type(provider)(ProviderConfig("p", "p-1", API_KEY, url))
        started_s = time.monotonic()
        with pytest.raises(ProviderTimeoutError):
            # Time enough to write 20 MB as JSON on a machine that is shared, and to connect.
            call(full, streamed=False, timeout_s=5 * TIMEOUT_S, user="x" * 20_000_000)
        assert time.monotonic() - started_s <= 5 * TIMEOUT_S + SLACK_S
