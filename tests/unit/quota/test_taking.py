"""The arithmetic of limits, against a slow and obvious reference: the list of everything that was admitted."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.quota.limits import BUDGET, Denial, Limit, budget_limit, caller_limits, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.windows import (
    CALENDAR_MONTH,
    DAY_MS,
    MINUTE_MS,
    ROLLING_DAY,
    ROLLING_MINUTE,
    month_at,
    month_start_ms,
)
from tests.examples import examples
from tests.quota_processes import START_MS, Process, World, most_in_any_stretch

REQUESTS = "requests_per_minute"
TOKENS = "tokens_per_minute"

# Arrivals that crowd together, spread out, and jump over whole windows.
gaps_ms = st.one_of(st.integers(0, 50), st.integers(0, 2_000), st.integers(0, 90_000))
arrivals = st.lists(st.tuples(gaps_ms, st.integers(1, 12)), min_size=1, max_size=60)


def run(limit: Limit, steps: list[tuple[int, int]]) -> list[tuple[int, int, Denial | None]]:
    """Every arrival as (time, cost, denial)."""
    world = World()
    seen = []
    for gap_ms, cost in steps:
        world.now_ms += gap_ms
        # Each a process of its own: nobody remembers a refusal.
        outcome = Process(world).reserve("d", (limit,), {limit.name: cost})
        world.check()
        seen.append((world.now_ms, cost, outcome if isinstance(outcome, Denial) else None))
    return seen


def admitted(history: list[tuple[int, int, Denial | None]]) -> list[tuple[float, int]]:
    return [(at_ms, cost) for at_ms, cost, denial in history if denial is None]


@given(arrivals, st.integers(5, 60))
def test_no_stretch_of_the_period_ever_holds_more_than_the_capacity(
    steps: list[tuple[int, int]], capacity: int
) -> None:
    history = run(deployment_limit(REQUESTS, capacity), steps)
    assert most_in_any_stretch(admitted(history), MINUTE_MS) <= capacity


@given(arrivals, st.integers(5, 60))
def test_a_bucket_refilled_over_the_period_is_never_empty(steps: list[tuple[int, int]], capacity: int) -> None:
    level, last_ms = float(capacity), float(START_MS)
    for at_ms, cost in admitted(run(deployment_limit(REQUESTS, capacity), steps)):
        level = min(capacity, level + (at_ms - last_ms) * capacity / MINUTE_MS) - cost
        last_ms = at_ms
        assert level >= -1e-6


@given(arrivals, st.integers(5, 60))
def test_what_fits_with_two_slices_to_spare_is_admitted(steps: list[tuple[int, int]], capacity: int) -> None:
    history = run(deployment_limit(REQUESTS, capacity), steps)
    for position, (at_ms, cost, denial) in enumerate(history):
        earlier = admitted(history[:position])
        recent = sum(c for t, c in earlier if t > at_ms - MINUTE_MS - 2 * ROLLING_MINUTE.slice_ms)
        if recent + cost <= capacity:
            assert denial is None


@given(arrivals, st.integers(5, 60))
def test_a_refusal_says_to_the_millisecond_when_the_cost_will_fit(steps: list[tuple[int, int]], capacity: int) -> None:
    limit = deployment_limit(REQUESTS, capacity)
    world = World()
    for gap_ms, cost in steps:
        world.now_ms += gap_ms
        outcome = Process(world).reserve("d", (limit,), {limit.name: cost})
        if not isinstance(outcome, Denial):
            continue
        if outcome.retry_after_ms is None:
            assert cost > capacity
            continue
        before = world.now_ms
        world.now_ms = before + outcome.retry_after_ms - 1
        assert isinstance(Process(world).reserve("d", (limit,), {limit.name: cost}), Denial)
        world.now_ms += 1
        waited = Process(world).reserve("d", (limit,), {limit.name: cost})
        assert isinstance(waited, Reservation)


@pytest.mark.slow
@settings(max_examples=examples(10))
@given(st.integers(20, 200))
def test_a_saturated_minute_limit_is_used_to_at_least_96_percent(capacity: int) -> None:
    limit = deployment_limit(REQUESTS, capacity)
    world, cycles, count = World(), 5, 0
    cycle_ms = (ROLLING_MINUTE.kept_slices + 1) * ROLLING_MINUTE.slice_ms
    process = Process(world)
    for _ in range(0, cycles * cycle_ms, 200):
        while isinstance(process.reserve("d", (limit,), {REQUESTS: 1}), Reservation):
            count += 1
        world.now_ms += 200
    assert count >= 0.96 * capacity * cycles * cycle_ms / MINUTE_MS


def test_both_windows_leave_a_margin_and_waste_less_than_four_percent() -> None:
    for window in (ROLLING_MINUTE, ROLLING_DAY):
        assert window.margin_ms >= 1_000
        assert window.period_ms / ((window.kept_slices + 1) * window.slice_ms) > 0.96


@given(st.lists(st.tuples(st.integers(0, DAY_MS), st.integers(1, 5)), min_size=1, max_size=40))
def test_a_calendar_day_starts_at_midnight_utc(steps: list[tuple[int, int]]) -> None:
    limit = caller_limits(1, 20)[1]
    by_day: dict[int, int] = {}
    for at_ms, cost, denial in run(limit, steps):
        day = at_ms // DAY_MS
        assert (denial is None) == (by_day.get(day, 0) + cost <= 20)
        if denial is None:
            by_day[day] = by_day.get(day, 0) + cost
        else:
            assert denial.retry_after_ms == (day + 1) * DAY_MS - at_ms


def test_all_limits_of_a_scope_are_taken_together_or_not_at_all() -> None:
    limits = (deployment_limit(REQUESTS, 5), deployment_limit(TOKENS, 100))
    world = World()
    outcome = Process(world).reserve("d", limits, {REQUESTS: 1, TOKENS: 101})
    assert outcome == Denial(TOKENS, None)
    assert world.item("d").total("r") == 0


def test_requests_and_tokens_of_all_windows_are_counted_by_one_write() -> None:
    names = (REQUESTS, TOKENS, "requests_per_day", "tokens_per_day")
    limits = tuple(deployment_limit(name, 10**6) for name in names)
    world = World()
    process = Process(world)
    for _ in range(2):
        process.reserve("d", limits, {REQUESTS: 1, TOKENS: 700, "requests_per_day": 1, "tokens_per_day": 700})
    item = world.item("d")
    assert [item.total(code) for code in "rtRT"] == [2, 1400, 2, 1400]
    assert len(world.dynamodb.items["d"]) < 20
    world.check()


def test_a_limit_that_is_new_counts_from_now() -> None:
    world = World()
    process = Process(world)
    requests, tokens = deployment_limit(REQUESTS, 5), deployment_limit(TOKENS, 100)
    process.reserve("d", (requests,), {REQUESTS: 1})
    process.reserve("d", (requests, tokens), {REQUESTS: 1, TOKENS: 60})
    assert isinstance(process.reserve("d", (requests, tokens), {REQUESTS: 1, TOKENS: 60}), Denial)
    assert [world.item("d").total(code) for code in "rt"] == [2, 60]
    world.check()


def test_a_limit_that_is_no_more_leaves_with_its_slices() -> None:
    world = World()
    process = Process(world)
    requests, tokens = deployment_limit(REQUESTS, 5), deployment_limit(TOKENS, 100)
    process.reserve("d", (requests, tokens), {REQUESTS: 1, TOKENS: 60})
    world.now_ms += 70_000
    process.reserve("d", (requests,), {REQUESTS: 1})
    assert [world.item("d").total(code) for code in "rt"] == [1, 0]
    world.check()


def test_a_clock_that_lags_takes_from_the_slice_the_others_are_in() -> None:
    world = World()
    limit = deployment_limit(REQUESTS, 5)
    ahead = Process(world).reserve("d", (limit,), {REQUESTS: 1})
    behind = Process(world, lag_ms=3_000).reserve("d", (limit,), {REQUESTS: 1})
    assert isinstance(ahead, Reservation)
    assert isinstance(behind, Reservation)
    assert ahead.taken[REQUESTS][0] == behind.taken[REQUESTS][0]


@pytest.mark.parametrize("idle_ms", [0, 1_220, 61_000, 62_220, 78_080, 79_300, 1_000_000])
def test_a_slot_that_is_used_again_holds_the_new_slice_alone(idle_ms: int) -> None:
    world = World(now_ms=START_MS // 78_080 * 78_080)  # 64 slices
    process = Process(world)
    limit = deployment_limit(REQUESTS, 100)
    for _ in range(3):
        process.reserve("d", (limit,), {REQUESTS: 2})
        world.now_ms += 1_220
    world.now_ms += idle_ms
    process.reserve("d", (limit,), {REQUESTS: 2})
    world.check()


def test_a_blocked_scope_admits_nothing_until_the_provider_said() -> None:
    world = World()
    limit = deployment_limit(REQUESTS, 5)
    Process(world).reserve("d", (limit,), {REQUESTS: 1})
    world.dynamodb.items["d"]["b"] = {"N": str(START_MS + 7_000)}
    assert Process(world).reserve("d", (limit,), {REQUESTS: 1}) == Denial("blocked_by_provider", 7_000)
    world.now_ms += 7_000
    assert isinstance(Process(world).reserve("d", (limit,), {REQUESTS: 1}), Reservation)


def test_a_budget_counts_until_its_month_ends_and_forgets_no_reservation() -> None:
    world = World()
    limit = budget_limit(1_000)
    Process(world).reserve("t", (limit,), {BUDGET: 900})  # by a process that died
    world.now_ms += 4 * DAY_MS
    refused = Process(world).reserve("t", (limit,), {BUDGET: 101})
    assert refused == Denial(BUDGET, month_start_ms(month_at(world.now_ms) + 1) - world.now_ms)
    assert isinstance(Process(world).reserve("t", (limit,), {BUDGET: 100}), Reservation)
    world.now_ms = month_start_ms(month_at(world.now_ms) + 1)
    assert isinstance(Process(world).reserve("t", (limit,), {BUDGET: 1_000}), Reservation)


@given(st.integers(1980 * 12, 2200 * 12))
def test_months_are_counted_in_utc(month: int) -> None:
    assert month_at(month_start_ms(month)) == month
    assert month_at(month_start_ms(month) - 1) == month - 1
    assert CALENDAR_MONTH.leaves_at_ms(CALENDAR_MONTH.slice_at(month_start_ms(month))) == month_start_ms(month + 1)


def test_a_provider_can_lower_a_limit_that_was_set_on_purpose_but_not_raise_it() -> None:
    from_catalogue = deployment_limit("requests_per_day", 1_000)
    on_purpose = replace(from_catalogue, is_fixed=True)
    assert (from_catalogue.capacity_in_force(500), from_catalogue.capacity_in_force(2_000)) == (500, 2_000)
    assert (on_purpose.capacity_in_force(500), on_purpose.capacity_in_force(2_000)) == (500, 1_000)
