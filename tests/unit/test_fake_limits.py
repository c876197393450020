"""The fake provider's limits against a slow, obvious reading of the same words."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.limits import LimitBook, Meter
from tests.fakes.settings import FakeSettings, Limits

PERIOD_S = 10.0

# Times in whole and half seconds, so that window edges are hit and no float rounding blurs them.
arrivals = st.lists(st.tuples(st.integers(0, 12).map(lambda half: half / 2), st.integers(0, 6)), max_size=40)


@given(arrivals=arrivals, capacity=st.integers(1, 12), starts_at=st.integers(0, 39).map(lambda half: half / 2))
def test_each_window_is_what_its_name_says(arrivals: list[tuple[float, int]], capacity: int, starts_at: float) -> None:
    meter = Meter(capacity, PERIOD_S)
    now = starts_at
    taken: list[tuple[float, int]] = []
    level, level_at = float(capacity), now
    for pause, cost in arrivals:
        now += pause
        level, level_at = min(capacity, level + (now - level_at) * capacity / PERIOD_S), now
        expected = set()
        if sum(c for t, c in taken if t > now - PERIOD_S) + cost > capacity:
            expected.add("rolling")
        if sum(c for t, c in taken if t // PERIOD_S == now // PERIOD_S) + cost > capacity:
            expected.add("clock")
        if level + 1e-5 < cost:
            expected.add("bucket")
        violations = list(meter.violations(cost, now, now))
        assert {window for window, _, _ in violations} == expected
        if not expected:
            meter.take(cost, now)
            taken.append((now, cost))
            level -= cost


@given(
    costs=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    pauses=st.lists(st.integers(0, 8).map(lambda half: half / 2), min_size=30, max_size=30),
    cost=st.integers(1, 5),
)
def test_waiting_as_long_as_told_is_enough_and_not_longer(costs: list[int], pauses: list[float], cost: int) -> None:
    settings = FakeSettings(limits=[Limits(tokens_per_minute=10)], minute_s=PERIOD_S)
    book = LimitBook(settings)
    now = 0.0
    for pause, taken in zip(pauses, costs, strict=False):
        now += pause
        book.admit("key", "model", taken, now, now)
    refused = book.admit("key", "model", cost, now, now)
    if refused:
        wait_s = max(violation.retry_after_s for violation in refused)
        assert book.admit("key", "model", cost, now + wait_s - 0.01, now + wait_s - 0.01)
        assert not book.admit("key", "model", cost, now + wait_s + 1e-6, now + wait_s + 1e-6)


def test_a_refused_request_is_not_counted() -> None:
    book = LimitBook(FakeSettings(limits=[Limits(requests_per_minute=1, tokens_per_day=100)]))
    assert not book.admit("key", "model", 10, 0.0, 0.0)
    assert book.admit("key", "model", 10, 1.0, 1.0)
    assert book.meters("key", "model")["tokens_per_day"].remaining == 90
