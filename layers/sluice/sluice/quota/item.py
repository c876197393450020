"""The Quota item: which attribute holds what. Pure.

scope               deployment#groq-1#llama-3.1-8b-instant
hm hd hD hM         heads: the slice that each window is taken from
r t R T D c u       totals: what counts now of each limit (`Limit.code`)
m0 .. m-, d0 .. d-  slots: what was taken in a slice, by its number modulo 64, requests and tokens in one number
g                   grows when capacities change;  cr ct cR cT cc  capacities that the provider's headers said
eu ec               what an operator added to the month's limit
b, w                blocked until (ms), and if not for a rate limit, why and for how many minutes by then
f, o, p             circuit: failures in a row, closed to others until (s), and twice how many probes in a row have
                    succeeded, and one more while another is under way
q                   who was last refused the model, and until when that counts
aR aT aD ac au      the last alert on a limit
ns nt nr no nk n.*     notes, numbers kept beside the limits; the last write wins
k                   how often was taken, where no limit says it
s, zm zd zD zM      closed: how many shards follow, and the heads before;  S  the shards that are in use now
expires_at          TTL, seconds (its name is the table's, and can't be changed without switching TTL off)

An attribute that is none of these, or not of the type it should be, is from another version and means nothing here.
Why one item serves all windows, and why slots are packed: docs/decisions/0033-a-quota-item-is-one-kilobyte.md.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any

from sluice.quota.circuit import Breaker, Circuit
from sluice.quota.limits import BLOCKED, Limit
from sluice.quota.windows import CalendarWindow, RollingWindow, Window

# A head that no clock reaches: nothing is taken from such an item and nothing settled.
CLOSED = 10**11
HEADS = ("hm", "hd", "hD", "hM")
ALERT = "a"
LEARNED = "c"
EXTRA = "e"
CIRCUIT = ("f", "o", "p")
# Longer than any window, so that DynamoDB never deletes what still counts.
ITEM_LIFETIME_S = 40 * 86_400

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"
# Codes of requests and tokens by window, and what the number of requests stays below in one slice: no item takes more
# than a thousand a second, and the minute's share is bounded as well (`limits.share`).
_PACKED = {"m": ("r", "t", 10**5), "d": ("R", "T", 10**7)}
_SLOTS = len(_DIGITS)
_SLOT_NAMES = {letter: tuple(letter + digit for digit in _DIGITS) for letter in _PACKED}
_NOTES = {
    "success_rate": "ns",
    "response_time_ms": "nt",
    "prompt_ratio": "nr",
    "prompt_overhead": "no",
    "completion_tokens": "nk",
}
_NOTE_NAMES = {attribute: name for name, attribute in _NOTES.items()}
_OTHER_NOTE = "n."
_REASONS = 10
_MINUTE_MS = 60_000
_LONGEST_REFUSAL_MINUTES = 9_999


class BlockReason(IntEnum):
    """Why nothing is to be sent to a deployment."""

    RATE_LIMITED = 0
    CREDENTIAL_REFUSED = 1
    MODEL_NOT_SERVED = 2

    @property
    def denial(self) -> str:
        """What a denial for this reason names in place of a limit."""
        return BLOCKED if self is BlockReason.RATE_LIMITED else self.name.lower()


def head_name(window: Window) -> str:
    """The attribute that holds a window's head."""
    return "h" + window.letter


def slot_name(window: RollingWindow, index: int) -> str:
    """The attribute that holds what was taken in slice `index`: of 64 slices in a row, none share one."""
    return _SLOT_NAMES[window.letter][index % _SLOTS]


def packed(window: RollingWindow, units: Mapping[str, int]) -> int:
    """What the number in a slot grows by for `units` (code -> units; negative ones are given back)."""
    low, high, base = _PACKED[window.letter]
    return units.get(low, 0) + base * units.get(high, 0)


def unpacked(window: RollingWindow, number: int) -> dict[str, int]:
    """What a slot's `number` says, by code."""
    low, high, base = _PACKED[window.letter]
    tokens, requests = divmod(number, base)
    return {low: requests, high: tokens}


def note_attribute(name: str) -> str:
    """The attribute that holds a note."""
    return _NOTES.get(name, _OTHER_NOTE + name)


def note_value(value: float) -> int | float:
    """A note as it is kept: four digits of it."""
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short


def refusal(reason: BlockReason, since_ms: int, until_ms: int) -> int:
    """Why nothing is to be sent until `until_ms`, and since when, to the minute: in few digits, as items are small."""
    minutes = -(-(until_ms - since_ms) // _MINUTE_MS)
    return min(max(1, minutes), _LONGEST_REFUSAL_MINUTES) * _REASONS + reason


class QuotaItem:
    """An item as DynamoDB returned it, read as far as it is asked. An empty one is that of a scope never used."""

    __slots__ = ("_typed",)

    def __init__(self, typed: Mapping[str, Any] | None = None) -> None:
        self._typed: Mapping[str, Any] = typed or {}

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same."""
        return isinstance(other, QuotaItem) and self._typed == other._typed

    @property
    def exists(self) -> bool:
        """Whether there is such an item."""
        return bool(self._typed)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """All of it, in DynamoDB's typed form."""
        return self._typed

    def number(self, attribute: str) -> int | None:
        """An attribute that is a whole number, None if it is not."""
        value = self.decimal(attribute)
        return None if value is None else int(value)

    def decimal(self, attribute: str) -> int | Decimal | None:
        """An attribute that is a number, None if it is not."""
        try:
            text = self._typed[attribute]["N"]
        except (KeyError, TypeError):
            return None
        try:
            return int(text)
        except (TypeError, ValueError):
            pass  # with a fraction or an exponent
        try:
            value = Decimal(text)
        except (InvalidOperation, TypeError, ValueError):
            return None
        return value if value.is_finite() else None

    @property
    def is_used(self) -> bool:
        """Whether anything was ever taken."""
        return any(head in self._typed for head in HEADS)

    @property
    def is_closed(self) -> bool:
        """Whether its counters have moved on to a later generation of shards."""
        return any(self.number(head) == CLOSED for head in HEADS)

    def head(self, window: Window) -> int | None:
        """The slice that is taken from; of a closed item, the one that was. None if the window was never used."""
        head = self.number(head_name(window))
        return self.number("z" + window.letter) if head == CLOSED else head

    def total(self, code: str) -> int:
        """What counts of a limit as of the head."""
        return self.number(code) or 0

    def slices(self, window: RollingWindow) -> dict[int, int]:
        """What was taken in each slice that counts as of the head: packed numbers by slice, the oldest first."""
        head = self.head(window)
        if head is None:
            return {}
        names = _SLOT_NAMES[window.letter]
        found = {}
        for index in range(window.oldest_live(head), head + 1):
            name = names[index % _SLOTS]
            if name in self._typed and (number := self.number(name)) is not None:
                found[index] = number
        return found

    @property
    def generation(self) -> int:
        """Which capacities are in force: grows when one changes."""
        return self.number("g") or 0

    def learned(self, limit: Limit) -> int | None:
        """The capacity that the provider's headers said."""
        return self.number(LEARNED + limit.code)

    def capacity(self, limit: Limit, index: int) -> int:
        """The capacity in force in slice `index`, with what an operator added to this month's."""
        capacity = limit.capacity_in_force(self.learned(limit))
        is_current = isinstance(limit.window, CalendarWindow) and self.head(limit.window) == index
        return capacity + (self.number(EXTRA + limit.code) or 0) if is_current else capacity

    @property
    def blocked_until_ms(self) -> int:
        """Until when nothing is to be sent."""
        return self.number("b") or 0

    @property
    def block_reason(self) -> BlockReason:
        """Why nothing is to be sent."""
        reason = (self.number("w") or 0) % _REASONS
        return BlockReason(reason) if reason in set(BlockReason) else BlockReason.RATE_LIMITED

    @property
    def refused_since_ms(self) -> int | None:
        """Since when nothing is to be sent, if that is for another reason than a rate limit."""
        minutes = (self.number("w") or 0) // _REASONS
        return self.blocked_until_ms - minutes * _MINUTE_MS if minutes else None

    def circuit(self, breaker: Breaker) -> Circuit:
        """The deployment's circuit, by what `breaker` makes of its failures."""
        failures, until_s, probes = (self.number(name) or 0 for name in CIRCUIT)
        return Circuit(failures, until_s, probes % 2 == 1, probes // 2, breaker)

    @property
    def notes(self) -> dict[str, float]:
        """Numbers kept beside the limits, by name."""
        found = {}
        for attribute in self._typed:
            name = _NOTE_NAMES.get(attribute)
            if name is None and attribute.startswith(_OTHER_NOTE):
                name = attribute.removeprefix(_OTHER_NOTE)
            if name is not None and (value := self.decimal(attribute)) is not None:
                found[name] = float(value)
        return found
