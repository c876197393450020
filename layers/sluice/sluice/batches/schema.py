"""Items of batches. Pure.

collection            entry            is
batches#acme#key-id   batch_0193...    a batch
work#acme             batch_0193...    what is still to be sent of it to the queue
chunks#batch_0193...  00017            where in the file ten lines are
chunks#batch_0193...  00017.finished   there once all of them have ended
lines#batch_0193...   173              a line that was asked: who asks it now, or its answer
progress#batch_...    5                a part of the sums over its lines, of 16

A line's answer and its share of the sums are written in one transaction, so that the sums are exact whoever dies when.
"""

from dataclasses import asdict, fields
from typing import Any

from sluice.batches.batch import Batch, Fault, Priority, Progress, Status
from sluice.storage.item_types import Item, TypedItem
from sluice.storage.tables import BATCHES

PROGRESS_SHARDS = 16


def batch_key(owner: str, batch_id: str) -> TypedItem:
    """The key of a batch."""
    return BATCHES.key(batches(owner), batch_id)


def batches(owner: str) -> str:
    """Where the batches of an owner are."""
    return f"batches#{owner}"


def work(tenant: str) -> str:
    """Where the open work of a tenant is."""
    return f"work#{tenant}"


def chunk_key(batch_id: str, number: int) -> TypedItem:
    """The key of a chunk."""
    return BATCHES.key(f"chunks#{batch_id}", f"{number:05d}")


def finished_key(batch_id: str, number: int) -> TypedItem:
    """The key of what says that all lines of a chunk have ended: apart, as a batch may be split twice."""
    return BATCHES.key(f"chunks#{batch_id}", f"{number:05d}.finished")


def lines(batch_id: str) -> str:
    """Where the lines of a batch are."""
    return f"lines#{batch_id}"


def line_entry(number: int) -> str:
    """The sort key of a line, the first being 1."""
    return f"{number:06d}"


def line_key(batch_id: str, number: int) -> TypedItem:
    """The key of a line."""
    return BATCHES.key(lines(batch_id), line_entry(number))


def progress(batch_id: str) -> str:
    """Where the sums of a batch are."""
    return f"progress#{batch_id}"


def progress_key(batch_id: str, shard: int) -> TypedItem:
    """The key of a part of the sums."""
    return BATCHES.key(progress(batch_id), f"{shard:02d}")


def to_batch_item(batch: Batch) -> Item:
    """A batch as it is stored, without its key."""
    values: dict[str, Any] = {each.name: getattr(batch, each.name) for each in fields(Batch)}
    values |= {
        "status": str(batch.status),
        "priority": int(batch.priority),
        "faults": [asdict(fault) for fault in batch.faults],
        "progress": asdict(batch.progress),
    }
    return {name: value for name, value in values.items() if value is not None}


def from_batch_item(item: Item) -> Batch:
    """A batch as it was stored."""
    known = {each.name for each in fields(Batch)}
    values = {name: value for name, value in item.items() if name in known}
    return Batch(
        **values
        | {
            "status": Status(item["status"]),
            "priority": Priority(item["priority"]),
            "faults": tuple(Fault(**fault) for fault in item["faults"]),
            "progress": Progress(**item["progress"]),
        }
    )
