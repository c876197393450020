"""Caches of tenants, for operators to see and clear."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.cache.store import ResponseCache
from sluice.cache.sums import CacheSize, CacheSums, cache_size
from sluice.tenants.audit import Act, Action, Actor, Change
from sluice.tenants.audit_log import AuditLog
from sluice.usage.report import UsageReader
from sluice.usage.sums import Use

_THREADS = 8


class CacheUse(TypedDict):
    """How much is cached, and how many of the day's requests were answered from it."""

    entries: int
    expired: int
    bytes: int
    hits: int
    misses: int
    hit_rate: float | None


class TenantCacheUse(CacheUse):
    """The same of one tenant."""

    tenant: str


class CacheStats(CacheUse):
    """The caches of all tenants in reach, together and one by one."""

    object: Literal["cache.stats"]
    day: str
    approximate: Annotated[list[str], Field(description="Which numbers are only nearly right.")]
    tenants: list[TenantCacheUse]


class ClearedCaches(TypedDict):
    """Whose caches were cleared."""

    object: Literal["cache.cleared"]
    tenants: list[str]


class Caches:
    """The caches of tenants. All methods raise StorageUnavailableError."""

    def __init__(self, cache: ResponseCache, sums: CacheSums, usage: UsageReader, log: AuditLog) -> None:
        self._log = log
        self._cache = cache
        self._sums = sums
        self._usage = usage

    def report(self, tenants: Iterable[str], now_s: float) -> CacheStats:
        """How much is cached, and how much of today's requests was answered from it.

        Hits and misses are exact; what skipped the cache is a miss. Entries, expired and bytes are nearly so: an answer
        is counted for up to a sixtieth longer than it is served, and what a process stored in its last second may be
        missing.
        """
        today = datetime.fromtimestamp(now_s, UTC).date()

        def row(tenant: str) -> tuple[str, CacheSize, Use]:
            size = cache_size(self._sums.read(tenant), self._cache.look_up(tenant, None).generation, now_s)
            return tenant, size, sum((each.use for each in self._usage.sums(tenant, today, today)), Use())

        # Three requests for each tenant, most of whose time is DynamoDB's.
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="caches") as pool:
            rows = list(pool.map(row, tenants))
        total = CacheSize(
            sum(size.entries for _, size, _ in rows),
            sum(size.expired for _, size, _ in rows),
            sum(size.bytes for _, size, _ in rows),
        )
        return {
            "object": "cache.stats",
            **_shown(total, sum((use for _, _, use in rows), Use())),
            "day": today.isoformat(),
            "approximate": ["entries", "expired", "bytes"],
            "tenants": [{"tenant": tenant, **_shown(size, use)} for tenant, size, use in rows],
        }

    def clear(self, tenants: Iterable[str], actor: Actor) -> ClearedCaches:
        """Let no answer that is cached by now be served any more: a request for each tenant, however much it is.

        Each is in the audit log, with the generation of answers that is served from then on.
        """
        cleared = list(tenants)

        def clear_one(tenant: str) -> None:
            with self._log.recording(Act(Action.CACHE_CLEARED, tenant, tenant), actor) as opened:
                generation = self._cache.clear(tenant)
                opened.changes["generation"] = Change(generation - 1, generation)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="caches") as pool:
            list(pool.map(clear_one, cleared))
        return {"object": "cache.cleared", "tenants": cleared}


def _shown(size: CacheSize, use: Use) -> CacheUse:
    hits, misses = use.cache_hits, use.requests - use.cache_hits
    return {
        "entries": size.entries,
        "expired": size.expired,
        "bytes": size.bytes,
        "hits": hits,
        "misses": misses,
        "hit_rate": round(hits / use.requests, 4) if use.requests else None,
    }
