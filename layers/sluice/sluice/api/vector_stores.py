"""Vector stores, as OpenAI's API has them: /v1/vector_stores, and what is found in them."""

import time
from dataclasses import replace
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.files import owner_of
from sluice.api.listing import listed
from sluice.api.route import Call, PathParameter, Routes
from sluice.errors import ConflictError, InvalidRequestError
from sluice.knowledge.attached_files import AttachedFile
from sluice.knowledge.chunking import Chunking
from sluice.knowledge.creating import NewStore
from sluice.knowledge.document import Attributes, check_attributes
from sluice.knowledge.filters import read_filter
from sluice.knowledge.quality import look_at
from sluice.knowledge.search import Hit, Query
from sluice.knowledge.stores import PageQuery
from sluice.knowledge.vector_store import FileStatus
from sluice.knowledge.vector_store import VectorStore as StoreRecord
from sluice.tenants.tenant import Role

ROUTES = Routes("Vector stores")

STORE_ID = {"vector_store_id": PathParameter("The store's id.", "vs_019a0000000000000000000000000000")}
MOST_FILES = 500
"""How many files one request attaches: each is looked up, and has a message of its own."""

type Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
type FileIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(max_length=MOST_FILES)]
type AttributesBody = dict[str, bool | float | str]


class ExpiresAfterUse(BaseModel):
    """When a store expires: so many days after it was used last, from 1 to 365."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class AutoChunking(BaseModel):
    """The usual sizes: 800 tokens a chunk, of which 400 are shared with the next."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: Literal["auto"]


class StaticSizes(BaseModel):
    """Sizes of chunks, in tokens: from 100 to 4,096, and an overlap of half of that at most."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class StaticChunking(BaseModel):
    """Sizes of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: Literal["static"]
    static: StaticSizes


type ChunkingBody = Annotated[AutoChunking | StaticChunking, Field(discriminator="type")]


class CreateVectorStore(BaseModel):
    """The body of POST /v1/vector_stores.

    `embedding_model` and `embedding_dimensions` are Sluice's own: whose vectors the store has, and how many numbers of
    each where the model makes shorter ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    file_ids: FileIds | None = None
    chunking_strategy: ChunkingBody | None = None
    expires_after: ExpiresAfterUse | None = None
    metadata: Metadata | None = None
    embedding_model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    embedding_dimensions: Annotated[int, Field(ge=1)] | None = None


class ChangeVectorStore(BaseModel):
    """The body of POST /v1/vector_stores/{vector_store_id}: what is left out stays.

    `embedding_model` is Sluice's own: the vectors of all documents are made anew by that model, while the old ones
    answer. The same model again makes those that are lacking.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Annotated[str, Field(max_length=256)] | None = None
    expires_after: ExpiresAfterUse | None = None
    metadata: Metadata | None = None
    embedding_model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    embedding_dimensions: Annotated[int, Field(ge=1)] | None = None


class PageParameters(BaseModel):
    """The query of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    before: Annotated[str, Field(min_length=1, max_length=128)] | None = None

    def to_query(self) -> PageQuery:
        """What is wanted of a list."""
        if self.after is not None and self.before is not None:
            raise InvalidRequestError("after and before: one of them can be given.", param="before")
        return PageQuery(limit=self.limit, newest_first=self.order == "desc", after=self.after, before=self.before)


class RankingOptions(BaseModel):
    """How what was found is ranked: by cosine, at least `score_threshold`. There is no further ranker."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class SearchVectorStore(BaseModel):
    """The body of POST /v1/vector_stores/{vector_store_id}/search.

    One of `query`, `vector` and `document_id`; the latter two, and `kind`, are Sluice's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    query: (
        Annotated[str, Field(min_length=1, max_length=32_768)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=32_768)]], Field(min_length=1, max_length=20)]
        | None
    ) = None
    vector: Annotated[list[float], Field(min_length=1, max_length=4_096)] | None = None
    document_id: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")] | None = None
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


class FileCounts(TypedDict):
    """How many files there are of each status."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class ExpiresAfterAnswer(TypedDict):
    """When a store expires after its last use."""

    anchor: Literal["last_active_at"]
    days: int


class StoreDetails(TypedDict):
    """Sluice's own: whose vectors a store has, and whose are being made to answer in their place."""

    embedding_model: str
    dimensions: int
    next_embedding_model: str | None


class VectorStore(TypedDict):
    """A vector store. Times are in seconds since 1970."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str
    description: str
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfterAnswer | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]
    sluice: StoreDetails


class VectorStores(TypedDict):
    """A page of vector stores."""

    object: Literal["list"]
    data: list[VectorStore]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVectorStore(TypedDict):
    """What was deleted."""

    id: str
    object: Literal["vector_store.deleted"]
    deleted: bool


class ResultContent(TypedDict):
    """The text of a chunk."""

    type: Literal["text"]
    text: str


class ResultDetails(TypedDict):
    """Sluice's own: which document it is, of what kind, where it can be read, and which of its chunks."""

    document_id: str
    kind: str
    url: str
    chunk: int


class SearchResult(TypedDict):
    """A chunk that was found. `score` is the cosine of both vectors; a negative one is shown as 0."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, bool | float | str]
    content: list[ResultContent]
    sluice: ResultDetails


class SearchDetails(TypedDict):
    """Sluice's own. `is_complete`: nothing that is nearer and passes the filter was left out."""

    is_complete: bool


class SearchResults(TypedDict):
    """What was found, the nearest first."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None
    sluice: SearchDetails


class Lacking(TypedDict):
    """Why documents have no vectors of their newest text."""

    reason: str
    documents: int


class Quality(TypedDict):
    """What the vectors of a store are like. Rates and coverages are from 0 to 1."""

    object: Literal["vector_store.quality"]
    documents: int
    coverage: float
    next_coverage: float | None
    lacking: list[Lacking]
    is_complete: bool
    total_embeddings: int
    dimension_consistency: bool
    expected_dimensions: int
    zero_vectors: int
    zero_vector_rate: float
    non_finite_vectors: int
    avg_magnitude: float
    magnitude_std: float
    duplicate_rate: float
    duplicate_text_rate: float
    quality_score: float


@ROUTES.post(
    "/v1/vector_stores",
    role=Role.CALLER,
    example={"name": "Handbook", "metadata": {"team": "support"}},
    errors={404},
)
def create_vector_store(call: Call[CreateVectorStore]) -> VectorStore:
    """Make a vector store.

    OpenAI's API: its SDKs work with `/v1` as their base URL. A store is its tenant's: all its API keys find what is in
    it. `embedding_model` says whose vectors it has; without it the first model that a credential serves. Files that
    are named are read in the background; they have to be the API key's own.
    """
    asked, app = call.body, call.app
    chunking = chunking_of(asked.chunking_strategy)
    files = new_files(call, asked.file_ids or [], chunking, {})
    store = app.store_maker.create(
        call.principal,
        NewStore(
            name=asked.name or "",
            description=asked.description or "",
            metadata=asked.metadata or {},
            expires_after_days=asked.expires_after.days if asked.expires_after else None,
            model=asked.embedding_model or "",
            dimensions=asked.embedding_dimensions,
        ),
    )
    for file in files:
        app.file_processor.attach(call.principal, store, file)
    return _shown(app.stores.find(store.tenant, store.id))


@ROUTES.get("/v1/vector_stores", role=Role.CALLER)
def list_vector_stores(call: Call[None, PageParameters]) -> VectorStores:
    """List the tenant's vector stores, the latest first."""
    page = call.app.stores.page(call.principal.tenant.id, call.query.to_query())
    data = [_shown(store) for store in page.stores]
    return listed(data, has_more=page.has_more)


@ROUTES.get("/v1/vector_stores/{vector_store_id}", role=Role.CALLER, parameters=STORE_ID)
def get_vector_store(call: Call) -> VectorStore:
    """Show a vector store."""
    return _shown(store_of(call))


@ROUTES.post(
    "/v1/vector_stores/{vector_store_id}",
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"name": "Handbook, 2026"},
    errors={409},
)
def change_vector_store(call: Call[ChangeVectorStore]) -> VectorStore:
    """Change a vector store.

    With another `embedding_model`, the vectors of all its documents are made anew in the background. Until all are
    there the old ones answer; then the new ones do, all at once.
    """
    asked, store, stores = call.body, store_of(call), call.app.stores
    given = asked.model_fields_set
    values: dict[str, Any] = {}
    if asked.name is not None:
        values["name"] = asked.name
    if "metadata" in given:
        values["metadata"] = asked.metadata or {}
    if "expires_after" in given:
        values["expires_after_days"] = asked.expires_after.days if asked.expires_after else None
    if values and stores.change(store, values) is None:
        raise ConflictError("The vector store is being deleted.")
    if asked.embedding_model is not None:
        call.app.rebuilder.begin(call.principal, store, asked.embedding_model, asked.embedding_dimensions)
    elif asked.embedding_dimensions is not None:
        raise InvalidRequestError("embedding_dimensions: name the embedding_model as well.", param="embedding_model")
    return _shown(stores.find(store.tenant, store.id))


@ROUTES.delete("/v1/vector_stores/{vector_store_id}", role=Role.CALLER, parameters=STORE_ID)
def delete_vector_store(call: Call) -> DeletedVectorStore:
    """Delete a vector store, and what is in it.

    Nothing is found in it any more from now on; texts and vectors are deleted in the background. Files stay.
    """
    store = store_of(call)
    call.app.store_cleaner.delete(call.principal, store)
    return {"id": store.id, "object": "vector_store.deleted", "deleted": True}


@ROUTES.post(
    "/v1/vector_stores/{vector_store_id}/search",
    role=Role.CALLER,
    parameters=STORE_ID,
    example={"query": "How long is parental leave?", "max_num_results": 5},
    is_counted_inside=True,
    errors={403},
)
def search_vector_store(call: Call[SearchVectorStore]) -> SearchResults:
    """Find the chunks of a vector store that mean what is asked.

    `query` is a text, or up to 20 of which any may be meant. Sluice's own are `vector`, one that was made by the
    store's model, and `document_id`, which finds what is like a document that is there. `filters` compare attributes,
    by `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`, `nin`, and combine by `and` and `or`. Queries are not rewritten.
    """
    asked, app = call.body, call.app
    if asked.rewrite_query:
        raise InvalidRequestError(
            "rewrite_query: queries are not rewritten here; ask with false, or have a chat rewrite it first.",
            param="rewrite_query",
        )
    given = [name for name in ("query", "vector", "document_id") if getattr(asked, name) is not None]
    if len(given) != 1:
        had = " and ".join(given) if given else "none of them"
        raise InvalidRequestError(
            f"query: one of query, vector and document_id is wanted; there is {had}.", param="query"
        )
    texts = [asked.query] if isinstance(asked.query, str) else list(asked.query or [])
    options = asked.ranking_options
    query = Query(
        texts=texts,
        vector=asked.vector or [],
        document=asked.document_id or "",
        most=asked.max_num_results,
        filter=None if asked.filters is None else read_filter(asked.filters),
        kind=asked.kind or "",
        score_threshold=(options.score_threshold if options else None) or -1.0,
    )
    store_id, principal = call.path["vector_store_id"], call.principal
    if texts:
        found = app.searcher.search(principal, store_id, query, replace(call.context, operation="embedding"))
    else:
        counted = app.caller_counter.count(principal)
        with app.caller_counter.kept(counted):
            found = app.searcher.search(principal, store_id, query, replace(call.context, operation="embedding"))
    return {
        "object": "vector_store.search_results.page",
        "search_query": texts,
        "data": [_result(hit) for hit in found.hits],
        "has_more": False,
        "next_page": None,
        "sluice": {"is_complete": found.is_complete},
    }


@ROUTES.get("/v1/vector_stores/{vector_store_id}/quality", role=Role.CALLER, parameters=STORE_ID)
def show_vector_store_quality(call: Call) -> Quality:
    """Show what the vectors of a store are like.

    Sluice's own: how many documents have vectors of their newest text, and why others have none; vectors that can't be
    right; and those that are the same though their texts are not. Up to 5,000 vectors are looked at. Magnitudes are
    those of vectors as they are stored, whole numbers up to 127.
    """
    found = look_at(store_of(call), call.app.store_documents, call.app.vector_index)
    vectors = found.vectors
    return {
        "object": "vector_store.quality",
        "documents": found.documents,
        "coverage": found.coverage,
        "next_coverage": found.next_coverage,
        "lacking": [{"reason": reason, "documents": count} for reason, count in found.lacking.items()],
        "is_complete": found.is_complete,
        "total_embeddings": vectors.total_embeddings,
        "dimension_consistency": vectors.dimension_consistency,
        "expected_dimensions": vectors.expected_dimensions,
        "zero_vectors": vectors.zero_vectors,
        "zero_vector_rate": vectors.zero_vector_rate,
        "non_finite_vectors": vectors.non_finite_vectors,
        "avg_magnitude": vectors.avg_magnitude,
        "magnitude_std": vectors.magnitude_std,
        "duplicate_rate": vectors.duplicate_rate,
        "duplicate_text_rate": vectors.duplicate_text_rate,
        "quality_score": vectors.quality_score,
    }


def store_of(call: Call[Any, Any]) -> StoreRecord:
    """The store that a path names."""
    return call.app.stores.find(call.principal.tenant.id, call.path["vector_store_id"])


def chunking_of(given: "AutoChunking | StaticChunking | None") -> Chunking:
    """How files are to be cut. Raises InvalidRequestError."""
    if not isinstance(given, StaticChunking):
        return Chunking()
    chunking = Chunking(
        max_tokens=given.static.max_chunk_size_tokens,
        overlap_tokens=given.static.chunk_overlap_tokens,
        is_auto=False,
    )
    chunking.check()
    return chunking


def new_files(
    call: Call[Any, Any], file_ids: list[str], chunking: Chunking, attributes: Attributes
) -> list[AttachedFile]:
    """Files of the caller's that are to be attached. Raises NotFoundError, InvalidRequestError."""
    check_attributes(attributes)
    owner, files = owner_of(call.principal), call.app.attached_files
    stored = [call.app.files.find(owner, file_id) for file_id in dict.fromkeys(file_ids)]
    return [
        replace(files.new(each.id, owner, each.filename), chunking=chunking, attributes=attributes) for each in stored
    ]


def counts_shown(counts: Any) -> FileCounts:
    """How many files there are of each status."""
    by_status = {str(status): max(0, counts.get(str(status), 0)) for status in FileStatus}
    return {
        "in_progress": by_status["in_progress"],
        "completed": by_status["completed"],
        "failed": by_status["failed"],
        "cancelled": by_status["cancelled"],
        "total": sum(by_status.values()),
    }


def _shown(store: StoreRecord) -> VectorStore:
    counts = counts_shown(store.counts)
    is_busy = counts["in_progress"] or store.next is not None
    days = store.expires_after_days
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name,
        "description": store.description,
        "usage_bytes": max(0, store.usage_bytes),
        "file_counts": counts,
        "status": "expired" if store.is_expired(time.time()) else "in_progress" if is_busy else "completed",
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
        "expires_at": store.expires_at,
        "last_active_at": store.last_active_at,
        "metadata": dict(store.metadata),
        "sluice": {
            "embedding_model": store.active.model,
            "dimensions": store.active.dimensions,
            "next_embedding_model": store.next.model if store.next else None,
        },
    }


def _result(hit: Hit) -> SearchResult:
    document = hit.document
    return {
        "file_id": document.source or document.id,
        "filename": document.title or document.id,
        "score": max(0.0, min(1.0, hit.score)),
        "attributes": dict(document.attributes),
        "content": [{"type": "text", "text": hit.text}],
        "sluice": {
            "document_id": document.id,
            "kind": document.kind,
            "url": document.url,
            "chunk": hit.chunk,
        },
    }
