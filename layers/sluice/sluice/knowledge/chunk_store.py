"""Chunks of revisions: their texts, and their vectors in a store's generations.

The texts of many documents are embedded by one request. One that is refused for what its texts are is asked in halves,
so that one text that no model takes costs the others nothing. A large document is embedded in parts, each of them kept,
and in smaller ones where there is no room for these; the rest is left to who comes again.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import accumulate, groupby

from sluice.embeddings.vectors import Vector
from sluice.knowledge.chunking import Chunk
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
# Of a part of a document: where there is no room for fewer than these now, it is waited for.
_FEW_TOKENS = 2_000


@dataclass(frozen=True, slots=True)
class Lacking:
    """A revision, and the generations that it has no vectors in, or not all: `there` are those it has, by number."""

    revision: Revision
    generations: Sequence[Generation]
    there: Mapping[int, frozenset[ChunkKey]] = field(default_factory=dict)

    def texts(self, generation: Generation) -> "_Texts":
        """The texts that have no vector in a generation."""
        there = self.there.get(generation.number, frozenset())
        pairs = zip(self.revision.keys, self.revision.chunks, strict=True)
        return _Texts(self.revision, [(key, chunk) for key, chunk in pairs if key not in there])


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts of a revision that are to be embedded."""

    revision: Revision
    chunks: Sequence[tuple[ChunkKey, Chunk]]


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
            others = [each for each in lacking if generation in each.generations and each.revision.id not in errors]
            texts = [each.texts(generation) for each in others if not each.revision.has_own(generation)]
            for some in _together(texts):
                errors |= self._embed(some, generation, principal)
        return errors

    def vectors_of(self, revision: Revision, generation: Generation) -> frozenset[ChunkKey]:
        """The chunks of a revision whose vectors in a generation are there already."""
        prefix = f"{revision.key}#{revision.id}#"
        return frozenset(key for key, _ in self._index.vectors(revision.store, generation, prefix))

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
        self, texts: Sequence[_Texts], generation: Generation, principal: Principal
    ) -> dict[str, NoVectorsError]:
        if len(texts) == 1:
            error = self._embed_alone(texts[0], generation, principal)
            return {} if error is None else {texts[0].revision.id: error}
        try:
            self._make([(each.revision, chunk) for each in texts for chunk in each.chunks], generation, principal)
        except NoVectorsError as error:
            if not error.is_about_texts:
                return {each.revision.id: error for each in texts}
            middle = len(texts) // 2
            halves = texts[:middle], texts[middle:]
            return {key: each for half in halves for key, each in self._embed(half, generation, principal).items()}
        return {}

    def _embed_alone(self, texts: _Texts, generation: Generation, principal: Principal) -> NoVectorsError | None:
        """Write the vectors of one revision, as far as there is room for them; returns why not of all."""
        left, most = texts.chunks, _TEXTS_AT_ONCE
        while left:
            some = _first(left, most)
            try:
                self._make([(texts.revision, chunk) for chunk in some], generation, principal)
            except NoVectorsError as error:
                is_large = sum(chunk.tokens for _, chunk in some) > _FEW_TOKENS
                has_room_for_fewer = error.is_too_much or (error.retry_after_s is not None and is_large)
                if not has_room_for_fewer or len(some) == 1:
                    return error
                most = len(some) // 2
            else:
                left = left[len(some) :]
        return None

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

    def _make(
        self, chunks: Sequence[tuple[Revision, tuple[ChunkKey, Chunk]]], generation: Generation, principal: Principal
    ) -> None:
        """Make the vectors of chunks by one request, and write them. Raises NoVectorsError."""
        if not chunks:
            return
        made = self._embedder.embed(generation, [chunk.text for _, (_, chunk) in chunks], principal)
        self._put(generation, [(each, (key, vector)) for (each, (key, _)), vector in zip(chunks, made, strict=True)])

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


def _first(chunks: Sequence[tuple[ChunkKey, Chunk]], most: int) -> Sequence[tuple[ChunkKey, Chunk]]:
    """The first chunks, `most` of them at most, that are embedded at once; one at least."""
    tokens = list(accumulate(chunk.tokens for _, chunk in chunks[:most]))
    return chunks[: max(1, bisect_right(tokens, _TOKENS_AT_ONCE))]


def _together(texts: Sequence[_Texts]) -> Iterator[list[_Texts]]:
    """Revisions in groups whose texts are embedded at once; a large one is alone."""
    group: list[_Texts] = []
    count = tokens = 0
    for each in texts:
        more = sum(chunk.tokens for _, chunk in each.chunks)
        if group and (count + len(each.chunks) > _TEXTS_AT_ONCE or tokens + more > _TOKENS_AT_ONCE):
            yield group
            group, count, tokens = [], 0, 0
        group.append(each)
        count, tokens = count + len(each.chunks), tokens + more
    if group:
        yield group
