"""Which end of an uncertain clock each use takes."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sluice.quota.clock import Moment, moment
from sluice.storage.server_clock import ServerClock

NOW_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    least_ms: float
    most_ms: float


def test_a_clock_that_may_be_right_is_believed() -> None:
    assert moment(NOW_MS, Bounds(-900, 300)) == Moment.exactly(NOW_MS)


def test_a_clock_that_is_surely_wrong_is_corrected_to_between_what_is_known() -> None:
    now = moment(NOW_MS, Bounds(-3_600_900.5, -3_600_100.5))
    assert (now.earliest_ms, now.likely_ms, now.latest_ms) == (
        NOW_MS - 3_600_901,
        NOW_MS - 3_600_500,
        NOW_MS - 3_600_100,
    )
    assert now.is_checked


def test_a_clock_that_nothing_is_known_of_is_not_checked() -> None:
    assert not moment(NOW_MS, None).is_checked


@given(
    st.integers(-(10**7), 10**7), st.lists(st.tuples(st.floats(0, 30), st.floats(0.001, 0.9)), min_size=1, max_size=30)
)
def test_the_truth_is_always_within_the_bounds(offset_ms: int, answers: list[tuple[float, float]]) -> None:
    true_s = [1_790_000_000.25]
    clock = ServerClock(lambda: true_s[0] + offset_ms / 1000, lambda: true_s[0] - 1_789_000_000)
    for gap_s, trip_s in answers:
        true_s[0] += gap_s
        sent_s = true_s[0] + offset_ms / 1000
        date = _date(true_s[0] + trip_s / 2)
        true_s[0] += trip_s
        clock.observe(date, sent_s, true_s[0] + offset_ms / 1000)
    now = moment(int(true_s[0] * 1000) + offset_ms, clock.bounds_ms())
    if now.offset_ms:
        assert now.earliest_ms - 1 <= true_s[0] * 1000 <= now.latest_ms + 1
    else:
        assert abs(offset_ms) <= 2_000


def _date(seconds: float) -> str:
    import email.utils

    return email.utils.formatdate(int(seconds), usegmt=True)
