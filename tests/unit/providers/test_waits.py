"""Waiting times are read in every spelling that providers use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.providers.error_body import ErrorBody
from sluice.providers.waits import duration_s, wait_s

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
EPOCH_S = int(NOW.timestamp())
GEMINI = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "You exceeded your current quota.",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}],
    }
}
OPENROUTER = {
    "error": {
        "message": "Rate limit exceeded: free-models-per-min.",
        "code": 429,
        "metadata": {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Reset": str((EPOCH_S + 25) * 1000)}},
    }
}


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "12"}, "try again in 1s", 12.0),
        ({"retry-after": "0"}, "", 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, "", 0.25),
        ({"x-ms-retry-after-ms": "1500"}, "", 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, "", 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:59:00 GMT"}, "", 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, "", 30.0),
        ({"retry-after": "2026-01-01T12:00:30Z"}, "", 30.0),
        ({"retry-after": "30s"}, "", 30.0),
        ({"retry-after": "1m26.4s"}, "", 86.4),
        ({"retry-after": "500ms"}, "", 0.5),
        ({"retry-after": str(EPOCH_S + 9)}, "", 9.0),
        ({"retry-after": str((EPOCH_S + 9) * 1000)}, "", 9.0),
        ({"retry-after": "inf"}, "try again in 1h1m1.5s", 3661.5),
        ({"retry-after": "Thu, 01 Jan 99999999999999999999 12:00:30 GMT"}, "", None),
        ({"retry-after": "-3"}, "", None),
        ({"retry-after": "5, 5"}, "", 5.0),
        ({"retry-after": f"3,{EPOCH_S + 9}"}, "", 9.0),
        ({"retry-after": "5, soon"}, "", None),
        ({"retry-after": ","}, "", None),
        ({"retry-after": "9" * 400}, "", None),
        ({}, GEMINI, 38.0),
        ({}, {"error": {"details": [{"retryDelay": "0.5s"}]}}, 0.5),
        ({}, {"error": {"retry_after": 3}}, 3.0),
        ({}, {"detail": "slow down", "retry_after_seconds": 4}, 4.0),
        ({}, {"error": "Model m is currently loading", "estimated_time": 20.5}, 20.5),
        ({}, OPENROUTER, 25.0),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please try again in 7.66s. Need more tokens?", 7.66),
        ({}, "Please retry in 38.123456789s.", 38.123456789),
        ({}, "Please retry after 26 seconds. To increase your limit", 26.0),
        ({}, "Please retry after 26.", 26.0),
        ({}, "Try again in 5 minutes", 300.0),
        ({}, "try again in 1 hour, 2 minutes and 3 seconds", 3723.0),
        ({}, "Rate limit exceeded, please wait 10 seconds", 10.0),
        ({}, "The limit resets in 1d", 86_400.0),
        ({}, "retry after 559.999µs", pytest.approx(559.999e-6)),
        ({}, "Please retry your request after 2 mins", 120.0),
        ({}, '{"message": "x", "retryDelay": "17s"', 17.0),
        ({}, "try again at 2026-01-01T12:01:00Z", 60.0),
        ({}, "try again in a while", None),
        ({}, "Retried 3 times in 5s", None),
        ({"x-ratelimit-reset-requests": "2m59.56s", "x-ratelimit-reset-tokens": "7.66s"}, "", 7.66),
        (
            {
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "7.66s",
                "x-ratelimit-remaining-tokens": "100",
            },
            "",
            179.56,
        ),
        ({"x-ratelimit-reset": str(EPOCH_S + 5)}, "", 5.0),
        ({"x-ratelimit-reset": str((EPOCH_S + 5) * 1000)}, "", 5.0),
        ({"x-ratelimit-reset-after": "1.5", "x-ratelimit-remaining": "0"}, "", 1.5),
        ({"ratelimit-reset": "50"}, "", 50.0),
        ({"anthropic-ratelimit-requests-reset": "2026-01-01T12:00:20Z"}, "", 20.0),
        ({"x-ratelimit-limit-requests": "30"}, "", None),
    ],
)
def test_waiting_times_are_read_in_every_known_form(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    assert wait_s(headers, ErrorBody.of(body), NOW) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 potatoes", "s", "1m26.4", "soon", "-5s"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration_s(text) is None


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_durations_as_go_writes_them(hours: int, minutes: int, milliseconds: int) -> None:
    written = timedelta(hours=hours, minutes=minutes, milliseconds=milliseconds)
    assert duration_s(f"{hours}h{minutes}m{milliseconds / 1000}s") == pytest.approx(written.total_seconds())


@given(
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens"]), st.text()
    ),
    body=st.text()
    | st.dictionaries(st.sampled_from(["retryDelay", "retry_after", "message"]), st.text() | st.floats()),
)
def test_no_answer_stops_the_reading(headers: dict[str, str], body: Any) -> None:
    seconds = wait_s(headers, ErrorBody.of(body), NOW)
    assert seconds is None or seconds >= 0
