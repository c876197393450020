"""What a provider's error answer means, and what of it may be repeated."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import ProviderError, ProviderRateLimitedError, ProviderRejectedError
from sluice.providers.failures import QUOTED_CHARACTERS, failure, message_in, retry_after, without
from sluice.providers.headers import GROQ_DIMENSIONS, rate_limits

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "m", "type": "t"}}, "m"),
        ({"error": "m"}, "m"),
        ({"error": ["m", "n"]}, "m"),
        ({"message": "m", "object": "error"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, "m"),
        ({"error": {"code": 7}}, ""),
        ({"error": None, "detail": []}, ""),
        (["m"], ""),
        ("m", ""),
        (None, ""),
    ],
)
def test_messages_are_found_in_every_known_form(body: Any, message: str) -> None:
    assert message_in(json.dumps(body).encode()) == message


@given(status=st.integers(100, 999), headers=st.dictionaries(st.just("retry-after"), st.text()), body=st.binary())
def test_any_error_answer_becomes_a_provider_error(status: int, headers: dict[str, str], body: bytes) -> None:
    error = failure(status, headers, body, secrets=(), now=NOW)
    assert isinstance(error, ProviderError)
    assert error.message


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "detail", "msg", "x"]), inner)
        ),
    )
)
def test_any_json_has_a_message_or_none(body: Any) -> None:
    assert isinstance(message_in(json.dumps(body).encode()), str)


@given(
    prompt=st.text(min_size=8, max_size=60),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    cut=st.integers(QUOTED_CHARACTERS, 60),
)
def test_neither_a_prompt_nor_its_beginning_is_repeated(prompt: str, before: str, after: str, cut: int) -> None:
    for quoted in (prompt, prompt[:cut]):
        said = without(before + quoted + after, [prompt, "secret-key-1"])
        assert "[...]" in said
        width = min(len(prompt), QUOTED_CHARACTERS)
        assert not any(said[start : start + width] == prompt[:width] for start in range(len(said)))


def test_a_message_that_quotes_nothing_is_repeated_as_it_is() -> None:
    body = json.dumps({"error": {"message": "'temperature': must be at most 2"}}).encode()
    error = failure(400, {}, body, secrets=["a", "What is the temperature?", "key-0123456789"])
    assert isinstance(error, ProviderRejectedError)
    assert error.message == "'temperature': must be at most 2"


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "12"}, "try again in 1s", 12.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, "", 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, "", 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:59:00 GMT"}, "", 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, "", 30.0),
        ({"retry-after": "inf"}, "try again in 1h1m1.5s", 3661.5),
        ({}, "try again in a while", None),
        ({}, "try again in 5 minutes", None),
    ],
)
def test_waiting_times_are_read_in_every_known_form(
    headers: dict[str, str], message: str, seconds: float | None
) -> None:
    assert retry_after(headers, message, NOW) == seconds


def test_an_error_of_429_carries_the_waiting_time() -> None:
    error = failure(429, {}, b'{"error": {"message": "Please try again in 7.66s."}}', secrets=())
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == 7.66


@pytest.mark.parametrize("junk", ["", "many", "nan", "inf", "-1", "1e400", "0x10"])
def test_rate_limit_headers_that_are_no_number_say_nothing(junk: str) -> None:
    headers = {"x-ratelimit-limit-requests": junk, "x-ratelimit-remaining-requests": "7.9"}
    found = rate_limits(headers, GROQ_DIMENSIONS)
    assert found.capacities == {}
    assert found.remaining == {"requests_per_day": 7}
