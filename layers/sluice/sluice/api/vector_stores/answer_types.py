"""What is answered of vector stores."""

from typing import Literal, TypedDict


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
