"""Revisions: a document's text as it was cut at one time, in the making. Pure."""

from collections.abc import Sequence

from sluice.embeddings.vectors import Vector
from sluice.knowledge.chunking import Chunk
from sluice.knowledge.document import Document, DocumentRecord
from sluice.knowledge.index import ChunkKey
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.loading.dataclass import dataclass

# An estimate of what a chunk takes beside its text and vector: keys and names, in two tables.
_BYTES_PER_CHUNK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A revision in the making. `vectors` are those that came with it, for the generation `vectors_of`."""

    store: VectorStore
    document: Document
    key: str
    id: str
    chunks: Sequence[Chunk]
    content_hash: str
    vectors: Sequence[Vector] = ()
    vectors_of: Generation | None = None

    @classmethod
    def of(cls, store: VectorStore, found: DocumentRecord, revision: str, chunks: Sequence[Chunk]) -> "Revision":
        """A revision of a document that a store has, and whose texts are there."""
        document = Document(
            id=found.id,
            kind=found.kind,
            text="",
            version=found.version,
            title=found.title,
            url=found.url,
            source=found.source,
            attributes=found.attributes,
        )
        return cls(
            store=store,
            document=document,
            key=found.key,
            id=revision,
            chunks=chunks,
            content_hash=found.content_hash,
        )

    @property
    def keys(self) -> list[ChunkKey]:
        """What its chunks are kept under, in order."""
        return [ChunkKey(self.key, self.id, number) for number in range(len(self.chunks))]

    def has_own(self, generation: Generation) -> bool:
        """Whether its vectors in a generation came with it."""
        return bool(self.vectors) and generation == self.vectors_of

    def bytes(self, generations: int) -> int:
        """What it takes, about."""
        vectors = sum(each.dimensions for each in self.store.generations[:generations])
        texts = sum(len(each.text.encode("utf-8", "surrogatepass")) for each in self.chunks)
        return texts + len(self.chunks) * (vectors * 2 + _BYTES_PER_CHUNK)
