"""How the ledger learns from what providers answer. Pure: see `steps`."""

from collections.abc import Mapping
from dataclasses import field

from sluice.loading.dataclass import dataclass
from sluice.quota.item import QuotaItem
from sluice.quota.marks import is_confirmed_by, learning, suspicion, taking_unexplained
from sluice.quota.memory import Memory
from sluice.quota.reservation import Reservation
from sluice.quota.settling import everywhere
from sluice.quota.status import unexplained_use
from sluice.quota.steps import Flow, write
from sluice.storage.update import Update

# The next answer says the same again.
_MAX_TRIES = 3


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a provider's headers said, by limit name: capacities, and what is left of them."""

    capacities: Mapping[str, int] = field(default_factory=dict)
    remaining: Mapping[str, int] = field(default_factory=dict)


def learn(memory: Memory, reservation: Reservation, lesson: Lesson, now_ms: int) -> Flow[None]:
    """Put other capacities in force, and count what the ledger can't explain."""
    limits = reservation.limits
    said = {limits[name]: capacity for name, capacity in lesson.capacities.items() if name in limits and capacity > 0}

    def correct(item: QuotaItem) -> Update | None:
        news = {
            limit: capacity
            for limit, capacity in said.items()
            if capacity != (limit.capacity if item.learned(limit) is None else item.learned(limit))
        }
        return learning(news, item) if news else None

    known = memory.of(reservation.scope)
    if any(correct(known.item(shard)) for shard in known.layout.shards if shard.number in known.seen):
        yield from everywhere(memory, reservation.scope, correct, now_ms)
    if reservation.shard.count > 1:
        return  # one shard does not know what the others have taken
    after = known.item(reservation.shard)
    for _ in range(_MAX_TRIES):
        excess = {}
        for name, left in lesson.remaining.items():
            limit = limits.get(name)
            if limit is not None:
                capacity = lesson.capacities.get(name) or limit.capacity_in_force(after.learned(limit))
                excess[limit] = unexplained_use(limit, reservation.item, after, left, capacity)
        excess = {limit: units for limit, units in excess.items() if units > 0}
        if not excess:
            return
        written = yield from write(reservation.key, taking_unexplained(excess, after))
        known.see(reservation.shard, written.item, now_ms)
        if written.is_done:
            return
        after = written.item


def suspect(memory: Memory, scope: str, tenant: str, now_ms: int) -> Flow[bool]:
    """Note that `tenant` was refused the model of `scope`; returns whether another tenant was, too, lately."""
    known = memory.of(scope)
    shard = known.layout.shards[0]
    item = known.item(shard)
    for _ in range(_MAX_TRIES):
        update = suspicion(tenant, item, now_ms)
        if update is None:
            break
        written = yield from write(shard.key(scope), update)
        item = written.item
        known.see(shard, item, now_ms)
        if written.is_done or item.is_closed:
            return False
    return is_confirmed_by(tenant, item, now_ms)
