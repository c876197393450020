"""The write that corrects what was reserved to what was used. Pure.

A total and its slot change alike, and only while the slice counts. The write can be sent without having seen the item;
if its condition fails, the item says which parts are left to correct.
"""

from collections.abc import Mapping
from decimal import Decimal

from sluice.loading.dataclass import dataclass
from sluice.quota.circuit import USUAL_BREAKER, Breaker, Verdict
from sluice.quota.item import CIRCUIT, QuotaItem, head_name, note_attribute, note_value, packed, slot_name
from sluice.quota.reservation import Reservation
from sluice.quota.windows import CalendarWindow, RollingWindow, Window
from sluice.storage.update import Update


@dataclass(frozen=True, slots=True)
class Usage:
    """What became of a reservation.

    `units` is what was used, by limit name; a limit that it does not name keeps what was reserved. `notes` are kept
    beside the limits. Without a `verdict` the call said nothing of its deployment's health; with one, it is for the
    circuit of a `breaker`.
    """

    units: Mapping[str, int]
    notes: Mapping[str, float]
    verdict: Verdict | None = None
    breaker: Breaker = USUAL_BREAKER


@dataclass(frozen=True, slots=True)
class Settlement:
    """A write that settles. If it `gives_back`, sending it twice could let a limit be passed."""

    update: Update
    gives_back: bool


def settlement(
    reservation: Reservation, usage: Usage, seen: QuotaItem, now_ms: int, *, is_current: bool = False
) -> Settlement | None:
    """The write that settles `reservation`, None if there is nothing to change.

    `seen` is the item as last seen; `is_current` if that was just now, so that it says what is left to correct.
    """
    update = Update()
    has_changed = gives_back = False
    for window, corrections in _corrections(reservation, usage).items():
        index = max(reservation.taken[name][0] for name in corrections)
        if not _counts(window, index, seen if is_current else None, now_ms):
            continue
        codes = {reservation.limits[name].code: units for name, units in corrections.items()}
        _correct(update, window, index, codes)
        has_changed = True
        gives_back = gives_back or any(units < 0 for units in codes.values())
    has_changed |= _judge(update, reservation, usage, seen, now_ms)
    for name, value in usage.notes.items():
        attribute, kept = note_attribute(name), note_value(value)
        if seen.decimal(attribute) != Decimal(str(kept)):
            update.set(attribute, kept)
            has_changed = True
    return Settlement(update, gives_back) if has_changed else None


def late_settlement(reservation: Reservation, usage: Usage, item: QuotaItem) -> list[Settlement]:
    """The writes that settle a reservation whose item was closed, on one of the items that followed.

    More is added to where its slice counts. What is to be given back can be found in a month's plain sum only.
    """
    writes = []
    for window, corrections in _corrections(reservation, usage).items():
        for name, units in corrections.items():
            index, code = reservation.taken[name][0], reservation.limits[name].code
            if not _counts(window, index, item, 0) or (units < 0 and isinstance(window, RollingWindow)):
                continue
            update = Update()
            _correct(update, window, index, {code: units})
            if units < 0:
                update.require(code, ">=", -units)
            writes.append(Settlement(update, units < 0))
    return writes


def _corrections(reservation: Reservation, usage: Usage) -> dict[Window, dict[str, int]]:
    """By how much each limit's reservation differs from what was used, by window and name."""
    found: dict[Window, dict[str, int]] = {}
    for name, (_, reserved) in reservation.taken.items():
        correction = usage.units.get(name, reserved) - reserved
        if correction:
            found.setdefault(reservation.limits[name].window, {})[name] = correction
    return found


def _counts(window: Window, index: int, item: QuotaItem | None, now_ms: int) -> bool:
    """Whether slice `index` still counts, as the item says or else the clock."""
    head = window.slice_at(now_ms) if item is None else item.head(window)
    if head is None:
        return False
    if isinstance(window, CalendarWindow):
        return item is None or head == index
    return window.oldest_live(head) <= index


def _correct(update: Update, window: Window, index: int, codes: Mapping[str, int]) -> None:
    if isinstance(window, RollingWindow):
        update.require(head_name(window), "<=", index + window.kept_slices)
        update.add(slot_name(window, index), packed(window, codes))
    else:
        update.require(head_name(window), "=", index)
    for code, units in codes.items():
        update.add(code, units)


def _judge(update: Update, reservation: Reservation, usage: Usage, seen: QuotaItem, now_ms: int) -> bool:
    """Tell the circuit, but for a probe's success, which is told before. Returns whether there was anything to tell."""
    is_probe, circuit = reservation.probe_until_s is not None, seen.circuit(usage.breaker)
    if usage.verdict is Verdict.SUCCESS and circuit.failures and circuit.is_closed:
        for attribute in CIRCUIT:
            update.remove(attribute)
        return True
    if usage.verdict is Verdict.FAILURE and (is_probe or circuit.is_closed):
        if not is_probe:
            # A circuit that is open by now stays so no longer for a call that had begun before.
            update.require_absent_or("f", "<", usage.breaker.failures_to_open)
        update.remove("p")
        update.add("f", 1)
        update.set("o", usage.breaker.open_until_s(now_ms))
        return True
    return False
