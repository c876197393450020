"""How far a clock is off, from the seconds that a server's Date headers tell."""

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.storage.server_clock import ServerClock

NOON_S = 1_800_000_000.0


class Clocks:
    """A server's clock, this machine's, which is `behind_s`, and one that is never set."""

    def __init__(self, behind_s: float = 0.0) -> None:
        self.true_s = NOON_S
        self.behind_s = behind_s
        self.server = ServerClock(self.local, lambda: self.true_s - NOON_S)

    def local(self) -> float:
        return self.true_s - self.behind_s

    def call(self, there_s: float = 0.01, back_s: float = 0.01) -> None:
        """Ask the server, which takes so long there and back."""
        sent_s = self.local()
        self.true_s += there_s
        date = formatdate(int(self.true_s), usegmt=True)
        self.true_s += back_s
        self.server.observe(date, sent_s, self.local())

    def bounds(self) -> tuple[float, float]:
        bounds = self.server.bounds_ms()
        assert bounds is not None
        return bounds.least_ms, bounds.most_ms


@given(
    behind_s=st.floats(-1e6, 1e6),
    calls=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 100)), min_size=1, max_size=30),
)
def test_the_offset_is_always_within_its_bounds(behind_s: float, calls: list[tuple[float, float, float]]) -> None:
    clocks = Clocks(behind_s)
    for there_s, back_s, pause_s in calls:
        clocks.call(there_s, back_s)
        least_ms, most_ms = clocks.bounds()
        # A float of seconds since 1970 is a quarter of a microsecond off.
        assert least_ms - 0.01 <= behind_s * 1000 <= most_ms + 0.01
        offset_ms = clocks.server.offset_ms()
        assert offset_ms is not None
        assert least_ms - 1 <= offset_ms <= most_ms + 1
        clocks.true_s += pause_s


@pytest.mark.parametrize("behind_s", [0.0, 0.4, -0.4, 2.5, -3600.0])
def test_many_answers_tell_the_offset_within_some_round_trips(behind_s: float) -> None:
    clocks = Clocks(behind_s)
    draw = random.Random(1)
    for _ in range(200):
        clocks.call()
        clocks.true_s += draw.uniform(0, 0.5)
    least_ms, most_ms = clocks.bounds()
    assert most_ms - least_ms < 60
    offset_ms = clocks.server.offset_ms()
    assert offset_ms is not None
    assert abs(offset_ms - behind_s * 1000) < 30


def test_nothing_is_known_before_the_first_answer() -> None:
    clock = ServerClock()
    assert clock.offset_ms() is None
    assert clock.bounds_ms() is None


def test_one_answer_tells_the_offset_within_a_second_and_a_round_trip() -> None:
    clocks = Clocks(behind_s=5)
    clocks.call(0.1, 0.2)
    # The Date says noon, which was no later than the answer came and at most a second before the request was sent.
    assert clocks.bounds() == pytest.approx((5_000 - 300, 5_000 + 1_000))


def test_what_is_known_is_less_certain_the_older_it_is() -> None:
    clocks = Clocks()
    clocks.call()
    least_ms, most_ms = clocks.bounds()
    clocks.true_s += 600
    assert clocks.bounds() == pytest.approx((least_ms - 300, most_ms + 300))


@pytest.mark.parametrize("step_s", [-90.0, -0.7, 0.7, 5.0])
def test_a_clock_that_was_set_is_unknown_until_the_next_answer(step_s: float) -> None:
    clocks = Clocks()
    for _ in range(50):
        clocks.call(0.3, 0.3)
    clocks.behind_s = step_s
    assert clocks.server.offset_ms() is None
    clocks.call()
    least_ms, most_ms = clocks.bounds()
    assert least_ms <= step_s * 1000 <= most_ms


def test_a_server_whose_clock_was_set_is_believed_from_then_on() -> None:
    clocks = Clocks()
    clocks.call()
    clocks.server.observe(formatdate(int(clocks.true_s + 60), usegmt=True), clocks.local(), clocks.local())
    least_ms, most_ms = clocks.bounds()
    assert least_ms <= 60_000 <= most_ms + 1_000
    assert most_ms - least_ms <= 1_000


@pytest.mark.parametrize(
    "date",
    ["", "soon", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nox 1994 08:49:37 GMT"],
)
def test_what_is_no_date_changes_nothing(date: str) -> None:
    clocks = Clocks()
    clocks.server.observe(date, NOON_S, NOON_S)
    assert clocks.server.offset_ms() is None
    clocks.call()
    before = clocks.bounds()
    clocks.server.observe(date, NOON_S, NOON_S)
    assert clocks.bounds() == before
