"""The writes that change what surrounds the counters: blocks, circuits, capacities, alerts. Pure."""

import hashlib
from collections.abc import Mapping

from sluice.quota.circuit import Breaker
from sluice.quota.item import (
    ALERT,
    CIRCUIT,
    CLOSED,
    EXTRA,
    HEADS,
    LEARNED,
    BlockReason,
    QuotaItem,
    head_name,
    packed,
    refusal,
    slot_name,
)
from sluice.quota.limits import Limit
from sluice.quota.status import Alert
from sluice.quota.windows import CalendarWindow, RollingWindow, Window
from sluice.storage.update import Update

# For how long a second tenant that is refused the same confirms what the first was told.
_SUSPICION_MS = 600_000
_SUSPECTS = 100_000
# How long after a block a refusal is the same one still: who is refused is asked again after a minute, if anybody asks.
_REFUSAL_GOES_ON_MS = 600_000


def blocking(until_ms: int, reason: BlockReason, seen: QuotaItem, now_ms: int) -> Update:
    """Admit nothing before `until_ms`; an earlier moment than is known already changes nothing.

    A refusal for the same reason as not long before, as `seen` says, goes on with it: it began when the first did.
    """
    update = _of_open_item()
    update.require_absent_or("b", "<", until_ms)
    update.set("b", until_ms)
    if reason is BlockReason.RATE_LIMITED:
        update.remove("w")
    else:
        goes_on = seen.block_reason is reason and now_ms < seen.blocked_until_ms + _REFUSAL_GOES_ON_MS
        since_ms = seen.refused_since_ms if goes_on else None
        update.set("w", refusal(reason, now_ms if since_ms is None else since_ms, until_ms))
    return update


def unblocking() -> Update:
    """Forget blocks, suspicions and failures."""
    update = _of_open_item()
    for attribute in ("b", "w", *CIRCUIT, "q"):
        update.remove(attribute)
    return update


def suspicion(tenant: str, seen: QuotaItem, now_ms: int) -> Update | None:
    """Note that `tenant` was refused the model. None if `seen` says that it was already, or that another was too."""
    if suspects(seen, now_ms):
        return None
    update = _of_open_item()
    found = seen.number("q")
    if found is None:
        update.require_absent("q")
    else:
        update.require("q", "=", found)
    update.set("q", (now_ms + _SUSPICION_MS) // 1000 * _SUSPECTS + _suspect(tenant))
    return update


def suspects(seen: QuotaItem, now_ms: int) -> bool:
    """Whether some tenant was refused the model lately."""
    return (seen.number("q") or 0) // _SUSPECTS * 1000 > now_ms


def is_confirmed_by(tenant: str, seen: QuotaItem, now_ms: int) -> bool:
    """Whether another tenant than `tenant` was refused the model lately."""
    return suspects(seen, now_ms) and (seen.number("q") or 0) % _SUSPECTS != _suspect(tenant)


def _suspect(tenant: str) -> int:
    # Two tenants of one number are taken for one: that only puts the block off.
    return int.from_bytes(hashlib.blake2b(tenant.encode(), digest_size=4).digest()) % _SUSPECTS


def opening_circuit(breaker: Breaker, now_ms: int) -> Update:
    """Open the circuit as another shard's failures have."""
    update = _of_open_item()
    update.require_absent_or("f", "<", breaker.failures_to_open)
    update.set("f", breaker.failures_to_open)
    update.set("o", breaker.open_until_s(now_ms))
    return update


def closing_circuit() -> Update:
    """Close the circuit: its probes succeeded."""
    update = _of_open_item()
    for attribute in CIRCUIT:
        update.remove(attribute)
    return update


def counting_success(until_s: int, now_ms: int) -> Update:
    """Count a probe that succeeded, and let the next go, if nobody else's is under way."""
    update = _of_probe(until_s, now_ms)
    update.add("p", 1)
    return update


def releasing_probe(until_s: int, successes: int, now_ms: int) -> Update:
    """Let the next probe go, if nobody else's is under way: this one, after some successes, ended without a verdict."""
    update = _of_probe(until_s, now_ms)
    if successes:
        update.set("p", 2 * successes)
    else:
        update.remove("p")
    return update


def _of_probe(until_s: int, now_ms: int) -> Update:
    update = Update()
    update.require("o", "=", until_s)
    update.set("o", now_ms // 1000)
    return update


def learning(capacities: Mapping[Limit, int], seen: QuotaItem) -> Update:
    """Put capacities in force that the provider named."""
    update = _of_open_item()
    _next_generation(update, seen)
    for limit, capacity in capacities.items():
        update.set(LEARNED + limit.code, capacity)
    return update


def taking_unexplained(excess: Mapping[Limit, int], seen: QuotaItem) -> Update:
    """Count what somebody else has used of the provider's limits, if nothing has changed since `seen`."""
    update = Update()
    windows = {limit.window for limit in excess if isinstance(limit.window, RollingWindow)}
    for window in windows:
        head = seen.head(window) or 0
        codes = {limit.code: units for limit, units in excess.items() if limit.window == window}
        update.require(head_name(window), "=", head)
        update.add(slot_name(window, head), packed(window, codes))
        for code, units in codes.items():
            update.require(code, "=", seen.total(code))
            update.add(code, units)
    return update


def alerting(alert: Alert, seen: QuotaItem) -> Update:
    """The write after which `alert` is given, by the one process that gets it through."""
    update = _of_open_item()
    attribute = ALERT + alert.code
    before = seen.number(attribute)
    if before is None:
        update.require_absent(attribute)
    else:
        update.require(attribute, "=", before)
    update.set(attribute, alert.mark)
    return update


def adding(limit: Limit, units: int, seen: QuotaItem, now_ms: int) -> Update:
    """Let `units` more than the limit be used this month; 0 takes back what was added."""
    update = _of_open_item()
    _next_generation(update, seen)
    _begin(update, limit, seen, now_ms)
    if units:
        update.set(EXTRA + limit.code, units)
    else:
        update.remove(EXTRA + limit.code)
    return update


def restarting(limit: Limit, seen: QuotaItem, now_ms: int) -> Update | None:
    """Begin the month anew with nothing used. What was reserved before is settled no more. None if nothing is used."""
    window = limit.window
    if not seen.exists or not isinstance(window, CalendarWindow):
        return None
    head = seen.head(window)
    update = Update()
    _require_head(update, window, head)
    # The same for all shards, also for one that was not taken from this month.
    update.set(head_name(window), window.restarted(max(head or 0, window.slice_at(now_ms))))
    update.set(limit.code, 0)
    return update


def _begin(update: Update, limit: Limit, seen: QuotaItem, now_ms: int) -> None:
    """Move the window on to now, since what is added holds for the month of the head."""
    head, index = seen.head(limit.window), limit.window.slice_at(now_ms)
    _require_head(update, limit.window, head)
    if head is None or head < index:
        update.set(head_name(limit.window), index)
        update.set(limit.code, 0)


def _require_head(update: Update, window: Window, head: int | None) -> None:
    if head is None:
        update.require_absent(head_name(window))
    else:
        update.require(head_name(window), "=", head)


def _next_generation(update: Update, seen: QuotaItem) -> None:
    """What was decided on other capacities no longer holds."""
    if seen.generation:
        update.require("g", "=", seen.generation)
    else:
        update.require_absent("g")
    update.set("g", seen.generation + 1)


def _of_open_item() -> Update:
    """Only if the counters have not moved on to other items."""
    update = Update()
    update.require_absent_or(HEADS[0], "<", CLOSED)
    return update
