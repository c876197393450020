"""How a reservation is made, request by request. Pure: see `steps`.

Taken is blindly, where that will probably do, else from the item as remembered or read. A condition that fails returns
the item, from which the next write is made, or which says that the cost does not fit. Of several shards the first is
drawn; where it refuses, the others are read at once, and the one with most room is tried next.
"""

from collections.abc import Callable, Mapping
from random import Random

from sluice.loading.dataclass import dataclass
from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem
from sluice.quota.limits import Denial, shortest
from sluice.quota.load import Foresight, count_takes, foresee, shards_due
from sluice.quota.memory import BELIEVED_MS, Memory, Refusal, ScopeMemory
from sluice.quota.migration import cleaning, conversion, is_old
from sluice.quota.reservation import Reservation
from sluice.quota.resharding import follow, reshape
from sluice.quota.shards import Shard
from sluice.quota.steps import Flow, read, write
from sluice.quota.taking import Demand, Take, free_units, moves_on, take_blindly, take_from
from sluice.quota.windows import RollingWindow

# A failed condition brings the item as it is now, so a second try usually decides; more are needed only while many
# callers move the same item on at once, and each round lets at least one of them through.
_MAX_TRIES = 24
_MAX_MOVES = 8


class UndecidedError(Exception):
    """No reservation was made and none refused: too many callers at once, or a clock that can't be checked."""


@dataclass(frozen=True, slots=True)
class _Moved:
    """The counters are elsewhere."""


type _Outcome = Reservation | Denial | _Moved


class Reserver:
    """Makes reservations of one process. Safe to share between threads."""

    def __init__(self, memory: Memory, clock: Callable[[], Moment], rng: Random) -> None:
        self._memory = memory
        self._clock = clock
        self._rng = rng

    def reserve(self, scope: str, demand: Demand) -> Flow[Reservation | Denial]:
        """Take `demand` from `scope`, or nothing at all. Raises UndecidedError."""
        known = self._memory.of(scope)
        for _ in range(_MAX_MOVES):
            outcome = yield from self._find(scope, known, demand)
            if not isinstance(outcome, _Moved):
                return outcome
            layout = yield from follow(scope, known.layout, self._now_ms())
            known.move(layout, self._now_ms())
        raise UndecidedError("its counters are being moved again and again")

    def denial(self, scope: str, costs: Mapping[str, int], kept_free_percent: int = 0) -> Denial | None:
        """Why `costs` would be refused, if that is known without asking."""
        known = self._memory.find(scope)
        if known is None:
            return None
        now_ms = self._now_ms()
        count = known.layout.count
        refused = known.refused(range(count), kept_free_percent)
        believed = [refusal for refusal in refused if refusal.is_believed(costs, now_ms)]
        if len(believed) < count:
            return None
        return shortest([refusal.denial_at(now_ms) for refusal in believed])

    def spread(self, scope: str, demand: Demand) -> Flow[None]:
        """Change the number of shards, if `demand` and the traffic suggest another."""
        known = self._memory.of(scope)
        count = shards_due(known, demand, self._now_ms(), self._rng)
        if count is not None:
            yield from self.reshape(scope, count)

    def reshape(self, scope: str, count: int) -> Flow[None]:
        """Spread the scope over `count` shards."""
        known = self._memory.of(scope)
        layout = yield from reshape(scope, known.layout, count, self._now_ms())
        known.move(layout, self._now_ms())

    def _find(self, scope: str, known: ScopeMemory, demand: Demand) -> Flow[_Outcome]:
        """Take from any shard. Who was refused last looks before it writes, and believes a refusal for a while."""
        shards = list(known.layout.shards)
        self._rng.shuffle(shards)
        if not known.was_refused:
            outcome = yield from self._take(scope, known, demand, shards[0])
            if not isinstance(outcome, Denial):
                return outcome
            shards = shards[1:]
        known.was_refused = True
        unknown = [shard for shard in shards if not self._is_refused(known, shard, demand)]
        if unknown:
            outcome = yield from self._find_room(scope, known, demand, unknown)
            if not isinstance(outcome, Denial):
                return outcome
        refusals = known.refused(range(known.layout.count), demand.kept_free_percent)
        if not refusals:
            return _Moved()  # another thread has taken meanwhile: look again
        return shortest([refusal.denial_at(self._now_ms()) for refusal in refusals])

    def _find_room(self, scope: str, known: ScopeMemory, demand: Demand, shards: list[Shard]) -> Flow[_Outcome]:
        """Take from the roomiest of `shards` that has room."""
        now = self._clock()
        if now.likely_ms - known.asked_at_ms >= BELIEVED_MS or any(shard.number not in known.seen for shard in shards):
            items = yield from read(*[shard.key(scope) for shard in shards])
            now = self._clock()
            known.asked_at_ms = now.likely_ms
            for shard, item in zip(shards, items, strict=True):
                known.see(shard, item, now.likely_ms)
        items = [known.item(shard) for shard in shards]
        if any(item.is_closed for item in items):
            return _Moved()
        outcome: _Outcome = Denial("", None)
        by_room = sorted(zip(shards, items, strict=True), key=lambda each: -_room(demand, each[1], each[0], now))
        for shard, item in by_room:
            outcome = yield from self._take(scope, known, demand, shard, item)
            if not isinstance(outcome, Denial):
                return outcome
        return outcome

    def _take(
        self, scope: str, known: ScopeMemory, demand: Demand, shard: Shard, item: QuotaItem | None = None
    ) -> Flow[_Outcome]:
        """Take from one shard, whose `item` may have been seen just now."""
        key = shard.key(scope)
        if item is None:
            item = yield from self._foresee(key, known, demand, shard)
        for _ in range(_MAX_TRIES):
            now = self._clock()
            take: Take | Denial | None = None
            if item is None:
                take = take_blindly(demand, known.item(shard), shard, now)
            if take is None:
                if item is None or (not now.is_checked and moves_on(demand, item, now)):
                    item = yield from self._look(key, known, shard)
                if item.is_closed:
                    return _Moved()
                if is_old(item):
                    item = yield from _convert(key, item, demand, now.likely_ms)
                    continue
                now = self._clock()
                if not now.is_checked and moves_on(demand, item, now):
                    raise UndecidedError("DynamoDB does not say what time it is")
                take = take_from(demand, item, shard, now)
            if isinstance(take, Denial):
                free = free_units(demand, item or QuotaItem(), shard, now).get(take.limit)
                known.refusals[shard.number, demand.kept_free_percent] = Refusal(take, free, now.likely_ms)
                return take
            written = yield from write(key, take.update)
            known.see(shard, written.item, self._now_ms())
            if written.item.is_closed:
                return _Moved()
            if written.is_done:
                known.was_refused = False
                known.refusals.pop((shard.number, demand.kept_free_percent), None)
                count_takes(known, shard, written.item, self._now_ms())
                _count_own(known, shard, demand, take)
                return _reservation(scope, shard, demand, take, written.item)
            item = written.item
        raise UndecidedError(f"{_MAX_TRIES} tries were not enough: too many callers at once")

    def _foresee(self, key: str, known: ScopeMemory, demand: Demand, shard: Shard) -> Flow[QuotaItem | None]:
        """The item to move on from, where a blind write would probably fail: as remembered, or read."""
        seen = known.seen.get(shard.number)
        now = self._clock()
        if seen is None or not now.is_checked:
            return None
        match foresee(demand, seen, known.own_takes(shard), now):
            case Foresight.BLINDLY:
                return None
            case Foresight.FROM_MEMORY:
                return seen.item
            case Foresight.READING:
                return (yield from self._look(key, known, shard))

    def _look(self, key: str, known: ScopeMemory, shard: Shard) -> Flow[QuotaItem]:
        [item] = yield from read(key)
        known.see(shard, item, self._now_ms())
        return item

    def _is_refused(self, known: ScopeMemory, shard: Shard, demand: Demand) -> bool:
        refusal = known.refusals.get((shard.number, demand.kept_free_percent))
        return refusal is not None and refusal.is_believed(demand.costs, self._now_ms())

    def _now_ms(self) -> int:
        return self._clock().likely_ms


def _convert(key: str, item: QuotaItem, demand: Demand, now_ms: int) -> Flow[QuotaItem]:
    """Make an item of the old version one of this. Returns it as it is then."""
    written = yield from write(key, conversion(item, demand.limits, now_ms))
    while written.is_done and (update := cleaning(written.item)) is not None:
        written = yield from write(key, update)
    return written.item


def _count_own(known: ScopeMemory, shard: Shard, demand: Demand, take: Take) -> None:
    for window, costs in demand.by_window.items():
        if isinstance(window, RollingWindow):
            for limit, cost in costs.items():
                known.count_own(shard, window, limit.code, take.slices[limit.name], cost)


def _room(demand: Demand, item: QuotaItem, shard: Shard, now: Moment) -> float:
    """What is left of the limit that has least, in times of the cost."""
    free = free_units(demand, item, shard, now)
    return min((free[name] / demand.costs[name] for name in free), default=0.0)


def _reservation(scope: str, shard: Shard, demand: Demand, take: Take, item: QuotaItem) -> Reservation:
    limits = {limit.name: limit for limit in demand.limits}
    taken = {name: (index, demand.costs[name]) for name, index in take.slices.items()}
    return Reservation(scope, shard, limits, taken, item, take.probe_until_s)
