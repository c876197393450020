"""The adapters against a fake provider that misbehaves: which ProviderError each answer becomes."""

import socket
import threading
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
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.decoding import MAX_STREAM_BYTES
from tests.failing_providers import ADAPTERS, API_KEY, PROMPT, call, failure_of
from tests.fakes import FakeProvider

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


# Adapters that are sent server-sent events.
of_events = pytest.mark.parametrize("provider", [name for name in ADAPTERS if name != "bedrock"], indirect=True)


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
