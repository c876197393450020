"""What a quota item counts, for tests to read."""

from dataclasses import dataclass

from sluice.quota.item import QuotaItem
from sluice.quota.shards import merged

_NAMES = {
    "r": "requests_per_minute",
    "t": "tokens_per_minute",
    "R": "requests_per_day",
    "T": "tokens_per_day",
    "D": "requests_per_day",
    "c": "characters_per_month",
    "u": "nanousd_per_month",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """An item, and its totals by limit."""

    item: QuotaItem
    totals: dict[str, int]


def counted(item: QuotaItem) -> Counted:
    """Read an item, each total of which must be the sum of its slots."""
    whole = merged([item, QuotaItem()])
    totals = {name: item.total(code) for code, name in _NAMES.items() if item.number(code) is not None}
    for code, name in _NAMES.items():
        if code in "rtRT" and name in totals:
            assert whole.total(code) == item.total(code), f"{name} is not what its slots add up to"
    return Counted(item, totals)
