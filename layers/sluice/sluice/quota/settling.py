"""How a reservation is settled, request by request. Pure: see `steps`."""

from collections.abc import Callable

from sluice.quota.circuit import USUAL_BREAKER, Breaker, Verdict
from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem
from sluice.quota.marks import closing_circuit, counting_success, opening_circuit, releasing_probe
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

    def __init__(self, memory: Memory, clock: Callable[[], Moment], breaker: Breaker = USUAL_BREAKER) -> None:
        self._memory = memory
        self._clock = clock
        self._breaker = breaker

    def settle(self, reservation: Reservation, usage: Usage) -> Flow[QuotaItem]:
        """Correct `reservation`; returns the item as last seen. Once: the second time, nothing happens."""
        scope = reservation.scope
        known = self._memory.of(scope)
        is_first = reservation.begin_settling()
        if is_first and usage.verdict is Verdict.SUCCESS:
            yield from self.report_success(reservation)
        item = reservation.item
        if known.layout == Layout(reservation.shard.generation, reservation.shard.count):
            item = known.item(reservation.shard) if reservation.shard.number in known.seen else item
        if not is_first:
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
        """Close the circuit for whose probe `reservation` was made, once enough of them have succeeded in a row."""
        until_s, reservation.probe_until_s = reservation.probe_until_s, None
        if until_s is None:
            return
        if self._breaker.successes_to_close > 1:
            written = yield from write(reservation.key, counting_success(until_s, self._now_ms()))
            self._memory.of(reservation.scope).see(reservation.shard, written.item, self._now_ms())
            # Where the probe was waited for no longer, it does not count; the circuit is another's to close.
            if written.item.circuit(self._breaker).successes < self._breaker.successes_to_close:
                return
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
        if verdict is None and until_s is not None:
            successes = reservation.item.circuit(self._breaker).successes
            yield from write(reservation.key, releasing_probe(until_s, successes, self._now_ms()))
        circuit = item.circuit(self._breaker)
        has_opened = until_s is not None or circuit.failures == self._breaker.failures_to_open
        if verdict is Verdict.FAILURE and has_opened and not circuit.is_closed:
            others = [shard for shard in self._memory.of(scope).layout.shards if shard != reservation.shard]
            for shard in others:
                yield from write(shard.key(scope), opening_circuit(self._breaker, self._now_ms()))

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
