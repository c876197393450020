"""How much of a tenant's answers is cached: sums that are added to as answers are stored, so that nobody need scan.

They lie in the Usage table, beside what was used:

tenant_day      acme#cached
hour_route      <generation>#<until>       entries and bytes that count until then, in seconds since 1970

A process adds what it has stored at most once a second, and the next time it stores something: what it stored in the
last second before it was stopped may be missing, until those answers expire.
"""

import time
from collections.abc import Callable, Iterable
from threading import Lock

from sluice.cache.store import CacheChange
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import from_item, to_typed
from sluice.storage.tables import USAGE
from sluice.storage.update import Update

_FLUSH_EVERY_S = 1.0
# DynamoDB deletes what has expired within a few days: the answers, and the sums that count them as expired.
_DELETED_AFTER_S = 2 * 86_400


@dataclass(frozen=True, slots=True)
class CacheSize:
    """`entries` answers of `bytes` can be served; `expired` ones cannot any more, and are not deleted yet."""

    entries: int = 0
    expired: int = 0
    bytes: int = 0


class CacheSums:
    """The sums in a Usage table, and what this process has stored and not yet added. Threads may share it.

    `clock` is monotonic.
    """

    def __init__(
        self, table: str, clock: Callable[[], float] = time.monotonic, *, client: DynamoDB | None = None
    ) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()
        self._lock = Lock()
        self._pending: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._flushed_s = float("-inf")

    def add(self, tenant: str, changes: Iterable[CacheChange]) -> None:
        """Count `changes`. Raises StorageUnavailableError, and then they stay uncounted."""
        with self._lock:
            for change in changes:
                place = (tenant, change.generation, change.until)
                entries, size = self._pending.get(place, (0, 0))
                self._pending[place] = (entries + change.entries, size + change.bytes)
            if self._clock() - self._flushed_s < _FLUSH_EVERY_S:
                return
            self._flushed_s = self._clock()
            due, self._pending = self._pending, {}
        for (owner, generation, until), (entries, size) in due.items():
            if entries or size:
                self._write(owner, CacheChange(generation, until, entries, size))

    def read(self, tenant: str) -> list[CacheChange]:
        """All sums of a tenant, those of the last days included. Raises StorageUnavailableError."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :tenant",
            "ExpressionAttributeNames": {"#partition": USAGE.partition},
            "ExpressionAttributeValues": {":tenant": to_typed(_partition(tenant))},
        }
        sums = []
        for item in map(from_item, self._client.query(request)):
            generation, _, until = item["hour_route"].partition("#")
            sums.append(CacheChange(int(generation), int(until), item["entries"], item["bytes"]))
        return sums

    def _write(self, tenant: str, change: CacheChange) -> None:
        update = Update()
        update.add("entries", change.entries)
        update.add("bytes", change.bytes)
        update.set("expires_at", change.until + _DELETED_AFTER_S)
        key = USAGE.key(_partition(tenant), f"{change.generation}#{change.until}")
        self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()}, attempts=1)


def cache_size(sums: Iterable[CacheChange], generation: int, now_s: float) -> CacheSize:
    """How much there is by `sums`, each of its own generation and end, when `generation` is served. Pure."""
    entries = expired = size = 0
    for each in sums:
        # Below zero only where the sum that something was taken from is deleted already.
        if each.generation == generation and each.until > now_s:
            entries += max(0, each.entries)
            size += max(0, each.bytes)
        elif each.until > now_s - _DELETED_AFTER_S:
            expired += max(0, each.entries)
    return CacheSize(entries, expired, size)


def _partition(tenant: str) -> str:
    return f"{tenant}#cached"
