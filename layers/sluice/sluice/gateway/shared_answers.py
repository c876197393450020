"""Answers shared by identical requests: those in the cache, and those that are under way in this process."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Lock

from sluice.cache.store import CachedAnswer, CacheLookup, ResponseCache
from sluice.cache.sums import CacheSums
from sluice.gateway.request import AdmittedRequest
from sluice.telemetry.best_effort import best_effort

# How long a request waits for the answer of an identical one before it asks for itself.
_LONGEST_WAIT_S = 30.0


class SharedAnswers:
    """The shared answers of all tenants. Safe to share between threads. A cache that fails is survived."""

    def __init__(self, cache: ResponseCache, sums: CacheSums) -> None:
        self._cache = cache
        self._sums = sums
        self._under_way: dict[str, Future[CachedAnswer | None]] = {}
        self._lock = Lock()

    def look_up(self, tenant: str, key: str | None) -> CacheLookup | None:
        """What the cache has under `key`; None if it could not be asked. Without a key, only the generation."""
        with best_effort("reading the cache"):
            return self._cache.look_up(tenant, key)
        return None

    def join(self, admitted: AdmittedRequest) -> tuple[CachedAnswer | None, bool]:
        """The answer of an identical request that is under way, and whether this request leads.

        (None, True): there is none, so this request is the one that others wait for, until it is `finish`ed. (None,
        False): what was waited for can't be shared, or took too long, so this one asks for itself.
        """
        with self._lock:
            under_way = self._under_way.get(admitted.cache_key)
            if under_way is None:
                self._under_way[admitted.cache_key] = Future()
                return None, True
        try:
            return under_way.result(min(_LONGEST_WAIT_S, admitted.context.deadline.remaining_s / 2)), False
        except FutureTimeoutError:
            return None, False

    def finish(self, admitted: AdmittedRequest, answer: CachedAnswer | None) -> None:
        """Give those who wait for `admitted` its answer, None if it can't be shared."""
        if not admitted.is_leader:
            return
        with self._lock:
            under_way = self._under_way.pop(admitted.cache_key, None)
        if under_way is not None:
            under_way.set_result(answer)

    def store(self, admitted: AdmittedRequest, answer: CachedAnswer) -> None:
        """Keep an answer in the cache."""
        generation = admitted.cache_generation
        if generation is None:
            return
        with best_effort("writing the cache"):
            changes = self._cache.put(admitted.cache_key, answer, admitted.cache_ttl_s, generation)
            self._sums.add(admitted.principal.tenant.id, changes)
