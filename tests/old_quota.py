"""How version 0.1 of Sluice took from the Quota table, as its processes still do for a while after an update.

It decided from an item as last seen. A write in the current slice was conditional on the slice and the total; one that
moved on to a new slice was conditional on the item's `version`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from sluice.quota.steps import Read, Write, Written
from sluice.storage.update import Update

MINUTE = ("rpm", 1_000, 61)
DAY = ("rpd", 86_400_000, 0)


@dataclass
class OldProcess:
    """A process of version 0.1, with limits as (code, slice in ms, slices kept) -> capacity."""

    limits: dict[tuple[str, int, int], int]
    item: dict[str, int] = field(default_factory=dict)

    def reserve(self, scope: str, clock: Callable[[], int]) -> Generator[Read | Write, Any, bool]:
        """Take one request; whether it was admitted."""
        is_current = False
        for _ in range(24):
            update = self._update(clock())
            if update is None:
                if is_current:
                    return False
                [found] = yield Read((scope,), is_consistent=True)
                self.item, is_current = numbers(found.attributes), True
                continue
            written: Written = yield Write(scope, update)
            self.item, is_current = numbers(written.item.attributes), True
            if written.is_done:
                return True
        return False

    def _update(self, now_ms: int) -> Update | None:
        """The write, None if what is known refuses it."""
        item = self.item
        if item.get("blocked_until_ms", 0) > now_ms:
            return None
        update = Update()
        has_moved = False
        for (code, slice_ms, kept), capacity in self.limits.items():
            head = item.get(f"{code}.head", now_ms // slice_ms - 1)
            index = max(now_ms // slice_ms, head)
            slices = {
                int(name.partition(".")[2]): units
                for name, units in item.items()
                if name.startswith(f"{code}.") and name.partition(".")[2].isdecimal()
            }
            live = {number: units for number, units in slices.items() if index == head or number >= index - kept}
            if sum(live.values()) + 1 > capacity:
                return None
            if index == head:
                update.require(f"{code}.head", "=", index)
                update.require(f"{code}.total", "<=", capacity - 1)
                update.add(f"{code}.total", 1)
                update.add(f"{code}.{index}", 1)
            else:
                has_moved = True
                update.set(f"{code}.head", index)
                update.set(f"{code}.total", sum(live.values()) + 1)
                update.set(f"{code}.{index}", 1)
                for number in slices.keys() - live.keys():
                    update.remove(f"{code}.{number}")
        if has_moved and "version" in item:
            update.require("version", "=", item["version"])
        elif has_moved:
            update.require_absent("version")
        else:
            update.require_absent_or("blocked_until_ms", "<=", now_ms)
        update.add("version", 1)
        return update


def numbers(typed: Any) -> dict[str, int]:
    """The attributes that are numbers, as the old version read them."""
    return {
        name: int(value["N"])
        for name, value in typed.items()
        if "N" in value and ("." in name or "_" in name or name == "version")
    }
