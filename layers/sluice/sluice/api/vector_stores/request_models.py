"""What vector stores are asked with."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import InvalidRequestError
from sluice.knowledge.stores import PageQuery

MOST_FILES = 500
"""How many files a new store may be made with: OpenAI's limit."""
MOST_FILES_OF_BATCH = 2_000
"""How many files a batch may have: OpenAI's limit."""


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
    answer. The same model again makes those that are lacking, and with `remake_vectors` all of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Annotated[str, Field(max_length=256)] | None = None
    expires_after: ExpiresAfterUse | None = None
    metadata: Metadata | None = None
    embedding_model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    embedding_dimensions: Annotated[int, Field(ge=1)] | None = None
    remake_vectors: bool = False


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
