"""How much of a tenant's answers is cached: sums that are added to as answers are stored, so that nobody need scan.

tenant_day      acme#cached
hour_route     <generation>#<until>       entries and bytes that count until then, in seconds since 1970

A process adds what it has stored at most once a second, and the next time it stores something: what it stored in the
last second before it was stopped may be missing, until the answers would have expired anyway.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from sluice.settings import settings
from sluice.storage.client import dynamodb, from_item, query, storage_errors
from sluice.storage.update import Update
from sluice.usage.records import PARTITION, SORT

_FLUSH_EVERY_S = 1.0
# DynamoDB deletes what has expired within a few days: the answers, and the sums that count them as expired.
_DELETED_AFTER_S = 2 * 86_400


@dataclass(frozen=True, slots=True)
class CachedSum:
    """Answers of one generation of a tenant's cache that count until the same moment, in seconds since 1970."""

    generation: int
    until: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CacheSize:
    """`entries` answers of `bytes` can be served; `expired` ones cannot any more, and are not deleted yet."""

    entries: int = 0
    expired: int = 0
    bytes: int = 0


class CachedSums:
    """What this process has stored and not yet added. Threads may share it. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._pending: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._flushed_s = float("-inf")

    def add(self, tenant: str, generation: int, changes: Iterable[tuple[int, int, int]]) -> None:
        """Count `changes`: (until, entries, bytes), negative for what is gone. Raises StorageUnavailableError."""
        with self._lock:
            for until, entries, size in changes:
                known = self._pending.get((tenant, generation, until), (0, 0))
                self._pending[tenant, generation, until] = (known[0] + entries, known[1] + size)
            if self._clock() - self._flushed_s < _FLUSH_EVERY_S:
                return
            self._flushed_s = self._clock()
            due, self._pending = self._pending, {}
        for (owner, number, until), (entries, size) in due.items():
            if entries or size:
                _add(owner, CachedSum(number, until, entries, size))


def cached_sums(tenant: str) -> list[CachedSum]:
    """All sums of a tenant, those of the last days included. Raises StorageUnavailableError."""
    with storage_errors("reading what is cached"):
        items = query(
            settings().usage_table,
            KeyConditionExpression="#partition = :tenant",
            ExpressionAttributeNames={"#partition": PARTITION},
            ExpressionAttributeValues={":tenant": {"S": _partition(tenant)}},
        )
        found = [from_item(item) for item in items]
    sums = []
    for item in found:
        generation, _, until = item[SORT].partition("#")
        sums.append(CachedSum(int(generation), int(until), item["entries"], item["bytes"]))
    return sums


def cache_size(sums: Iterable[CachedSum], generation: int, now_s: float) -> CacheSize:
    """How much there is, when `generation` is served. Pure."""
    entries = expired = size = 0
    for each in sums:
        # Below zero only when the sum that this one takes from is deleted already.
        if each.generation == generation and each.until > now_s:
            entries += max(0, each.entries)
            size += max(0, each.bytes)
        elif each.until > now_s - _DELETED_AFTER_S:
            expired += max(0, each.entries)
    return CacheSize(entries, expired, size)


def _add(tenant: str, change: CachedSum) -> None:
    update = Update()
    update.add("entries", change.entries)
    update.add("bytes", change.bytes)
    update.set("expires_at", change.until + _DELETED_AFTER_S)
    key = {PARTITION: {"S": _partition(tenant)}, SORT: {"S": f"{change.generation}#{change.until}"}}
    with storage_errors("counting what is cached"):
        dynamodb(attempts=1).update_item(TableName=settings().usage_table, Key=key, **update.arguments())


def _partition(tenant: str) -> str:
    return f"{tenant}#cached"
