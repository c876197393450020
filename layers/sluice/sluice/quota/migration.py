"""Takes over the items that version 0.1 of Sluice left, while processes of it may still run. Pure.

Its items have attributes like `rpm.total`, `rpm.head` and `rpm.<slice>`, and a `version` that its writes were
conditional on. The first process to take from such an item replaces all of that, in one write, by what still counts.
From then on the old processes find their writes' conditions false and the scope blocked (`blocked_until_ms`), so that
nothing is counted twice over; the new ones do not look at these two attributes. Both go once no old process is left.
"""

from collections.abc import Mapping

from sluice.quota.item import ITEM_LIFETIME_S, LEARNED, QuotaItem, head_name, packed, slot_name, unpacked
from sluice.quota.limits import BUDGET, Limit
from sluice.quota.windows import CalendarWindow, RollingWindow, month_at
from sluice.storage.update import Update

VERSION = "version"
BLOCKED_UNTIL = "blocked_until_ms"

# Functions move to a new version one after the other, each at once; what runs then ends within a quarter of an hour.
_OLD_PROCESSES_MS = 3_600_000
# Rounded, so that it takes few digits.
_ROUNDED_MS = 1_000_000
_CODES = {
    "requests_per_minute": "rpm",
    "requests_per_day": "rpd",
    "tokens_per_minute": "tpm",
    "tokens_per_day": "tpd",
    "characters_per_month": "cpm",
    BUDGET: "usd",
}
_OLD_SLICES_MS = {"m": 1_000, "d": 1_440_000}
_OLD_BUDGET_SLICE_MS = 900_000
# What one expression of 4 KB has room for beside what replaces it.
_MOST_REMOVED = 300


def is_old(item: QuotaItem) -> bool:
    """Whether the item is one that only the old version counted in."""
    return not item.is_used and bool(_leftovers(item))


def guard_new_item(update: Update, item: QuotaItem, now_ms: int) -> None:
    """Keep old processes from a scope that is used for the first time."""
    _advance_version(update, item)
    update.set(BLOCKED_UNTIL, _blocked_until_ms(now_ms))


def unguard(update: Update, item: QuotaItem, now_ms: int) -> None:
    """Remove what keeps old processes from `item`, once there are none."""
    until_ms = item.number(BLOCKED_UNTIL)
    if until_ms is not None and until_ms <= now_ms:
        update.remove(VERSION)
        update.remove(BLOCKED_UNTIL)


def conversion(item: QuotaItem, limits: tuple[Limit, ...], now_ms: int) -> Update:
    """The write that makes an old item one of this version. What was reserved by then stays counted."""
    update = Update()
    _advance_version(update, item)
    update.set(BLOCKED_UNTIL, _blocked_until_ms(now_ms))
    old_block_ms = item.number(BLOCKED_UNTIL) or 0
    if old_block_ms > now_ms:
        update.set("b", old_block_ms)
    has_learned = False
    for window in dict.fromkeys(limit.window for limit in limits):
        codes = {_CODES[limit.name]: limit.code for limit in limits if limit.window == window}
        update.require_absent(head_name(window))
        if isinstance(window, RollingWindow):
            _convert_rolling(update, item, window, codes, now_ms)
        else:
            _convert_calendar(update, item, window, codes)
        for old, code in codes.items():
            learned = item.number(f"{old}.capacity")
            if learned is not None:
                update.set(LEARNED + code, learned)
                has_learned = True
    if has_learned:
        update.set("g", 1)
    update.set("expires_at", now_ms // 1000 + ITEM_LIFETIME_S)
    for name in _leftovers(item)[:_MOST_REMOVED]:
        update.remove(name)
    return update


def cleaning(item: QuotaItem) -> Update | None:
    """The write that removes what the conversion had no room for, None if there is nothing."""
    names = _leftovers(item)[:_MOST_REMOVED]
    if not names:
        return None
    update = Update()
    for name in names:
        update.remove(name)
    return update


def _convert_rolling(
    update: Update, item: QuotaItem, window: RollingWindow, codes: Mapping[str, str], now_ms: int
) -> None:
    """An old slice counts in the one of ours that its end lies in, or now does: later rather than earlier."""
    head = window.slice_at(now_ms)
    old_ms = _OLD_SLICES_MS[window.letter]
    units: dict[int, dict[str, int]] = {}
    for name in item.attributes:
        old, _, number = name.partition(".")
        if old in codes and number.isdecimal():
            taken = item.number(name) or 0
            index = min(window.slice_at((int(number) + 1) * old_ms - 1), head)
            if index >= window.oldest_live(head) and taken:
                of_slice = units.setdefault(index, {})
                of_slice[codes[old]] = of_slice.get(codes[old], 0) + taken
    if not any(f"{old}.head" in item.attributes for old in codes):
        return
    update.set(head_name(window), head)
    for index, of_slice in units.items():
        update.set(slot_name(window, index), packed(window, of_slice))
    for code in unpacked(window, 0):
        if code in codes.values():
            update.set(code, sum(of_slice.get(code, 0) for of_slice in units.values()))


def _convert_calendar(update: Update, item: QuotaItem, window: CalendarWindow, codes: Mapping[str, str]) -> None:
    for old, code in codes.items():
        head = item.number(f"{old}.head")
        if head is None:
            continue
        if old == _CODES[BUDGET]:
            head = month_at(head * _OLD_BUDGET_SLICE_MS)
        update.set(head_name(window), window.first_slice(head))
        update.set(code, item.number(f"{old}.total") or 0)


def _leftovers(item: QuotaItem) -> list[str]:
    """Attributes of the old layout: all of them have a dot in their name, and none of ours but some notes."""
    return [name for name in item.attributes if "." in name and not name.startswith("n.")]


def _advance_version(update: Update, item: QuotaItem) -> None:
    """Only if no old process has written since; and what they have decided on by now holds no longer."""
    version = item.number(VERSION)
    if version is None:
        update.require_absent(VERSION)
    else:
        update.require(VERSION, "=", version)
    update.add(VERSION, 1)


def _blocked_until_ms(now_ms: int) -> int:
    return -(-(now_ms + _OLD_PROCESSES_MS) // _ROUNDED_MS) * _ROUNDED_MS
