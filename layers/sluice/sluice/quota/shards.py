"""How a scope's counters are spread over several items, and how their number is changed. Pure.

Each shard has a share of every limit, and may be taken from alone. To change their number, all items of a generation
are closed, and the items of the next are made from what the closed ones hold. Closed items no longer change, and what
is made of them depends on nothing else, so that any process can go on where another died.
"""

from collections.abc import Sequence
from typing import Self

from sluice.loading.dataclass import dataclass
from sluice.quota.item import (
    ALERT,
    CIRCUIT,
    CLOSED,
    EXTRA,
    HEADS,
    ITEM_LIFETIME_S,
    LEARNED,
    QuotaItem,
    head_name,
    packed,
    slot_name,
    unpacked,
)
from sluice.quota.windows import (
    CALENDAR_DAY,
    CALENDAR_MONTH,
    ROLLING_DAY,
    ROLLING_MINUTE,
    RollingWindow,
)
from sluice.storage.update import Update

MOST_SHARDS = 64

_ROLLING = (ROLLING_MINUTE, ROLLING_DAY)
_CALENDAR = {CALENDAR_DAY: ("D",), CALENDAR_MONTH: ("c", "u")}
_GENERATIONS = 1_000
# What the next generation takes over beside the counters: capacities, blocks, circuits and notes are the same
# everywhere, but for what is about to be written to all.
_KEPT = frozenset({"g", "b", "w", *CIRCUIT, "q"})
_KEPT_PREFIXES = (LEARNED, EXTRA, ALERT, "n")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of a generation's items, by number."""

    generation: int = 0
    number: int = 0
    count: int = 1

    def key(self, scope: str) -> str:
        """The item's key. Names of scopes have no blanks."""
        return f"{scope} {self.generation}.{self.number}" if self.generation else scope


@dataclass(frozen=True, slots=True)
class Layout:
    """A generation of shards. The first is one item, under the scope's own name."""

    generation: int = 0
    count: int = 1

    @classmethod
    def from_number(cls, number: int) -> Self:
        """Read back what `number` is."""
        return cls(*divmod(number, _GENERATIONS))

    @property
    def number(self) -> int:
        """As an attribute; a later generation's is larger."""
        return self.generation * _GENERATIONS + self.count

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All of them, by number."""
        return tuple(Shard(self.generation, number, self.count) for number in range(self.count))

    def following(self, count: int) -> "Layout":
        """The next generation."""
        return Layout(self.generation + 1, count)


def closing(item: QuotaItem, shard: Shard, count: int, now_ms: int) -> Update:
    """The write that closes `item`, to be followed by `count` shards."""
    update = Update()
    for head in HEADS:
        found = item.number(head)
        if found is None:
            update.require_absent(head)
        else:
            update.require(head, "=", found)
            update.set("z" + head.removeprefix("h"), found)
        update.set(head, CLOSED)
    update.set("s", count)
    if shard.generation:
        update.set("expires_at", now_ms // 1000 + ITEM_LIFETIME_S)
    else:
        # From here on it is how processes that know nothing find the others.
        update.remove("expires_at")
    return update


def next_generation(closed: Sequence[QuotaItem], count: int, now_ms: int) -> list[Update]:
    """The writes that make `count` shards of what `closed` ones hold, each once."""
    made = [Update() for _ in range(count)]
    for update in made:
        for head in HEADS:
            update.require_absent(head)
        update.set("expires_at", now_ms // 1000 + ITEM_LIFETIME_S)
    whole = merged(closed)
    for window in _ROLLING:
        rolling_head = whole.head(window)
        if rolling_head is not None:
            _spread_slices(made, window, rolling_head, whole)
    for calendar, codes in _CALENDAR.items():
        calendar_head = whole.head(calendar)
        if calendar_head is not None:
            for number, update in enumerate(made):
                update.set(head_name(calendar), calendar_head)
                for code in codes:
                    if whole.number(code) is not None:
                        update.set(code, _part(0, whole.total(code), number, count))
    for name in whole.attributes:
        if _is_kept(name) and (value := whole.decimal(name)) is not None:
            for update in made:
                update.set(name, value if isinstance(value, int) else float(value))
    return made


def merged(items: Sequence[QuotaItem]) -> QuotaItem:
    """All shards as if they were one item; where they differ in what is not counted, the first is believed."""
    if len(items) == 1 and not items[0].is_closed:
        return items[0]
    attributes = {}
    for item in reversed(items):
        attributes.update({name: typed for name, typed in item.attributes.items() if not _is_counter(name)})
    for name, latest in (("b", [item.blocked_until_ms for item in items]), ("g", [item.generation for item in items])):
        if any(latest):
            attributes[name] = {"N": str(max(latest))}
    for window in _ROLLING:
        numbers = _merged_slices(items, window)
        heads = [head for item in items if (head := item.head(window)) is not None]
        if heads:
            attributes[head_name(window)] = {"N": str(max(heads))}
            attributes |= {slot_name(window, index): {"N": str(number)} for index, number in numbers.items()}
            for code, total in _sums(window, numbers).items():
                if any(item.number(code) is not None for item in items):
                    attributes[code] = {"N": str(total)}
    for calendar, codes in _CALENDAR.items():
        heads = [head for item in items if (head := item.head(calendar)) is not None]
        if heads:
            attributes[head_name(calendar)] = {"N": str(max(heads))}
            current = [item for item in items if item.head(calendar) == max(heads)]
            for code in codes:
                if any(item.number(code) is not None for item in current):
                    attributes[code] = {"N": str(sum(item.total(code) for item in current))}
    return QuotaItem(attributes)


def _merged_slices(items: Sequence[QuotaItem], window: RollingWindow) -> dict[int, int]:
    oldest = max((window.oldest_live(head) for item in items if (head := item.head(window)) is not None), default=0)
    numbers: dict[int, int] = {}
    for item in items:
        for index, number in item.slices(window).items():
            if index >= oldest:
                numbers[index] = numbers.get(index, 0) + number
    return dict(sorted(numbers.items()))


def _sums(window: RollingWindow, numbers: dict[int, int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for number in numbers.values():
        for code, units in unpacked(window, number).items():
            sums[code] = sums.get(code, 0) + units
    return sums


def _spread_slices(made: Sequence[Update], window: RollingWindow, head: int, whole: QuotaItem) -> None:
    """Deal out all units one after the other, from the oldest slice on, so that each shard has its part of the total.

    A part of no more than the capacity is no more than the share of it: no shard has room that another has used.
    """
    count = len(made)
    dealt: dict[str, int] = {}
    totals: list[dict[str, int]] = [{} for _ in made]
    for index, number in whole.slices(window).items():
        units = unpacked(window, number)
        for shard, update in enumerate(made):
            parts = {code: _part(dealt.get(code, 0), units[code], shard, count) for code in units}
            for code, part in parts.items():
                totals[shard][code] = totals[shard].get(code, 0) + part
            if any(parts.values()):
                update.set(slot_name(window, index), packed(window, parts))
        for code in units:
            dealt[code] = dealt.get(code, 0) + units[code]
    for shard, update in enumerate(made):
        update.set(head_name(window), head)
        for code in unpacked(window, 0):
            if whole.number(code) is not None:
                update.set(code, totals[shard].get(code, 0))


def _part(dealt: int, units: int, shard: int, count: int) -> int:
    """How many of the next `units` a shard gets when they are dealt out in turn and `dealt` were before."""
    return _up_to(dealt + units, shard, count) - _up_to(dealt, shard, count)


def _up_to(units: int, shard: int, count: int) -> int:
    return units // count + (shard < units % count)


def _is_kept(name: str) -> bool:
    return name in _KEPT or name.startswith("n.") or (len(name) == 2 and name.startswith(_KEPT_PREFIXES))


def _is_counter(name: str) -> bool:
    is_slot = len(name) == 2 and name[0] in {"m", "d"}
    return (
        is_slot or name in HEADS or name in {"r", "t", "R", "T", "D", "c", "u", "k", "s", "S", "zm", "zd", "zD", "zM"}
    )
