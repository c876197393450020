"""Chunks of revisions: their texts, and their vectors in a store's generations.

The texts of many documents are embedded by one request. One that is refused for what its texts are is asked in halves,
so that one text that no model takes costs the others nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched, groupby

from sluice.embeddings.vectors import Vector
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.embedder import Embedder, NoVectorsError
from sluice.knowledge.index import ChunkKey, VectorIndex
from sluice.knowledge.revision import Revision
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal

_TEXTS_AT_ONCE = 512
# Of documents that are embedded together: few enough that a key's limit for a minute has room for them.
_TOKENS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Lacking:
    """A revision, and the generations that it has no vectors in."""

    revision: Revision
    generations: Sequence[Generation]


class ChunkStore:
    """Texts and vectors of chunks. Threads may share it.

    All methods raise StorageUnavailableError, and those that embed LedgerUnavailableError.
    """

    def __init__(self, documents: DocumentStore, index: VectorIndex, embedder: Embedder) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder

    def put_texts(self, revision: Revision) -> None:
        """Write a revision's texts."""
        self._documents.put_texts(revision.store, revision.key, revision.id, revision.chunks)

    def embed(
        self, store: VectorStore, lacking: Sequence[Lacking], principal: Principal
    ) -> Mapping[str, NoVectorsError]:
        """Write the vectors that revisions of a store lack. Returns why there are none, by the id of the revision."""
        errors: dict[str, NoVectorsError] = {}
        for generation in store.generations:
            # First what came with texts, so that it is there whatever becomes of the others.
            wanted = [each.revision for each in lacking if generation in each.generations]
            errors |= self._put_own([each for each in wanted if each.has_own(generation)], generation)
        for generation in store.generations:
            wanted = [each.revision for each in lacking if generation in each.generations]
            others = [each for each in wanted if each.id not in errors and not each.has_own(generation)]
            for some in _together(others):
                errors |= self._embed(some, generation, principal)
        return errors

    def has_vectors(self, revision: Revision, generation: Generation) -> bool:
        """Whether all of a revision's vectors in a generation are there already."""
        prefix = f"{revision.key}#{revision.id}#"
        there = {key for key, _ in self._index.vectors(revision.store, generation, prefix)}
        return there.issuperset(revision.keys)

    def delete_revisions(self, store: VectorStore, key: str, revisions: Iterable[str]) -> None:
        """Delete vectors, then texts, so that where there is a vector there is a text."""
        for revision in revisions:
            self.delete(store, list(self._documents.chunk_keys(store, f"{key}#{revision}#")))

    def delete(self, store: VectorStore, keys: Sequence[ChunkKey]) -> None:
        """Delete chunks, of all generations."""
        for generation in store.generations:
            self._index.delete(store, generation, keys)
        self._documents.delete_texts(store, keys)

    def leave(self, revision: Revision, generations: Iterable[Generation]) -> None:
        """Delete a revision's vectors of generations that the store does not have any more."""
        for generation in generations:
            self._index.delete(revision.store, generation, revision.keys)

    def _embed(
        self, revisions: Sequence[Revision], generation: Generation, principal: Principal
    ) -> dict[str, NoVectorsError]:
        try:
            self._embed_together(revisions, generation, principal)
        except NoVectorsError as error:
            if len(revisions) == 1 or not error.is_about_texts:
                return {each.id: error for each in revisions}
            middle = len(revisions) // 2
            halves = revisions[:middle], revisions[middle:]
            return {key: each for half in halves for key, each in self._embed(half, generation, principal).items()}
        return {}

    def _put_own(self, revisions: Sequence[Revision], generation: Generation) -> dict[str, NoVectorsError]:
        """Write the vectors that came with revisions. Returns why not, by the id of the revision."""
        vectors = [(each, pair) for each in revisions for pair in zip(each.keys, each.vectors, strict=True)]
        try:
            self._put(generation, vectors)
        except NoVectorsError as error:
            if len(revisions) == 1:
                return {revisions[0].id: error}
            return {key: each for one in revisions for key, each in self._put_own([one], generation).items()}
        return {}

    def _embed_together(self, revisions: Sequence[Revision], generation: Generation, principal: Principal) -> None:
        """Write the vectors of revisions in a generation. Raises NoVectorsError."""
        chunks = [(each, pair) for each in revisions for pair in zip(each.keys, each.chunks, strict=True)]
        for some in batched(chunks, _TEXTS_AT_ONCE, strict=False):
            made = self._embedder.embed(generation, [chunk.text for _, (_, chunk) in some], principal)
            self._put(generation, [(each, (key, vector)) for (each, (key, _)), vector in zip(some, made, strict=True)])

    def _put(self, generation: Generation, vectors: Sequence[tuple[Revision, tuple[ChunkKey, Vector]]]) -> None:
        for kind, some in groupby(vectors, key=_kind):
            group = list(some)
            try:
                self._index.put(group[0][0].store, generation, kind, [pair for _, pair in group])
            except ValueError as error:
                reason = f"The model {generation.model} made {error}."
                raise NoVectorsError(reason, may_pass=False, is_about_texts=True) from None


def _kind(vector: tuple[Revision, tuple[ChunkKey, Vector]]) -> str:
    return vector[0].document.kind


def _together(revisions: Sequence[Revision]) -> Iterator[list[Revision]]:
    """Revisions in groups whose texts are embedded at once; a large one is alone."""
    group: list[Revision] = []
    texts = tokens = 0
    for each in revisions:
        more = sum(chunk.tokens for chunk in each.chunks)
        if group and (texts + len(each.chunks) > _TEXTS_AT_ONCE or tokens + more > _TOKENS_AT_ONCE):
            yield group
            group, texts, tokens = [], 0, 0
        group.append(each)
        texts, tokens = texts + len(each.chunks), tokens + more
    if group:
        yield group
