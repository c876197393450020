"""The arithmetic of limits, against a slow and obvious reference: the list of everything that was admitted."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.quota.limits import (
    Admission,
    Counter,
    Denial,
    Limit,
    QuotaState,
    Roll,
    budget_limit,
    decide,
    free_share,
    live,
    standing,
    unexplained_use,
)
from sluice.quota.windows import (
    DAY_MS,
    MINUTE_MS,
    BudgetWindow,
    CalendarWindow,
    RollingWindow,
    month_at,
    month_start_ms,
)

START_MS = 1_790_000_000_000
MINUTE = RollingWindow(MINUTE_MS)

# Arrivals that crowd together, spread out, and jump over whole windows.
gaps_ms = st.one_of(st.integers(0, 50), st.integers(0, 2_000), st.integers(0, 90_000))
arrivals = st.lists(st.tuples(gaps_ms, st.integers(1, 12)), min_size=1, max_size=120)


def taken(state: QuotaState, admission: Admission) -> QuotaState:
    """What the conditional write makes of the state."""
    counters = dict(state.counters)
    for step in admission.steps:
        if isinstance(step, Roll):
            before = counters.get(step.name, Counter(0, 0, {}))
            kept = {index: units for index, units in before.slices.items() if index not in step.expired}
            counters[step.name] = Counter(step.index, step.total, {**kept, step.index: step.cost})
        else:
            before = counters[step.name]
            assert before.head == step.index
            assert before.total <= step.capacity - step.cost
            slices = {**before.slices, step.index: before.slices.get(step.index, 0) + step.cost}
            counters[step.name] = Counter(step.index, before.total + step.cost, slices)
    return replace(state, version=state.version + 1, counters=counters)


def run(limit: Limit, steps: list[tuple[int, int]]) -> list[tuple[int, int, bool, Denial | None]]:
    """Every arrival as (time, cost, admitted, denial)."""
    state, now_ms, seen = QuotaState(), START_MS, []
    for gap_ms, cost in steps:
        now_ms += gap_ms
        decision = decide((limit,), {limit.name: cost}, state, now_ms)
        if isinstance(decision, Admission):
            state = taken(state, decision)
            counter = state.counters[limit.name]
            assert counter.total == sum(counter.slices.values())
        seen.append(
            (now_ms, cost, isinstance(decision, Admission), None if isinstance(decision, Admission) else decision)
        )
    return seen


@given(arrivals, st.integers(5, 60))
def test_no_stretch_of_the_period_ever_holds_more_than_the_capacity(
    steps: list[tuple[int, int]], capacity: int
) -> None:
    history = run(Limit("requests_per_minute", capacity, MINUTE), steps)
    admitted = [(at_ms, cost) for at_ms, cost, was_admitted, _ in history if was_admitted]
    for end_ms, _ in admitted:
        assert sum(cost for at_ms, cost in admitted if end_ms - MINUTE_MS < at_ms <= end_ms) <= capacity


@given(arrivals, st.integers(5, 60))
def test_a_bucket_refilled_over_the_period_is_never_empty(steps: list[tuple[int, int]], capacity: int) -> None:
    history = run(Limit("requests_per_minute", capacity, MINUTE), steps)
    level, last_ms = float(capacity), START_MS
    for at_ms, cost, was_admitted, _ in history:
        level = min(capacity, level + (at_ms - last_ms) * capacity / MINUTE_MS)
        last_ms = at_ms
        if was_admitted:
            level -= cost
            assert level >= -1e-6


@given(arrivals, st.integers(5, 60))
def test_what_fits_with_two_slices_to_spare_is_admitted(steps: list[tuple[int, int]], capacity: int) -> None:
    history = run(Limit("requests_per_minute", capacity, MINUTE), steps)
    for position, (at_ms, cost, was_admitted, _) in enumerate(history):
        earlier = [(t, c) for t, c, admitted, _ in history[:position] if admitted]
        recent = sum(c for t, c in earlier if t > at_ms - MINUTE_MS - 2 * MINUTE.slice_ms)
        if recent + cost <= capacity:
            assert was_admitted


@given(arrivals, st.integers(5, 60))
def test_a_refusal_says_to_the_millisecond_when_the_cost_will_fit(steps: list[tuple[int, int]], capacity: int) -> None:
    limit = Limit("requests_per_minute", capacity, MINUTE)
    state, now_ms = QuotaState(), START_MS
    for gap_ms, cost in steps:
        now_ms += gap_ms
        decision = decide((limit,), {limit.name: cost}, state, now_ms)
        if isinstance(decision, Admission):
            state = taken(state, decision)
        elif decision.retry_after_ms is None:
            assert cost > capacity
        else:
            wait_ms = decision.retry_after_ms
            assert isinstance(decide((limit,), {limit.name: cost}, state, now_ms + wait_ms), Admission)
            assert isinstance(decide((limit,), {limit.name: cost}, state, now_ms + wait_ms - 1), Denial)


@settings(max_examples=50)
@given(st.integers(20, 200))
def test_a_saturated_minute_limit_is_used_to_at_least_96_percent(capacity: int) -> None:
    limit = Limit("requests_per_minute", capacity, MINUTE)
    state, admitted, cycles = QuotaState(), 0, 20
    for step_ms in range(0, cycles * 62_000, 100):
        while isinstance(decision := decide((limit,), {limit.name: 1}, state, START_MS + step_ms), Admission):
            state = taken(state, decision)
            admitted += 1
    assert admitted >= 0.96 * capacity * cycles * 62_000 / MINUTE_MS


@given(st.lists(st.tuples(st.integers(0, DAY_MS), st.integers(1, 5)), min_size=1, max_size=60))
def test_a_calendar_day_starts_at_midnight_utc(steps: list[tuple[int, int]]) -> None:
    history = run(Limit("requests_per_day", 20, CalendarWindow("day")), steps)
    by_day: dict[int, int] = {}
    for at_ms, cost, was_admitted, denial in history:
        day = at_ms // DAY_MS
        assert was_admitted == (by_day.get(day, 0) + cost <= 20)
        if was_admitted:
            by_day[day] = by_day.get(day, 0) + cost
        else:
            assert denial is not None
            assert denial.retry_after_ms == (day + 1) * DAY_MS - at_ms


def test_all_limits_of_a_scope_are_taken_together_or_not_at_all() -> None:
    limits = (Limit("requests_per_minute", 5, MINUTE), Limit("tokens_per_minute", 100, MINUTE))
    decision = decide(limits, {"requests_per_minute": 1, "tokens_per_minute": 101}, QuotaState(), START_MS)
    assert decision == Denial("tokens_per_minute", None)


def test_a_clock_that_lags_takes_from_the_slice_the_others_are_in() -> None:
    limit = Limit("requests_per_minute", 5, MINUTE)
    ahead = decide((limit,), {limit.name: 1}, QuotaState(), START_MS)
    assert isinstance(ahead, Admission)
    state = taken(QuotaState(), ahead)
    behind = decide((limit,), {limit.name: 1}, state, START_MS - 3_000)
    assert isinstance(behind, Admission)
    assert behind.steps[0].index == state.counters[limit.name].head
    assert not behind.needs_version


def test_a_blocked_scope_admits_nothing_until_the_provider_said() -> None:
    limit = Limit("requests_per_minute", 5, MINUTE)
    state = QuotaState(version=1, blocked_until_ms=START_MS + 7_000)
    assert decide((limit,), {limit.name: 1}, state, START_MS) == Denial("blocked_by_provider", 7_000)
    assert isinstance(decide((limit,), {limit.name: 1}, state, START_MS + 7_000), Admission)
    assert free_share((limit,), state, START_MS) == 0


def test_reserved_dollars_expire_and_spent_ones_stay_until_the_month_ends() -> None:
    limit = budget_limit(1_000)
    window = BudgetWindow()
    head = window.slice_at(START_MS)
    counter = Counter(head, 700, {head: 300})  # 400 spent, 300 reserved by a process that died
    state = QuotaState(version=1, counters={limit.name: counter})
    denial = decide((limit,), {limit.name: 500}, state, START_MS)
    assert isinstance(denial, Denial)
    assert denial.retry_after_ms == window.leaves_at_ms(head) - START_MS
    later_ms = START_MS + 45 * MINUTE_MS
    assert isinstance(decide((limit,), {limit.name: 600}, state, later_ms), Admission)
    refused = decide((limit,), {limit.name: 601}, state, later_ms)
    next_month_ms = month_start_ms(month_at(later_ms) + 1)
    assert refused == Denial(limit.name, next_month_ms - later_ms)
    assert isinstance(decide((limit,), {limit.name: 1_000}, state, next_month_ms), Admission)


def test_a_reservation_made_just_before_the_month_turns_still_counts_after_it() -> None:
    limit = budget_limit(1_000)
    window = BudgetWindow()
    turn_ms = month_start_ms(month_at(START_MS) + 1)
    head = window.slice_at(turn_ms - 1)
    counted = live(window, Counter(head, 900, {head: 200}), window.slice_at(turn_ms))
    assert (counted.total, counted.spent) == (200, 0)
    state = QuotaState(version=1, counters={limit.name: Counter(head, 900, {head: 200})})
    assert isinstance(decide((limit,), {limit.name: 801}, state, turn_ms), Denial)


@given(st.integers(1980 * 12, 2200 * 12))
def test_months_are_counted_in_utc(month: int) -> None:
    assert month_at(month_start_ms(month)) == month
    assert month_at(month_start_ms(month) - 1) == month - 1
    assert month_start_ms(month) % BudgetWindow().slice_ms == 0


def test_a_provider_can_lower_a_limit_that_was_set_on_purpose_but_not_raise_it() -> None:
    from_catalogue = Limit("requests_per_day", 1_000, MINUTE)
    on_purpose = replace(from_catalogue, is_fixed=True)
    assert (from_catalogue.capacity_in_force(500), from_catalogue.capacity_in_force(2_000)) == (500, 2_000)
    assert (on_purpose.capacity_in_force(500), on_purpose.capacity_in_force(2_000)) == (500, 1_000)


def test_the_standing_of_a_limit_forgets_what_has_left() -> None:
    limit = Limit("requests_per_minute", 10, MINUTE)
    head = MINUTE.slice_at(START_MS)
    state = QuotaState(version=1, counters={limit.name: Counter(head, 7, {head - 30: 4, head: 3})})
    assert standing(limit, state, START_MS).remaining == 3
    later = standing(limit, state, START_MS + 40_000)
    assert (later.used, later.remaining) == (3, 7)
    assert free_share((limit,), state, START_MS + 70_000) == 1


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_only_what_the_ledger_cannot_explain_is_held_against_the_key(mine: int, others: int, in_flight: int) -> None:
    limit = Limit("requests_per_minute", 200, MINUTE)
    head = MINUTE.slice_at(START_MS)
    before = QuotaState(version=1, counters={limit.name: Counter(head, mine, {head: mine})})
    after = QuotaState(
        version=2, counters={limit.name: Counter(head + 1, mine + in_flight, {head: mine, head + 1: in_flight})}
    )
    remaining = 200 - mine - others
    assert unexplained_use(limit, before, after, remaining, 200) == max(0, others - in_flight)
