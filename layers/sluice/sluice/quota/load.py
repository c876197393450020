"""What the traffic of a scope suggests: how to write to it, and over how many shards to spread it. Pure."""

from enum import Enum, auto
from random import Random

from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem, slot_name, unpacked
from sluice.quota.memory import Counted, OwnTakes, ScopeMemory, Seen
from sluice.quota.shards import MOST_SHARDS, Shard
from sluice.quota.taking import Demand
from sluice.quota.windows import MINUTE_MS, ROLLING_MINUTE, RollingWindow

# Takes of other processes since the turn of the slice that make it likely that one has moved the window on.
_LIKELY_MOVED = 1.2
# Takes of others since an item was seen that make it unlikely that it is still as it was.
_LIKELY_CHANGED = 0.7

# DynamoDB lets one item be written with a thousand units a second: half of that is planned for.
_UNITS_PER_S = 500
# Writes of a take that is settled and of one that is not, with some that fail.
_SETTLED_UNITS, _UNSETTLED_UNITS = 2.1, 1.05
# A shard holds so many reservations, so that little is left where no more fit.
_RESERVATIONS_PER_SHARD = 100
_COUNT_FOR_MS = 2_000
_COUNT_UP_TO_MS = 60_000
# For so long a change of capacities may look different from process to process.
_SETTLED_AFTER_MS = 60_000
# One of so many requests begins a change that is due: processes need not all try at once.
_CHANGING_REQUESTS = 10


class Foresight(Enum):
    """How to begin a take."""

    BLINDLY = auto()
    FROM_MEMORY = auto()
    READING = auto()


def foresee(demand: Demand, seen: Seen, own: OwnTakes, now: Moment) -> Foresight:
    """How to take, given when an item was seen and what of it is this process's own.

    Blindly, if its window has probably moved on or need not be.
    """
    window = next((window for window in demand.by_window if isinstance(window, RollingWindow)), None)
    head = None if window is None else seen.item.head(window)
    if window is None or head is None or head >= window.slice_at(now.likely_ms):
        return Foresight.BLINDLY
    limit, cost = next(iter(demand.by_window[window].items()))
    of_others = seen.item.total(limit.code) - own.units(limit.code, window.oldest_live(head))
    # One more than was counted: who has just begun has not been heard of.
    takes_per_ms = (max(0, of_others) / cost + 1) / window.period_ms
    if takes_per_ms * (now.likely_ms % window.slice_ms) > _LIKELY_MOVED:
        return Foresight.BLINDLY
    is_unchanged = takes_per_ms * (now.likely_ms - seen.at_ms) < _LIKELY_CHANGED
    return Foresight.FROM_MEMORY if is_unchanged else Foresight.READING


def count_takes(known: ScopeMemory, shard: Shard, item: QuotaItem, now_ms: int) -> None:
    """Measure how often a scope is taken from, if its item counts that."""
    takes = item.number("k")
    if takes is None:
        return
    before = known.counted.get(shard.number)
    passed_ms = now_ms - before.at_ms if before else 0
    if before and passed_ms < _COUNT_FOR_MS:
        return
    if before and passed_ms <= _COUNT_UP_TO_MS:
        known.takes_per_s = (takes - before.takes) * 1000 / passed_ms * shard.count
    known.counted[shard.number] = Counted(takes, now_ms)


def shards_due(known: ScopeMemory, demand: Demand, now_ms: int, rng: Random) -> int | None:
    """How many shards the scope should be spread over by this process now, None if there is nothing to change."""
    seen = known.latest
    if seen is None or not seen.item.is_used:
        return None
    is_settled = known.layout.generation == 0 or now_ms - known.layout_since_ms > _SETTLED_AFTER_MS
    if known.layout.count > 1 and is_settled:
        capacities = _capacities(demand, seen.item)
        fitting = min((capacity // cost for capacity, cost in capacities), default=MOST_SHARDS)
        if 0 < fitting < known.layout.count:
            return 1 << (fitting.bit_length() - 1)
    wanted = _wanted(demand, seen.item, known)
    if wanted > known.layout.count and is_settled and rng.randrange(_CHANGING_REQUESTS) == 0:
        return wanted
    return None


def _wanted(demand: Demand, item: QuotaItem, known: ScopeMemory) -> int:
    is_settled = any(not limit.name.startswith("requests_") for limit in demand.limits)
    units = _SETTLED_UNITS if is_settled else _UNSETTLED_UNITS
    units_per_s = _takes_per_s(demand, item, known) * units
    if units_per_s <= _UNITS_PER_S * known.layout.count:
        return known.layout.count
    units_per_s *= 2  # it may be no more only because no more goes through
    for limit in demand.limits:
        if limit.code == "r":
            units_per_s = min(units_per_s, item.capacity(limit, 0) * 1000 / MINUTE_MS * units)
    count = 1
    capacities = _capacities(demand, item)
    while units_per_s > _UNITS_PER_S * count and count < MOST_SHARDS:
        if any(capacity < 2 * count * _RESERVATIONS_PER_SHARD * cost for capacity, cost in capacities):
            break
        count *= 2
    return count


def _takes_per_s(demand: Demand, item: QuotaItem, known: ScopeMemory) -> float:
    """How often all shards together are taken from, by the last slices or else by what was measured."""
    head = item.head(ROLLING_MINUTE)
    if not demand.is_counted_by_requests or head is None:
        return known.takes_per_s
    lately = [item.number(slot_name(ROLLING_MINUTE, index)) or 0 for index in (head - 1, head)]
    requests = max(unpacked(ROLLING_MINUTE, number)["r"] for number in lately)
    return requests * 1000 / ROLLING_MINUTE.slice_ms * known.layout.count


def _capacities(demand: Demand, item: QuotaItem) -> list[tuple[int, int]]:
    return [
        (item.capacity(limit, item.head(window) or 0), cost)
        for window, costs in demand.by_window.items()
        for limit, cost in costs.items()
    ]
