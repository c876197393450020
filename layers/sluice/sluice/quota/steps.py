"""What the ledger asks of DynamoDB, one step after the other, without asking it itself. Pure.

Flows are generators: they yield a step and are sent the answer to it. So the ledger's flows run on DynamoDB, and with
every order of answers, lost ones and repeated ones that a test can think of, on something that only behaves like it.
"""

from collections.abc import Generator
from typing import Any

from sluice.loading.dataclass import dataclass
from sluice.quota.item import QuotaItem
from sluice.storage.update import Update


@dataclass(frozen=True, slots=True)
class Read:
    """Read the items under these keys; the answer is a list of them, empty items for those that there are not."""

    keys: tuple[str, ...]
    is_consistent: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Update one item; the answer is a Written. `may_repeat`: sending it twice wastes units at worst."""

    key: str
    update: Update
    may_repeat: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a while, drawn from 0 on."""

    longest_s: float


@dataclass(frozen=True, slots=True)
class Written:
    """Whether the condition held, and the item as it is after all."""

    is_done: bool
    item: QuotaItem


type Flow[T] = Generator[Read | Write | Pause, Any, T]


def read(*keys: str, is_consistent: bool = False) -> Flow[list[QuotaItem]]:
    """Read items, in the order of their keys."""
    found: list[QuotaItem] = yield Read(keys, is_consistent)
    return found


def write(key: str, update: Update, *, may_repeat: bool = True) -> Flow[Written]:
    """Update one item."""
    written: Written = yield Write(key, update, may_repeat)
    return written
