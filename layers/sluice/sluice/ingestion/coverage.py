"""Coverage: what came in by source and kind, what of it has no vectors and why, what was not taken as it came."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from sluice.errors import NotFoundError
from sluice.ingestion.journal import Counts, Journal, Problem
from sluice.ingestion.source import Source
from sluice.knowledge.document import DocumentRecord
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import VectorStore
from sluice.loading.dataclass import dataclass

SHOWN_PROBLEMS = 20
_MOST_REASONS = 20
_OTHER_REASONS = "other reasons"
# How many documents are looked at between two looks at the clock.
_DOCUMENTS_AT_ONCE = 500


@dataclass(slots=True)
class KindCoverage:
    """Documents of one kind: how many there are, with vectors of their newest text or without, and why."""

    documents: int = 0
    with_vectors: int = 0
    without_vectors: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, record: DocumentRecord) -> None:
        """Count a document."""
        self.documents += 1
        if not record.waiting:
            self.with_vectors += 1
            return
        self.without_vectors += 1
        reason = record.reason or "being embedded"
        self.reasons[reason if reason in self.reasons or len(self.reasons) < _MOST_REASONS else _OTHER_REASONS] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCoverage:
    """What came in from one source. `has_store`: its vector store is there."""

    source: Source
    has_store: bool
    kinds: Mapping[str, KindCoverage]
    counts: Counts
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What came in from some sources; `is_complete`: all of their documents were looked at in time."""

    sources: Sequence[SourceCoverage]
    is_complete: bool


class CoverageReader:
    """Reads what came in. Threads may share it. `clock` is monotonic."""

    def __init__(
        self,
        stores: Stores,
        documents: DocumentStore,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._documents = documents
        self._journal = journal
        self._clock = clock

    def read(self, sources: Sequence[Source], until_s: float) -> Coverage:
        """What came in from sources of one tenant; what is not counted by `until_s` is left out, which is then said.

        Raises StorageUnavailableError.
        """
        found: dict[str, dict[str, KindCoverage]] = {each.id: {} for each in sources}
        stores = {each.vector_store_id: self._store(each) for each in sources}
        is_complete = True
        for store in stores.values():
            is_complete = is_complete and (store is None or self._count(store, found, until_s))
        return Coverage(
            sources=[
                SourceCoverage(
                    source=each,
                    has_store=stores[each.vector_store_id] is not None,
                    kinds=dict(sorted(found[each.id].items())),
                    counts=self._journal.counts(each),
                    problems=self._journal.problems(each, SHOWN_PROBLEMS),
                )
                for each in sources
            ],
            is_complete=is_complete,
        )

    def _store(self, source: Source) -> VectorStore | None:
        try:
            return self._stores.find(source.tenant, source.vector_store_id)
        except NotFoundError:
            return None

    def _count(self, store: VectorStore, found: Mapping[str, dict[str, KindCoverage]], until_s: float) -> bool:
        """Count the documents of a store; False if there was no time for all of them."""
        for number, record in enumerate(self._documents.all(store), 1):
            kinds = found.get(str(record.attributes.get("source_id")))
            if kinds is not None and not record.is_deleted:
                kinds.setdefault(record.kind, KindCoverage()).add(record)
            if number % _DOCUMENTS_AT_ONCE == 0 and self._clock() > until_s:
                return False
        return True
