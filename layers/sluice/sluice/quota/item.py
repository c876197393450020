"""The Quota item: how a scope's counters are written as attributes, and decisions as updates. Pure.

scope               deployment#groq-1#llama-3.1-8b-instant
version             grows with every write
rpm.total           what counts now            rpm.head   the current slice
rpm.29384756        what was taken in a slice  rpm.capacity   what the provider's headers said
held.3f9a...        a reservation that is not settled yet: when to forget it, ms
note.success_rate   numbers kept beside the limits; the last write wins
blocked_until_ms    the provider said not to come back before
expires_at          TTL, seconds
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice.quota.limits import BUDGET, Admission, Alert, Counter, Limit, QuotaState, Roll
from sluice.storage.update import Update

CODES = {
    "requests_per_minute": "rpm",
    "requests_per_day": "rpd",
    "tokens_per_minute": "tpm",
    "tokens_per_day": "tpd",
    "characters_per_month": "cpm",
    BUDGET: "usd",
}
_LIMIT_NAMES = {code: name for name, code in CODES.items()}

# Longer than any window, so that DynamoDB never deletes what still counts.
_ITEM_LIFETIME_MS = 40 * 86_400_000
# A reservation is settled by the request that made it, and Lambda ends a request after 15 minutes.
HELD_LIFETIME_MS = 20 * 60_000
_MOST_FORGOTTEN = 40


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was taken from a scope's limits, to be settled. `taken` is limit name -> (slice, units)."""

    scope: str
    id: str
    is_held: bool
    taken: Mapping[str, tuple[int, int]]
    state: QuotaState = field(repr=False)
    notes: Mapping[str, float] = field(repr=False)


def read_state(item: Mapping[str, Any]) -> tuple[QuotaState, dict[str, float]]:
    """The state and the notes in an item as DynamoDB returns it."""
    heads: dict[str, int] = {}
    totals: dict[str, int] = {}
    slices: dict[str, dict[int, int]] = {}
    learned: dict[str, int] = {}
    held: dict[str, int] = {}
    alerted: dict[str, int] = {}
    notes: dict[str, float] = {}
    for attribute, typed in item.items():
        prefix, _, rest = attribute.partition(".")
        if not rest:
            continue
        number = typed["N"]
        if prefix == "held":
            held[rest] = int(number)
        elif prefix == "note":
            notes[rest] = float(number)
        elif rest == "head":
            heads[prefix] = int(number)
        elif rest == "total":
            totals[prefix] = int(number)
        elif rest == "capacity":
            learned[_LIMIT_NAMES[prefix]] = int(number)
        elif rest == "alerted":
            alerted[_LIMIT_NAMES[prefix]] = int(number)
        else:
            slices.setdefault(prefix, {})[int(rest)] = int(number)
    counters = {
        _LIMIT_NAMES[code]: Counter(head, totals.get(code, 0), slices.get(code, {})) for code, head in heads.items()
    }
    state = QuotaState(
        version=int(item["version"]["N"]) if "version" in item else 0,
        counters=counters,
        learned_capacities=learned,
        held=held,
        alerted=alerted,
        blocked_until_ms=int(item["blocked_until_ms"]["N"]) if "blocked_until_ms" in item else 0,
    )
    return state, notes


def admission_update(
    admission: Admission, limits: tuple[Limit, ...], state: QuotaState, held_id: str | None, now_ms: int
) -> Update:
    """The conditional write that takes what `admission` grants, decided on `state`."""
    update = Update()
    for step in admission.steps:
        code = CODES[step.name]
        if isinstance(step, Roll):
            update.set(f"{code}.head", step.index)
            update.set(f"{code}.total", step.total)
            update.set(f"{code}.{step.index}", step.cost)
            for index in step.expired:
                update.remove(f"{code}.{index}")
        else:
            update.require(f"{code}.head", "=", step.index)
            update.require(f"{code}.total", "<=", step.capacity - step.cost)
            update.add(f"{code}.total", step.cost)
            update.add(f"{code}.{step.index}", step.cost)
    if admission.needs_version:
        # Equal heads and totals would not do: two settlements can cancel out in the total and change two slices.
        if state.version:
            update.require("version", "=", state.version)
        else:
            update.require_absent("version")
    else:
        for limit in limits:
            _require_capacity_as_seen(update, limit, state)
        update.require_absent_or("blocked_until_ms", "<=", now_ms)
    if admission.needs_version or not admission.steps:
        update.set("expires_at", (now_ms + _ITEM_LIFETIME_MS) // 1000)
    for stale_id in _to_forget(state, now_ms):
        update.remove(f"held.{stale_id}")
    if held_id is not None:
        update.require_absent(f"held.{held_id}")
        update.set(f"held.{held_id}", now_ms + HELD_LIFETIME_MS)
    update.add("version", 1)
    return update


def _to_forget(state: QuotaState, now_ms: int) -> list[str]:
    """Marks whose processes died, the oldest first and only some at a time: an expression has at most 4 KB."""
    stale = sorted((forget_at_ms, held_id) for held_id, forget_at_ms in state.held.items() if forget_at_ms < now_ms)
    return [held_id for _, held_id in stale[:_MOST_FORGOTTEN]]


def _require_capacity_as_seen(update: Update, limit: Limit, state: QuotaState) -> None:
    learned = state.learned_capacities.get(limit.name)
    attribute = f"{CODES[limit.name]}.capacity"
    if learned is None:
        update.require_absent(attribute)
    else:
        update.require(attribute, "=", learned)


def alert_update(alert: Alert) -> Update:
    """The write after which `alert` is given, by whoever gets it through."""
    update = Update()
    update.require_absent_or(f"{CODES[alert.limit]}.alerted", "<", alert.mark)
    update.set(f"{CODES[alert.limit]}.alerted", alert.mark)
    update.add("version", 1)
    return update


def settlement_update(
    reservation: Reservation, actual: Mapping[str, int], live: Mapping[str, bool], notes: Mapping[str, float]
) -> Update:
    """The write that corrects `reservation` to what was `actual`ly used.

    `live` says of each limit whether the slice that was reserved in is believed to be in the item still; the write is
    conditional on that belief where it matters. A limit that `actual` does not name keeps what was reserved.
    """
    update = Update()
    if reservation.is_held:
        update.require_exists(f"held.{reservation.id}")
        update.remove(f"held.{reservation.id}")
    for name, (index, reserved) in reservation.taken.items():
        if name not in actual:
            continue
        code = CODES[name]
        from_slice = actual[name] - reserved
        from_total = from_slice
        if name == BUDGET:
            # What is spent leaves the slice of reservations and stays in the total until the month ends.
            from_slice = -reserved
            from_total = actual[name] - (reserved if live[name] else 0)
        elif not live[name]:
            continue
        if live[name] and from_slice:
            update.require_exists(f"{code}.{index}")
            update.add(f"{code}.{index}", from_slice)
        if from_total:
            update.add(f"{code}.total", from_total)
    for name, value in notes.items():
        update.set(f"note.{name}", round(value, 6))
    update.add("version", 1)
    return update
