from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.quota.wait_words import in_words

NOW = datetime(2026, 11, 25, 19, 9, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wait_s", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (38, "38 seconds"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (3_600, "60 minutes"),
        (5_399, "90 minutes"),
        (5_400, "2 hours, at 20:40 UTC"),
        (86_400, "24 hours, at 19:10 UTC"),
        (449_433, "6 days, on 1 December at 00:00 UTC"),
        (449_467, "6 days, on 1 December at 00:01 UTC"),
        (86_400 * 400, "400 days, on 30 December at 19:10 UTC"),
    ],
)
def test_a_wait_is_said_as_a_person_reads_it(wait_s: int, words: str) -> None:
    assert in_words(wait_s, NOW) == words
    assert in_words(wait_s, NOW.astimezone(timezone(timedelta(hours=-5)))) == words


@given(st.integers(0, 10**8))
def test_who_waits_for_what_was_said_waits_long_enough(wait_s: int) -> None:
    number, unit, *_ = in_words(wait_s, NOW).replace(",", "").split()
    seconds = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}[unit.removesuffix("s")]
    assert int(number) * seconds >= wait_s
