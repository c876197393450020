"""Search: the nearest chunks of a store, those that count, with what passes a filter.

The index finds up to a hundred, of all documents. The records of these say which are of the revision that counts, and
whether a filter lets them pass. If that leaves too few, and there may be more, all documents that pass are looked at,
and their vectors compared one by one: exact, and bounded.
"""

import heapq
from collections.abc import Iterator, Sequence

from sluice.embeddings.vectors import Vector
from sluice.errors import InvalidRequestError, NoProviderError, NotFoundError, QuotaExceededError, SluiceError
from sluice.gateway.request import RequestContext
from sluice.knowledge.document import DocumentRecord, key_of
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.embedder import Embedder, NoVectorsError
from sluice.knowledge.filters import Filter
from sluice.knowledge.index import MOST_FOUND, ChunkKey, Found, Nearest, VectorIndex
from sluice.knowledge.quantization import cosine
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import VectorStore
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal

# What one request compares one by one: about a second's work.
_MOST_COMPARED = 5_000
_MOST_LISTED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for: what is near any of `texts`, a `vector`, or the document of an id; one of the three.

    `score_threshold` is the least cosine of what is found.
    """

    texts: Sequence[str] = ()
    vector: Vector = ()
    document: str = ""
    most: int = 10
    filter: Filter | None = None
    kind: str = ""
    score_threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, its document, and the cosine of both vectors."""

    document: DocumentRecord
    text: str
    score: float
    chunk: int


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found, the nearest first. `is_complete`: nothing that is nearer and passes the filter was left out."""

    hits: Sequence[Hit]
    is_complete: bool


class Searcher:
    """Searches stores. Threads may share it. Raises SluiceError."""

    def __init__(self, stores: Stores, documents: DocumentStore, index: VectorIndex, embedder: Embedder) -> None:
        self._stores = stores
        self._documents = documents
        self._index = index
        self._embedder = embedder

    def search(self, principal: Principal, store_id: str, query: Query, context: RequestContext) -> Hits:
        """What is near, of a store of the principal's tenant."""
        store = self._stores.usable(principal.tenant.id, store_id)
        vectors = self._vectors(store, query, principal, context)
        self._stores.note_active(store)
        nearest: dict[ChunkKey, float] = {}
        records: dict[str, DocumentRecord] = {}
        is_complete = True
        for vector in vectors:
            found, is_whole = self._near(store, vector, query, records)
            is_complete &= is_whole
            for each in found:
                nearest[each.key] = max(each.score, nearest.get(each.key, -1.0))
        ranked = sorted(nearest.items(), key=lambda each: (-each[1], each[0]))
        ranked = [each for each in ranked if each[1] >= query.score_threshold][: query.most]
        texts = self._documents.texts_of_chunks(store, [key for key, _ in ranked])
        hits = [
            Hit(records[key.document], texts[key], score, key.number)
            for key, score in ranked
            if key in texts  # what was replaced in this very moment has none
        ]
        return Hits(hits, is_complete)

    def _vectors(
        self, store: VectorStore, query: Query, principal: Principal, context: RequestContext
    ) -> Sequence[Vector]:
        if query.texts:
            try:
                return self._embedder.embed_for(context, store.active, query.texts, principal)
            except NoVectorsError as error:
                raise (error.__cause__ if isinstance(error.__cause__, SluiceError) else refused(error)) from error
        if query.document:
            return self._of_document(store, query.document)
        if len(query.vector) != store.active.dimensions:
            raise InvalidRequestError(
                f"vector: has {len(query.vector)} numbers; the vectors of this store, by {store.active.model}, have "
                f"{store.active.dimensions}.",
                param="vector",
            )
        if not any(query.vector):
            raise InvalidRequestError("vector: has nothing but zeros, which point nowhere.", param="vector")
        return [query.vector]

    def _of_document(self, store: VectorStore, document_id: str) -> Sequence[Vector]:
        """What a document is about: the mean of its chunks' directions."""
        record = self._documents.find(store, key_of(document_id))
        if record is None or record.is_deleted or not record.current:
            raise NotFoundError(
                f"There is no document {document_id[:64]!r} with vectors in this store.", param="document_id"
            )
        sums = [0.0] * store.active.dimensions
        for _, vector in self._index.vectors(store, store.active, f"{record.key}#{record.current}#"):
            length = sum(number * number for number in vector) ** 0.5 or 1.0
            sums = [total + number / length for total, number in zip(sums, vector, strict=False)]
        if not any(sums):
            raise NotFoundError(f"The document {document_id[:64]!r} has no vectors yet.", param="document_id")
        return [sums]

    def _near(
        self, store: VectorStore, vector: Vector, query: Query, records: dict[str, DocumentRecord]
    ) -> tuple[Sequence[Found], bool]:
        """The chunks that count and pass, and whether none is missing among as many as are wanted."""
        found = self._index.search(store, store.active, Nearest(vector=vector, most=MOST_FOUND, kind=query.kind))
        unknown = {each.key.document for each in found} - records.keys()
        records |= self._documents.find_all(store, unknown)
        passing = [each for each in found if self._passes(store, each.key, records, query)]
        if len(found) < MOST_FOUND or len(passing) >= query.most:
            return passing[: query.most], True
        return self._compare_all(store, vector, query, records)

    def _passes(self, store: VectorStore, key: ChunkKey, records: dict[str, DocumentRecord], query: Query) -> bool:
        record = records.get(key.document)
        return record is not None and record.current == key.revision and _is_wanted(store, record, query)

    def _compare_all(
        self, store: VectorStore, vector: Vector, query: Query, records: dict[str, DocumentRecord]
    ) -> tuple[Sequence[Found], bool]:
        """Compare the vectors of all documents that pass, up to a bound."""
        compared, listed, is_complete = 0, 0, True
        best: list[Found] = []
        for record in self._documents.all(store):
            listed += 1
            if listed > _MOST_LISTED or compared > _MOST_COMPARED:
                is_complete = False
                break
            if not record.current or not _is_wanted(store, record, query):
                continue
            records[record.key] = record
            compared += record.chunks
            best = heapq.nlargest(query.most, [*best, *self._compare(store, vector, record)], key=_score)
        return best, is_complete

    def _compare(self, store: VectorStore, vector: Vector, record: DocumentRecord) -> Iterator[Found]:
        for key, own in self._index.vectors(store, store.active, f"{record.key}#{record.current}#"):
            yield Found(key, cosine([*vector, *[0.0] * (len(own) - len(vector))], own))


def _score(found: Found) -> float:
    return found.score


def _is_wanted(store: VectorStore, record: DocumentRecord, query: Query) -> bool:
    if record.is_deleted or store.active.number not in record.generations:
        return False
    if query.document and record.id == query.document:
        return False  # what is like a document is another one
    if query.kind and record.kind != query.kind:
        return False
    return query.filter is None or query.filter.passes(record.attributes)


def refused(error: NoVectorsError) -> SluiceError:
    """What a caller is told whose query has no vector."""
    if error.retry_after_s is not None:
        return QuotaExceededError(error.reason, retry_after_s=error.retry_after_s)
    return NoProviderError(error.reason, may_pass=error.may_pass)
