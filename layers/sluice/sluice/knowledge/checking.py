"""Looks at each store once a day: what its vectors are like, and whether it has expired.

The check of a store is open work, which is due again a day later when it is done, for as long as there is the store.
"""

import time
from collections.abc import Callable
from dataclasses import asdict

from sluice.knowledge.cleaning import StoreCleaner
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.index import VectorIndex
from sluice.knowledge.messages import Check
from sluice.knowledge.open_work import OpenEntry, OpenWork
from sluice.knowledge.quality import StoreQuality, look_at
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import DAY_S, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.telemetry.metrics import Metric, write_line

LEAST_COVERAGE = 0.95
"""With a smaller share of documents that have their vectors, a line of the log says so."""
_HOUR_S = 3_600
_CHECKED_AT = "checked_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckerParts:
    """What it takes."""

    stores: Stores
    documents: DocumentStore
    index: VectorIndex
    cleaner: StoreCleaner
    work: OpenWork


class StoreChecker:
    """Checks stores. Threads may share it. Raises StorageUnavailableError."""

    def __init__(self, parts: CheckerParts, clock: Callable[[], float] = time.time) -> None:
        self._stores = parts.stores
        self._documents = parts.documents
        self._index = parts.index
        self._cleaner = parts.cleaner
        self._work = parts.work
        self._clock = clock

    def check(self, message: Check) -> None:
        """Check a store, and have it checked again; of one that has expired delete what is in it, and end."""
        store = self._stores.known(message.tenant, message.store)
        if store is None or store.is_deleted or store.is_emptied:
            return
        now = self._clock()
        if store.is_expired(now) and self._cleaner.expire(message, store):
            return
        if now - _checked_at(store) > DAY_S - _HOUR_S:
            self._look(store, now)
        if message.open is not None:
            is_near = store.expires_at is not None and store.expires_at - now < DAY_S
            again = message.model_copy(update={"open": None}).model_dump(mode="json")
            self._work.repeat(OpenEntry(*message.open), again, every_s=_HOUR_S if is_near else DAY_S)

    def _look(self, store: VectorStore, now: float) -> None:
        """Note what the store's vectors are like, and what it takes; tell of what is wrong."""
        found = look_at(store, self._documents, self._index)
        self._stores.change(store, {"quality": {_CHECKED_AT: int(now), **asdict(found)}})
        if found.is_complete:
            self._stores.correct_usage(store, found.bytes)
        if not is_good(found):
            vectors = found.vectors
            fields = {
                "tenant": store.tenant,
                "vector_store": store.id,
                "coverage": found.coverage,
                "zero_vectors": vectors.zero_vectors,
                "non_finite_vectors": vectors.non_finite_vectors,
            }
            write_line(fields, [Metric("StoreQualityLow", 1)])


def is_good(found: StoreQuality) -> bool:
    """Whether a store needs nobody to look at it. Pure."""
    bad = found.vectors.zero_vectors + found.vectors.non_finite_vectors
    return not bad and found.coverage >= LEAST_COVERAGE


def _checked_at(store: VectorStore) -> float:
    found = store.quality.get(_CHECKED_AT)
    return found if isinstance(found, int | float) else 0.0
