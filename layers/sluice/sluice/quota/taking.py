"""Whether a cost fits, and the conditional write that takes it. Pure.

What is taken is added to the limit's total and to the slot of the current slice alike, and the write is conditional on
the head and on the total being within what the capacity leaves. So it can be sent without having seen the item. Where a
window has moved on, the write drops the slices that left: it is conditional on the old head and on what these slices
hold, and changes the totals relatively, so that others may take and settle meanwhile.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from sluice.loading.dataclass import dataclass
from sluice.quota.circuit import USUAL_BREAKER, Breaker, Circuit, probe_until_s
from sluice.quota.clock import Moment
from sluice.quota.item import EXTRA, ITEM_LIFETIME_S, QuotaItem, head_name, packed, slot_name, unpacked
from sluice.quota.limits import CIRCUIT_OPEN, Denial, Limit, kept_free, longest, share
from sluice.quota.migration import guard_new_item, unguard
from sluice.quota.shards import Shard
from sluice.quota.windows import CalendarWindow, RollingWindow, Window
from sluice.storage.update import Update

# Between two probes of a circuit that another shard of the scope decides on.
_ASK_AGAIN_MS = 1_000


@dataclass(frozen=True)
class Demand:
    """What is to be taken: units by limit name; a limit that is not named costs nothing.

    `kept_free_percent` of every limit is left for others: only what fits beside that is taken. Nothing is while the
    circuit of a `breaker` is open.
    """

    limits: tuple[Limit, ...]
    costs: Mapping[str, int]
    kept_free_percent: int = 0
    breaker: Breaker = USUAL_BREAKER

    @cached_property
    def by_window(self) -> dict[Window, dict[Limit, int]]:
        """The limits that are taken from, with their costs."""
        found: dict[Window, dict[Limit, int]] = {}
        for limit in self.limits:
            cost = self.costs.get(limit.name, 0)
            if cost > 0:
                found.setdefault(limit.window, {})[limit] = cost
        return found

    def share(self, limit: Limit, capacity: int, shard: Shard) -> int:
        """How much of a `capacity` of the scope may be taken from the shard."""
        usable = capacity - kept_free(capacity, self.kept_free_percent)
        return share(limit, usable, shard.number, shard.count)

    @cached_property
    def is_counted_by_requests(self) -> bool:
        """Whether the item shows how many requests there were in the last minute."""
        return any(limit.code == "r" for limit in self.limits)


@dataclass(frozen=True, slots=True)
class Take:
    """A write that takes. `slices` is where, by limit name; `probe_until_s` is set if it takes the circuit's probe."""

    update: Update
    slices: Mapping[str, int]
    probe_until_s: int | None = None


@dataclass(frozen=True, slots=True)
class _Turned:
    """A window of an item as it is once it has moved on to now: what has left, and what still counts."""

    window: Window
    item: QuotaItem
    head: int | None
    index: int
    leaving: Mapping[int, int] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_moved(self) -> bool:
        return self.head != self.index

    def counted(self, code: str) -> int:
        if self.has_moved and isinstance(self.window, CalendarWindow):
            return 0
        return self.item.total(code) - self.gone.get(code, 0)

    def room(self, demand: Demand, limit: Limit, shard: Shard) -> int:
        """How much the shard may hold after the demand was taken."""
        return demand.share(limit, self.item.capacity(limit, self.index), shard)


def take_blindly(demand: Demand, seen: QuotaItem, shard: Shard, now: Moment) -> Take | None:
    """The write that takes `demand` if no window has moved on; `seen` is what was last seen, an empty item if nothing.

    None if the cost is more than the capacity that is known of: then the item must be asked.
    """
    update = Update()
    slices: dict[str, int] = {}
    for window, costs in demand.by_window.items():
        index = max(window.slice_at(now.likely_ms), seen.head(window) or 0)
        update.require(head_name(window), "=", index)
        for limit, cost in costs.items():
            left = demand.share(limit, seen.capacity(limit, index), shard) - cost
            if left < 0:
                return None
            update.require(limit.code, "<=", left)
            update.add(limit.code, cost)
            slices[limit.name] = index
        if isinstance(window, RollingWindow):
            update.add(slot_name(window, index), packed(window, _by_code(costs)))
    _require_capacities(update, seen, now)
    update.require_absent_or("f", "<", demand.breaker.failures_to_open)
    if not demand.is_counted_by_requests and slices:
        update.add("k", 1)
    if not slices:
        _keep(update, now)  # nothing is counted, but whether the scope is blocked must be asked
    return Take(update, slices)


def take_from(demand: Demand, item: QuotaItem, shard: Shard, now: Moment) -> Take | Denial:
    """The write that takes `demand` from `item` as it is, which is not closed, or why it does not fit."""
    turned = {window: _turned(window, item, now) for window in demand.by_window}
    denial = _denial(demand, item, shard, turned, now)
    if denial is not None:
        return denial
    update = Update()
    slices: dict[str, int] = {}
    for window, costs in demand.by_window.items():
        turn = turned[window]
        slices |= {limit.name: turn.index for limit in costs}
        if turn.head is None:
            _begin(update, turn, costs)
        elif isinstance(window, RollingWindow):
            _take_rolling(update, turn, demand, shard)
        else:
            _take_calendar(update, turn, demand, shard)
    _require_capacities(update, item, now)
    probe_s = _require_circuit(update, item.circuit(demand.breaker), now)
    if not slices or any(turn.has_moved for turn in turned.values()):
        _keep(update, now)
        if item.is_used:
            unguard(update, item, now.likely_ms)
        else:
            guard_new_item(update, item, now.likely_ms)
    if not demand.is_counted_by_requests and slices:
        update.add("k", 1)
    return Take(update, slices, probe_s)


def moves_on(demand: Demand, item: QuotaItem, now: Moment) -> bool:
    """Whether taking from `item` moves one of its windows on, for which the clock must be right."""
    return any(_turned(window, item, now).has_moved for window in demand.by_window)


def free_units(demand: Demand, item: QuotaItem, shard: Shard, now: Moment) -> dict[str, int]:
    """What is free of each limit that is taken from, were the windows of `item` moved on now."""
    free = {}
    for window, costs in demand.by_window.items():
        turn = _turned(window, item, now)
        for limit in costs:
            free[limit.name] = turn.room(demand, limit, shard) - turn.counted(limit.code)
    return free


def _turned(window: Window, item: QuotaItem, now: Moment) -> _Turned:
    head = item.head(window)
    index = window.slice_at(now.earliest_ms)
    if head is None:
        return _Turned(window, item, None, index)
    index = max(index, head)  # a clock that lags takes from the slice that the others are in
    if index == head or isinstance(window, CalendarWindow):
        return _Turned(window, item, head, index)
    oldest = window.oldest_live(index)
    leaving = {each: number for each, number in item.slices(window).items() if each < oldest}
    gone: dict[str, int] = {}
    for number in leaving.values():
        for code, units in unpacked(window, number).items():
            gone[code] = gone.get(code, 0) + units
    return _Turned(window, item, head, index, leaving, gone)


def _denial(
    demand: Demand, item: QuotaItem, shard: Shard, turned: Mapping[Window, _Turned], now: Moment
) -> Denial | None:
    now_ms = now.likely_ms
    denials: list[Denial] = []
    if item.blocked_until_ms > now_ms:
        denials.append(Denial(item.block_reason.denial, item.blocked_until_ms - now_ms))
    circuit = item.circuit(demand.breaker)
    if wait_ms := circuit.wait_ms(now_ms):
        denials.append(Denial(CIRCUIT_OPEN, wait_ms))
    elif shard.number and not circuit.is_closed:
        # Only the first shard lets a probe through, so that there is one at a time.
        denials.append(Denial(CIRCUIT_OPEN, _ASK_AGAIN_MS))
    for window, costs in demand.by_window.items():
        turn = turned[window]
        for limit, cost in costs.items():
            room = turn.room(demand, limit, shard)
            if turn.counted(limit.code) + cost > room:
                denials.append(Denial(limit.name, _wait_ms(turn, limit.code, cost, room, now_ms)))
    return longest(denials) if denials else None


def _wait_ms(turn: _Turned, code: str, cost: int, room: int, now_ms: int) -> int | None:
    """How long until `cost` fits if nobody takes more, None if it never does."""
    window = turn.window
    if cost > room:
        return None
    if isinstance(window, CalendarWindow):
        return max(1, window.leaves_at_ms(turn.index) - now_ms)
    excess = turn.counted(code) + cost - room
    for index, number in turn.item.slices(window).items():
        if index not in turn.leaving:
            excess -= unpacked(window, number)[code]
            if excess <= 0:
                return max(1, window.leaves_at_ms(index) - now_ms)
    return None


def _begin(update: Update, turn: _Turned, costs: Mapping[Limit, int]) -> None:
    update.require_absent(head_name(turn.window))
    update.set(head_name(turn.window), turn.index)
    for limit, cost in costs.items():
        update.set(limit.code, cost)
    if isinstance(turn.window, RollingWindow):
        update.set(slot_name(turn.window, turn.index), packed(turn.window, _by_code(costs)))


def _take_rolling(update: Update, turn: _Turned, demand: Demand, shard: Shard) -> None:
    window, costs = turn.window, demand.by_window[turn.window]
    if not isinstance(window, RollingWindow) or turn.head is None:
        raise TypeError("only a rolling window that has begun is taken from like this")
    _require_head(update, turn, turn.head)
    for limit, cost in costs.items():
        _require_room(update, turn, limit, turn.room(demand, limit, shard) - cost + turn.gone.get(limit.code, 0))
    taken = _by_code(costs)
    for code in unpacked(window, 0):
        # Slots hold requests and tokens together, so what leaves, leaves both totals.
        change = taken.get(code, 0) - turn.gone.get(code, 0)
        if change:
            update.add(code, change)
    current = slot_name(window, turn.index)
    leaving = {slot_name(window, index): number for index, number in turn.leaving.items()}
    for name, number in leaving.items():
        update.require(name, "=", number)
        if name != current:
            update.remove(name)
    if current in leaving:  # one of those that leave is the one that is taken from now
        update.set(current, packed(window, taken))
    else:
        update.add(current, packed(window, taken))


def _take_calendar(update: Update, turn: _Turned, demand: Demand, shard: Shard) -> None:
    if turn.head is None:
        raise TypeError("only a window that has begun is taken from like this")
    _require_head(update, turn, turn.head)
    for limit, cost in demand.by_window[turn.window].items():
        if turn.has_moved:
            update.set(limit.code, cost)
            update.remove(EXTRA + limit.code)
        else:
            _require_room(update, turn, limit, turn.room(demand, limit, shard) - cost)
            update.add(limit.code, cost)


def _require_head(update: Update, turn: _Turned, head: int) -> None:
    update.require(head_name(turn.window), "=", head)
    if turn.has_moved:
        update.set(head_name(turn.window), turn.index)


def _require_room(update: Update, turn: _Turned, limit: Limit, most: int) -> None:
    if turn.item.number(limit.code) is None:  # the limit is new
        update.require_absent(limit.code)
    else:
        update.require(limit.code, "<=", most)


def _require_capacities(update: Update, item: QuotaItem, now: Moment) -> None:
    """Only if the capacities are those that were decided on, and nothing blocks the scope."""
    if item.generation:
        update.require("g", "=", item.generation)
    else:
        update.require_absent("g")
    update.require_absent_or("b", "<=", now.likely_ms)


def _require_circuit(update: Update, circuit: Circuit, now: Moment) -> int | None:
    """Only if calls go through; if one may try, only if nobody else does. Returns until when it is ours."""
    if circuit.is_closed:
        update.require_absent_or("f", "<", circuit.breaker.failures_to_open)
        return None
    until_s = max(probe_until_s(now.likely_ms), circuit.until_s + 1)
    update.require("f", "=", circuit.failures)
    update.require_absent_or("o", "=", circuit.until_s)
    update.set("o", until_s)
    update.set("p", 2 * circuit.successes + 1)
    return until_s


def _keep(update: Update, now: Moment) -> None:
    update.set("expires_at", now.likely_ms // 1000 + ITEM_LIFETIME_S)


def _by_code(costs: Mapping[Limit, int]) -> dict[str, int]:
    return {limit.code: cost for limit, cost in costs.items()}
