"""How a reservation is settled, request by request. Pure: see `steps`."""

from collections.abc import Callable

from sluice.quota.circuit import FAILURES_TO_OPEN, Verdict
from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem
from sluice.quota.marks import closing_circuit, opening_circuit, releasing_probe
from sluice.quota.memory import Memory, ScopeMemory
from sluice.quota.reservation import Reservation
from sluice.quota.resharding import follow
from sluice.quota.settlement import Usage, late_settlement, settlement
from sluice.quota.shards import Layout
from sluice.quota.steps import Flow, read, write
from sluice.quota.windows import RollingWindow
from sluice.storage.update import Update

# Each failed condition takes a part away: a minute that has passed, a day, a circuit that has opened.
_MAX_TRIES = 4


class Settler:
    """Settles reservations of one process. Safe to share between threads."""

    def __init__(self, memory: Memory, clock: Callable[[], Moment]) -> None:
        self._memory = memory
        self._clock = clock

    def settle(self, reservation: Reservation, usage: Usage) -> Flow[QuotaItem]:
        """Correct `reservation`; returns the item as last seen. Once: the second time, nothing happens."""
        scope = reservation.scope
        known = self._memory.of(scope)
        item = reservation.item
        if known.layout == Layout(reservation.shard.generation, reservation.shard.count):
            item = known.item(reservation.shard) if reservation.shard.number in known.seen else item
        if not reservation.begin_settling():
            return item
        is_current = False
        for _ in range(_MAX_TRIES):
            due = settlement(reservation, usage, item, self._now_ms(), is_current=is_current)
            if due is None:
                break
            written = yield from write(reservation.key, due.update, may_repeat=not due.gives_back)
            item, is_current = written.item, True
            if item.is_closed:
                yield from self._settle_late(reservation, usage)
                return item
            known.see(reservation.shard, item, self._now_ms())
            if written.is_done:
                _count_own(known, reservation, usage)
            if written.is_done or not item.exists:
                break
        yield from self._tell_circuit(reservation, usage.verdict, item)
        return item

    def report_success(self, reservation: Reservation) -> Flow[None]:
        """Close the circuit for whose probe `reservation` was made."""
        if reservation.probe_until_s is not None:
            reservation.probe_until_s = None
            yield from everywhere(self._memory, reservation.scope, _closing, self._now_ms())

    def _settle_late(self, reservation: Reservation, usage: Usage) -> Flow[None]:
        """Settle on the items that followed the one that was taken from."""
        known = self._memory.of(reservation.scope)
        old = Layout(reservation.shard.generation, reservation.shard.count)
        layout = yield from follow(reservation.scope, old, self._now_ms())
        known.move(layout, self._now_ms())
        shard = layout.shards[reservation.shard.number % layout.count]
        [item] = yield from read(shard.key(reservation.scope))
        for due in late_settlement(reservation, usage, item):
            yield from write(shard.key(reservation.scope), due.update, may_repeat=not due.gives_back)

    def _tell_circuit(self, reservation: Reservation, verdict: Verdict | None, item: QuotaItem) -> Flow[None]:
        """What the settlement itself has not told: the other shards, and the end of a probe without a verdict."""
        scope, until_s = reservation.scope, reservation.probe_until_s
        others = [shard for shard in self._memory.of(scope).layout.shards if shard != reservation.shard]
        if verdict is None and until_s is not None:
            yield from write(reservation.key, releasing_probe(until_s, self._now_ms()))
        elif verdict is Verdict.SUCCESS and until_s is not None:
            for shard in others:
                yield from write(shard.key(scope), closing_circuit())
        elif verdict is Verdict.FAILURE and (until_s is not None or item.circuit.failures == FAILURES_TO_OPEN):
            for shard in others:
                yield from write(shard.key(scope), opening_circuit(self._now_ms()))

    def _now_ms(self) -> int:
        return self._clock().likely_ms


def _count_own(known: ScopeMemory, reservation: Reservation, usage: Usage) -> None:
    for name, (index, reserved) in reservation.taken.items():
        limit = reservation.limits[name]
        correction = usage.units.get(name, reserved) - reserved
        if correction and isinstance(limit.window, RollingWindow):
            known.count_own(reservation.shard, limit.window, limit.code, index, correction)


def everywhere(
    memory: Memory,
    scope: str,
    make: Callable[[QuotaItem], Update | None],
    now_ms: int,
    *,
    tries: int = _MAX_TRIES,
) -> Flow[None]:
    """Make an update of each of a scope's items and send it.

    `make` is given the item as last seen, and as it is once an update's condition has failed; None leaves it alone.
    """
    known = memory.of(scope)
    waiting = list(known.layout.shards)
    while waiting:
        shard = waiting[0]
        item = known.item(shard)
        if shard.number not in known.seen:
            [item] = yield from read(shard.key(scope))
        for _ in range(tries):
            update = None if item.is_closed else make(item)
            if update is None:
                break
            written = yield from write(shard.key(scope), update)
            item = written.item
            if written.is_done:
                break
        if item.is_closed:
            known.move((yield from follow(scope, known.layout, now_ms)), now_ms)
            waiting = list(known.layout.shards)
            continue
        known.see(shard, item, now_ms)
        waiting.remove(shard)


def _closing(_: QuotaItem) -> Update:
    return closing_circuit()
