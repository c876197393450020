"""The arithmetic of limits: what may be admitted, and what becomes of a counter. Pure; times are passed in.

A limit is a sum that expires in slices. A counter holds `total` (everything that counts), the current slice `head`,
and what was taken in each slice. Taking from the current slice needs no knowledge of the others (`Stay`); moving on to
a new slice drops those that have left (`Roll`). The ledger turns these steps into conditional writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice.quota.windows import DAY_MS, MINUTE_MS, BudgetWindow, CalendarWindow, RollingWindow, Window, month_at


@dataclass(frozen=True, slots=True)
class Limit:
    """`capacity` units over a window. `is_fixed`: somebody set it on purpose, so a provider may only lower it."""

    name: str
    capacity: int
    window: Window
    is_fixed: bool = False

    def capacity_in_force(self, learned: int | None) -> int:
        """The capacity, given what the provider's headers said it is (None: nothing)."""
        if learned is None:
            return self.capacity
        return min(self.capacity, learned) if self.is_fixed else learned


DEPLOYMENT_WINDOWS: Mapping[str, Window] = {
    "requests_per_minute": RollingWindow(MINUTE_MS),
    "requests_per_day": RollingWindow(DAY_MS),
    "tokens_per_minute": RollingWindow(MINUTE_MS),
    "tokens_per_day": RollingWindow(DAY_MS),
    "characters_per_month": CalendarWindow("month"),
}
CALLER_WINDOWS: Mapping[str, Window] = {
    "requests_per_minute": RollingWindow(MINUTE_MS),
    "requests_per_day": CalendarWindow("day"),
}
BUDGET = "nanousd_per_month"


def budget_limit(nanousd: int) -> Limit:
    """A tenant's monthly budget, in billionths of a dollar."""
    return Limit(BUDGET, nanousd, BudgetWindow(), is_fixed=True)


@dataclass(frozen=True, slots=True)
class Counter:
    """What has been taken from one limit. Spending outside of slices (budgets) is what `total` has over their sum."""

    head: int
    total: int
    slices: Mapping[int, int]

    @property
    def spent(self) -> int:
        """What counts without lying in a slice."""
        return self.total - sum(self.slices.values())


@dataclass(frozen=True, slots=True)
class QuotaState:
    """Everything known of one scope's limits, as of one version of its item."""

    version: int = 0
    counters: Mapping[str, Counter] = field(default_factory=dict)
    learned_capacities: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)  # reservation id -> expiry, ms
    blocked_until_ms: int = 0
    alerted: Mapping[str, int] = field(default_factory=dict)  # limit name -> mark of the last Alert


@dataclass(frozen=True, slots=True)
class Stay:
    """Take `cost` from the slice that is current already, if `total` is then within `capacity`."""

    name: str
    index: int
    cost: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Roll:
    """Make `index` the current slice, drop the expired ones, and set the total to `total`, `cost` included."""

    name: str
    index: int
    cost: int
    total: int
    expired: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """The cost fits. A Roll among the steps holds only for the version of the state it was decided on."""

    steps: tuple[Stay | Roll, ...]

    @property
    def needs_version(self) -> bool:
        """Whether the write must find the state unchanged."""
        return any(isinstance(step, Roll) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Denial:
    """The cost does not fit. `retry_after_ms` is until it will if nobody takes more, None if it never can."""

    limit: str
    retry_after_ms: int | None


def decide(
    limits: tuple[Limit, ...], costs: Mapping[str, int], state: QuotaState | None, now_ms: int
) -> Admission | Denial:
    """Whether `costs` (limit name -> units; limits not named cost nothing) fit all `limits` at once.

    A denial names the limit that keeps the caller waiting longest.
    """
    state = state or QuotaState()
    steps: list[Stay | Roll] = []
    denials: list[Denial] = []
    if state.blocked_until_ms > now_ms:
        denials.append(Denial("blocked_by_provider", state.blocked_until_ms - now_ms))
    for limit in limits:
        cost = costs.get(limit.name, 0)
        if cost == 0:
            continue
        outcome = _take(limit, cost, limit.capacity_in_force(state.learned_capacities.get(limit.name)), state, now_ms)
        if isinstance(outcome, Denial):
            denials.append(outcome)
        else:
            steps.append(outcome)
    if denials:
        return max(denials, key=lambda denial: float("inf") if denial.retry_after_ms is None else denial.retry_after_ms)
    return Admission(tuple(steps))


def _take(limit: Limit, cost: int, capacity: int, state: QuotaState, now_ms: int) -> Stay | Roll | Denial:
    index = limit.window.slice_at(now_ms)
    counter = state.counters.get(limit.name)
    if counter is None:
        counter = Counter(index - 1, 0, {})
    index = max(index, counter.head)  # a clock that lags takes from the slice the others are in
    counted = live(limit.window, counter, index)
    if counted.total + cost > capacity:
        return _denial(limit, counted, cost, capacity, now_ms)
    if index == counter.head:
        return Stay(limit.name, index, cost, capacity)
    expired = tuple(sorted(counter.slices.keys() - counted.slices.keys()))
    return Roll(limit.name, index, cost, counted.total + cost, expired)


def live(window: Window, counter: Counter, index: int) -> Counter:
    """The counter as it is once slice `index` is current: what has left is dropped."""
    if index <= counter.head:
        return counter
    oldest = window.oldest_live(index)
    slices = {number: taken for number, taken in counter.slices.items() if number >= oldest}
    spent = counter.spent if window.keeps_between(counter.head, index) else 0
    return Counter(index, sum(slices.values()) + spent, slices)


def _denial(limit: Limit, counted: Counter, cost: int, capacity: int, now_ms: int) -> Denial:
    if cost > capacity:
        return Denial(limit.name, None)
    excess = counted.total + cost - capacity
    leaving = sorted((limit.window.leaves_at_ms(index), taken) for index, taken in counted.slices.items())
    if counted.spent > 0:
        leaving.append((limit.window.spent_leaves_at_ms(now_ms), counted.spent))
        leaving.sort()
    for leaves_at_ms, taken in leaving:
        excess -= taken
        if excess <= 0:
            return Denial(limit.name, max(leaves_at_ms - now_ms, 1))
    return Denial(limit.name, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of one limit is used: what headers, scores and reports speak of."""

    name: str
    capacity: int
    used: int
    resets_in_ms: int

    @property
    def remaining(self) -> int:
        """What is left, never negative."""
        return max(self.capacity - self.used, 0)


def standing(limit: Limit, state: QuotaState | None, now_ms: int) -> Standing:
    """How `limit` stands at `now_ms`; `resets_in_ms` is until everything that counts now has left."""
    state = state or QuotaState()
    capacity = limit.capacity_in_force(state.learned_capacities.get(limit.name))
    counter = state.counters.get(limit.name)
    if counter is None:
        return Standing(limit.name, capacity, 0, 0)
    counted = live(limit.window, counter, max(limit.window.slice_at(now_ms), counter.head))
    leaves = [limit.window.leaves_at_ms(index) for index, taken in counted.slices.items() if taken]
    if counted.spent > 0:
        leaves.append(limit.window.spent_leaves_at_ms(now_ms))
    return Standing(limit.name, capacity, counted.total, max(0, max(leaves, default=now_ms) - now_ms))


def free_share(limits: tuple[Limit, ...], state: QuotaState | None, now_ms: int) -> float:
    """The free part, in 0..1, of the limit that has least of it; 1 when nothing is limited, 0 when blocked."""
    if state is not None and state.blocked_until_ms > now_ms:
        return 0.0
    standings = [standing(limit, state, now_ms) for limit in limits]
    return min((each.remaining / each.capacity if each.capacity else 0.0 for each in standings), default=1.0)


ALERT_PERCENTAGES = (90, 80)


@dataclass(frozen=True, slots=True)
class Alert:
    """A limit of a day or a month is nearly used up. `mark` grows with the window and, within it, the percentage."""

    limit: str
    percentage: int
    mark: int


def alerts_due(limits: tuple[Limit, ...], state: QuotaState, now_ms: int) -> list[Alert]:
    """The alerts that `state` gives reason for and that have not been given in this UTC day or month."""
    due = []
    for limit in limits:
        window = month_at(now_ms) if limit.name.endswith("_month") else now_ms // DAY_MS
        if limit.name.endswith("_minute"):
            continue
        stands = standing(limit, state, now_ms)
        reached = next((each for each in ALERT_PERCENTAGES if 100 * stands.used >= each * stands.capacity), None)
        if reached is not None and state.alerted.get(limit.name, 0) < (mark := window * 100 + reached):
            due.append(Alert(limit.name, reached, mark))
    return due


def unexplained_use(limit: Limit, before: QuotaState, after: QuotaState, provider_remaining: int, capacity: int) -> int:
    """How much more a provider says was used than the ledger knows of, 0 if it says less.

    The provider spoke at some moment between the states `before` and `after`, so everything that counted at any time
    in between may be part of what it saw: only what exceeds all of that was taken by somebody else.
    """
    known: dict[int, int] = {}
    for state in (before, after):
        counter = state.counters.get(limit.name)
        if counter is not None:
            for index, taken in counter.slices.items():
                known[index] = max(known.get(index, 0), taken)
    return max(0, capacity - provider_remaining - sum(known.values()))
