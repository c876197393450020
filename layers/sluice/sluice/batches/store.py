"""Batches in DynamoDB, and the sums over their lines."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice, takewhile
from typing import Any

from sluice.batches.batch import KEPT_S, Batch, Progress, Status
from sluice.batches.schema import (
    PROGRESS_SHARDS,
    batch_key,
    batches,
    from_batch_item,
    progress,
    progress_key,
    to_batch_item,
)
from sluice.errors import NotFoundError
from sluice.files.file import is_id
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import from_item, to_item
from sluice.storage.tables import BATCHES
from sluice.storage.transaction import write_beside_transactions
from sluice.storage.update import Update

_SUMS = tuple(asdict(Progress()))
_MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches, and whether there are more."""

    batches: Sequence[Batch]
    has_more: bool


class BatchStore:
    """The batches of all callers. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def create(self, batch: Batch) -> None:
        """Add a batch."""
        values = to_batch_item(batch) | {"expires_at": batch.ends_by + KEPT_S}
        item = batch_key(batch.owner, batch.id) | to_item(values)
        self._client.call("PutItem", {"TableName": self._table, "Item": item})

    def find(self, owner: str, batch_id: str) -> Batch:
        """A batch of `owner`'s, with what was counted of it so far. Raises NotFoundError."""
        batch = self.read(owner, batch_id) if is_id(batch_id) else None
        if batch is None:
            raise NotFoundError(f"There is no batch {batch_id[:64]!r}.", param="batch_id")
        return batch.with_progress(self.progress(batch.id)) if self._is_counting(batch) else batch

    def read(self, owner: str, batch_id: str) -> Batch | None:
        """A batch of `owner`'s as it was last written; None if there is none."""
        asked = {"TableName": self._table, "Key": batch_key(owner, batch_id), "ConsistentRead": True}
        item = self._client.call("GetItem", asked).get("Item")
        return None if item is None else from_batch_item(from_item(item))

    def page(self, owner: str, *, after: str | None, limit: int) -> BatchPage:
        """Batches of `owner`'s, `limit` at most, the latest first."""
        found, has_more = self._latest(owner, after=after, limit=limit)
        counted = [each.with_progress(self.progress(each.id)) if self._is_counting(each) else each for each in found]
        return BatchPage(counted, has_more)

    def made_once_as(self, owner: str, name: str, since: int) -> Batch | None:
        """The batch that was made for a request of this name, if it was `since` then, in seconds since 1970."""
        asked = self._newest_first(owner) | {"ConsistentRead": True}
        newest = (from_batch_item(from_item(item)) for item in self._client.query(asked))
        recent = takewhile(lambda batch: batch.created_at >= since, newest)
        return next((batch for batch in recent if batch.made_once_as == name), None)

    def open_count(self, owner: str) -> int:
        """How many of the latest batches of `owner`'s have not ended."""
        found, _ = self._latest(owner, after=None, limit=_MOST_COUNTED)
        return sum(not each.status.is_final for each in found)

    def move(
        self, batch: Batch, before: Sequence[Status], after: Status, values: Mapping[str, Any] | None = None
    ) -> bool:
        """Bring a batch that is in one of `before` into another status; False if it is in none of them."""
        update = Update()
        update.set("status", str(after))
        reached = batch.reached | {str(after): int(self._clock())}
        for name, value in {**(values or {}), "reached": reached}.items():
            update.set(name, value)
        update.require_one_of("status", [str(each) for each in before])
        asked = {"TableName": self._table, "Key": batch_key(batch.owner, batch.id), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", asked)
        except ConditionFailedError:
            return False
        return True

    def note_announced(self, batch: Batch) -> None:
        """Note that the end of a batch was announced."""
        update = Update()
        update.set("is_announced", True)
        update.require_exists("status")
        asked = {"TableName": self._table, "Key": batch_key(batch.owner, batch.id), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", asked)
        except ConditionFailedError:
            return  # it has expired meanwhile

    def progress(self, batch_id: str) -> Progress:
        """The sums over the lines of a batch now."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
            "ExpressionAttributeValues": to_item({":partition": progress(batch_id)}),
            "ConsistentRead": True,
        }
        found = Progress()
        for item in map(from_item, self._client.query(request)):
            found += Progress(**{name: item.get(name, 0) for name in _SUMS})
        return found

    def stop_counting(self, batch: Batch) -> Progress:
        """Have no more lines end. Returns the sums as they stay."""
        for shard in range(PROGRESS_SHARDS):
            update = Update()
            update.set("is_closed", True)
            update.set("expires_at", batch.ends_by + KEPT_S)
            asked = {"TableName": self._table, "Key": progress_key(batch.id, shard), **update.arguments()}
            write_beside_transactions(self._client, "UpdateItem", asked)
        return self.progress(batch.id)

    def _latest(self, owner: str, *, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        request = self._newest_first(owner)
        if after is not None:
            request["ExclusiveStartKey"] = batch_key(owner, after)
        found = [from_batch_item(from_item(item)) for item in islice(self._client.query(request), limit + 1)]
        return found[:limit], len(found) > limit

    def _newest_first(self, owner: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
            "ExpressionAttributeValues": to_item({":partition": batches(owner)}),
            "ScanIndexForward": False,
        }

    def _is_counting(self, batch: Batch) -> bool:
        return not batch.status.is_final and batch.status is not Status.VALIDATING
