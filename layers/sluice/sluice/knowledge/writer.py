"""Writes documents into stores: hash -> chunk -> embed -> write -> switch -> clean up.

hash      a text that is there already costs nothing; its attributes may change all the same
chunk     cut into overlapping pieces, whose texts are written first
embed     through the gateway, for every generation that the store has
write     the vectors, under a revision that no search believes yet
switch    one conditional write makes the revision the document's: a later version wins, whoever comes first
clean up  vectors, then texts, of what was replaced

Whoever dies between two of these leaves what nobody finds, and a piece of open work that cleans it up.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any

from sluice.errors import DeadlineExceededError
from sluice.knowledge.chunking import Chunk, Chunking, chunks
from sluice.knowledge.document import (
    Document,
    DocumentRecord,
    Outcome,
    Written,
    hash_of,
    key_of,
    new_revision,
)
from sluice.knowledge.documents import DocumentStore, at_most, still
from sluice.knowledge.embedder import Embedder, NoVectorsError
from sluice.knowledge.index import ChunkKey, VectorIndex
from sluice.knowledge.messages import Repair
from sluice.knowledge.open_work import DUE_S, OpenWork
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import DAY_S, Generation, VectorStore
from sluice.tenants.principal import Principal
from sluice.vectors import Vector

_TEXTS_AT_ONCE = 512
# What is written later than this after it was begun may be cleaned up meanwhile.
_MOST_WRITING_S = DUE_S / 2
_MOST_ATTEMPTS = 5
# Beyond so many, the next attempt is a day away.
_MOST_DOUBLINGS = 5
# An estimate of what a chunk takes beside its text and vector: keys and names, in two tables.
_BYTES_PER_CHUNK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterParts:
    """What a writer works with."""

    stores: Stores
    documents: DocumentStore
    index: VectorIndex
    embedder: Embedder
    work: OpenWork


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revision:
    """A revision in the making. `vectors` are those that came with it, and hold for the store's active model."""

    store: VectorStore
    document: Document
    key: str
    id: str
    chunks: Sequence[Chunk]
    content_hash: str
    vectors: Sequence[Vector] = ()

    @property
    def keys(self) -> list[ChunkKey]:
        return [ChunkKey(self.key, self.id, number) for number in range(len(self.chunks))]

    def bytes(self, generations: int) -> int:
        """What it takes, about."""
        vectors = sum(each.dimensions for each in self.store.generations[:generations])
        texts = sum(len(each.text.encode("utf-8", "surrogatepass")) for each in self.chunks)
        return texts + len(self.chunks) * (vectors * 2 + _BYTES_PER_CHUNK)


class DocumentWriter:
    """Writes and deletes documents of stores. Threads may share it.

    All methods raise NotFoundError for a store that the principal's tenant does not have, and StorageUnavailableError
    or LedgerUnavailableError, after which the same may be tried again.
    """

    def __init__(self, parts: WriterParts, clock: Callable[[], float] = time.time) -> None:
        self._stores = parts.stores
        self._documents = parts.documents
        self._index = parts.index
        self._embedder = parts.embedder
        self._work = parts.work
        self._clock = clock

    def write(
        self,
        principal: Principal,
        store_id: str,
        document: Document,
        chunking: Chunking | None = None,
        vectors: Sequence[Vector] = (),
    ) -> Written:
        """Write a document, in place of an older one. Raises InvalidRequestError for one that no store takes.

        With `vectors`, which is one, the text is one chunk and is not embedded.
        """
        document.check()
        # What is no Unicode can be stored nowhere.
        document = replace(document, text=document.text.encode("utf-8", "replace").decode())
        chunking = chunking or Chunking()
        content_hash = hash_of(document.text, chunking.name, repr([list(each) for each in vectors]) if vectors else "")
        store, key = self._stores.usable(principal.tenant.id, store_id), key_of(document.id)
        found = self._documents.find(store, key)
        if found is not None and found.version > document.version:
            return Written(outcome=Outcome.OLDER)
        if found is not None and found.content_hash == content_hash and not found.is_deleted:
            changed = self._update_unchanged(store, found, document)
            if changed is not None:
                return self._complete(store, changed, principal) if changed.waiting else _unchanged(changed)
        cut = [Chunk(document.text, 0)] if vectors else chunks(document.text, chunking)
        revision = _Revision(
            store=store,
            document=document,
            key=key,
            id=new_revision(int(self._clock() * 1000)),
            chunks=cut,
            content_hash=content_hash,
            vectors=vectors,
        )
        return self._write(revision, principal)

    def set_attributes(
        self, principal: Principal, store_id: str, document_id: str, attributes: Mapping[str, Any]
    ) -> bool:
        """Give a document other attributes; False if there is no such document."""
        store, key = self._stores.usable(principal.tenant.id, store_id), key_of(document_id)
        found = self._documents.find(store, key)
        if found is None or found.is_deleted:
            return False
        values = {"attributes": dict(attributes)}
        return self._documents.change(store, key, values, [still("version", found.version)]) is not None

    def delete(self, principal: Principal, store_id: str, document_id: str, version: str) -> bool:
        """Delete a document as of a version; an older write that arrives later is ignored.

        Returns whether there was one, no later than that.
        """
        store, key = self._stores.find(principal.tenant.id, store_id), key_of(document_id)
        entry = self._work.begin(self._repair(store, key, principal))
        before = self._documents.mark_deleted(store, key, document_id, version)
        if before is not None and not before.is_deleted:
            self._delete_revisions(store, key, before.revisions)
            self._stores.add_usage(store, -before.bytes)
        self._work.done(entry)
        return before is not None and bool(before.version) and not before.is_deleted

    def complete(self, principal: Principal, store_id: str, key: str) -> Written:
        """Make the vectors that a document lacks: those of a text that was kept without, or of a new generation."""
        store = self._stores.find(principal.tenant.id, store_id)
        found = self._documents.find(store, key)
        if found is None or found.is_deleted or not found.revisions:
            return Written(outcome=Outcome.UNCHANGED)
        return self._complete(store, found, principal)

    def repair(self, principal: Principal, store_id: str, key: str, failures: int = 0) -> Written | None:
        """Clean up what was left of a document by whoever died, and make the vectors that it lacks.

        `failures` is how often that was in vain. None if there is no such document.
        """
        store = self._stores.find(principal.tenant.id, store_id)
        found = self._documents.find(store, key)
        belonging = found.revisions if found else frozenset()
        begun = new_revision(int((self._clock() - DUE_S / 2) * 1000))
        there = {each.revision for each in self._documents.chunk_keys(store, f"{key}#")}
        # What is younger may be in the making.
        self._delete_revisions(store, key, {each for each in there - belonging if each < begun})
        for generation in store.generations:
            # Vectors without texts: of who was about to clean them up.
            left = [each for each, _ in self._index.vectors(store, generation, f"{key}#")]
            wrong = [each for each in left if each.revision not in belonging and each.revision < begun]
            self._index.delete(store, generation, wrong)
        return self._complete(store, found, principal, failures) if found and found.revisions else None

    def _update_unchanged(self, store: VectorStore, found: DocumentRecord, document: Document) -> DocumentRecord | None:
        """Note what is new of a document whose text is not; None if it was changed meanwhile."""
        values = _described(document)
        conditions = [at_most(document.version), still("content_hash", found.content_hash)]
        before = self._documents.change(store, found.key, values, conditions)
        return None if before is None else replace(before, **values)

    def _write(self, revision: _Revision, principal: Principal) -> Written:
        started_s = self._clock()
        store, key = revision.store, revision.key
        entry = self._work.begin(self._repair(store, key, principal))
        self._documents.put_texts(store, key, revision.id, revision.chunks)
        try:
            tokens = sum(self._embed(revision, each, principal) for each in store.generations)
            lacking = None
        except NoVectorsError as error:
            tokens, lacking = 0, error
        if self._clock() - started_s > _MOST_WRITING_S:
            # Somebody may have taken it for dead, and cleaned it up.
            self._delete_revisions(store, key, [revision.id])
            raise DeadlineExceededError("Writing the document took too long: try again.")
        before = self._switch(revision, lacking)
        if before is None:
            self._delete_revisions(store, key, [revision.id])
            self._work.done(entry)
            return Written(outcome=Outcome.OLDER)
        size = revision.bytes(len(store.generations))
        kept = {before.current} if lacking else set[str]()
        self._delete_revisions(store, key, before.revisions - {revision.id} - kept)
        if lacking is not None:
            self._try_later(store, key, principal, lacking)
            self._work.done(entry)
            return _without_vectors(revision, lacking)
        self._stores.add_usage(store, size - before.bytes)
        tokens += self._catch_up(revision, principal)
        self._work.done(entry)
        return Written(outcome=Outcome.WRITTEN, chunks=len(revision.chunks), tokens=tokens, bytes=size)

    def _switch(self, revision: _Revision, lacking: NoVectorsError | None) -> DocumentRecord | None:
        """Make a revision the document's; returns the document before that, None if there is a later version."""
        document, count = revision.document, len(revision.chunks)
        values: dict[str, Any] = {
            **_described(document),
            "id": document.id,
            "content_hash": revision.content_hash,
            "is_deleted": None,
            "expires_at": None,
        }
        if lacking is None:
            values |= {
                "current": revision.id,
                "chunks": count,
                "bytes": revision.bytes(len(revision.store.generations)),
                "generations": [each.number for each in revision.store.generations],
                "waiting": None,
                "waiting_chunks": None,
                "reason": None,
            }
        else:
            values |= {"waiting": revision.id, "waiting_chunks": count, "reason": lacking.reason}
        return self._documents.change(revision.store, revision.key, values, [at_most(document.version)])

    def _embed(self, revision: _Revision, generation: Generation, principal: Principal) -> int:
        """Write the vectors of a revision in a generation. Returns the tokens. Raises NoVectorsError."""
        kind = revision.document.kind
        if revision.vectors and generation.number == revision.store.active.number:
            self._put(revision.store, generation, kind, list(zip(revision.keys, revision.vectors, strict=True)))
            return 0
        tokens = 0
        for some in batched(zip(revision.keys, revision.chunks, strict=True), _TEXTS_AT_ONCE, strict=False):
            embedded = self._embedder.embed(generation, [chunk.text for _, chunk in some], principal)
            keyed = zip((key for key, _ in some), embedded.vectors, strict=True)
            self._put(revision.store, generation, kind, list(keyed))
            tokens += embedded.tokens
        return tokens

    def _put(
        self, store: VectorStore, generation: Generation, kind: str, vectors: Sequence[tuple[ChunkKey, Vector]]
    ) -> None:
        try:
            self._index.put(store, generation, kind, vectors)
        except ValueError as error:
            raise NoVectorsError(f"The model {generation.model} made {error}.", may_pass=False) from None

    def _complete(self, store: VectorStore, found: DocumentRecord, principal: Principal, failures: int = 0) -> Written:
        """Make the vectors that a document's newest revision lacks."""
        for _ in range(_MOST_ATTEMPTS):
            newest = found.waiting or found.current
            wanted = [each for each in store.generations if found.waiting or each.number not in found.generations]
            if not wanted:
                return _unchanged(found)
            revision = self._revision_of(store, found, newest)
            try:
                tokens = sum(self._embed(revision, each, principal) for each in wanted)
            except NoVectorsError as error:
                reason = {"reason": error.reason}
                self._documents.change(store, found.key, reason, [still(_place(found), newest)])
                self._try_later(store, found.key, principal, error, failures + 1)
                return _without_vectors(revision, error)
            before = self._documents.change(
                store,
                found.key,
                {
                    "current": newest,
                    "chunks": len(revision.chunks),
                    "bytes": revision.bytes(len(store.generations)),
                    "generations": sorted({each.number for each in store.generations}),
                    "waiting": None,
                    "waiting_chunks": None,
                    "reason": None,
                },
                [still(_place(found), newest)],
            )
            if before is not None:
                self._delete_revisions(store, found.key, before.revisions - {newest})
                self._stores.add_usage(store, revision.bytes(len(store.generations)) - before.bytes)
                tokens += self._catch_up(revision, principal)
                count = len(revision.chunks)
                return Written(outcome=Outcome.WRITTEN, chunks=count, tokens=tokens, bytes=revision.bytes(1))
            # Somebody has written it meanwhile: what was made here belongs to nothing, unless it is still the newest.
            again = self._documents.find(store, found.key)
            if again is None or newest not in again.revisions:
                self._delete_chunks(store, revision.keys)
            if again is None or again.is_deleted or not again.revisions:
                return Written(outcome=Outcome.OLDER)
            found = again
        return Written(outcome=Outcome.UNCHANGED, chunks=found.chunks)

    def _catch_up(self, revision: _Revision, principal: Principal) -> int:
        """Make the vectors of generations that were begun since the store was looked at. Returns the tokens.

        A store that was deleted or emptied meanwhile gets rid of what was written.
        """
        now = self._stores.known(revision.store.tenant, revision.store.id)
        if now is None or now.is_deleted or now.is_emptied:
            self._delete_chunks(revision.store, revision.keys)
            return 0
        if now.epoch == revision.store.epoch:
            return 0
        for gone in set(revision.store.generations) - set(now.generations):
            self._index.delete(revision.store, gone, revision.keys)
        found = self._documents.find(now, revision.key)
        if found is None or found.is_deleted or not found.revisions:
            return 0
        return self._complete(now, found, principal).tokens

    def _revision_of(self, store: VectorStore, found: DocumentRecord, revision: str) -> _Revision:
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
        return _Revision(
            store=store,
            document=document,
            key=found.key,
            id=revision,
            chunks=self._documents.texts(store, found.key, revision),
            content_hash=found.content_hash,
        )

    def _try_later(
        self, store: VectorStore, key: str, principal: Principal, error: NoVectorsError, failures: int = 0
    ) -> None:
        """Have the vectors made that a text was kept without: when there is quota again, else in an hour, then two."""
        message = self._repair(store, key, principal, failures)
        due_in_s = min(DUE_S * 2 ** min(failures, _MOST_DOUBLINGS), DAY_S) if error.may_pass else DAY_S
        self._work.begin(message, due_in_s=due_in_s)
        if error.retry_after_s is not None:
            self._work.send(message, delay_s=error.retry_after_s)

    def _delete_revisions(self, store: VectorStore, key: str, revisions: Iterable[str]) -> None:
        """Delete vectors, then texts, so that where there is a vector there is a text."""
        for revision in revisions:
            self._delete_chunks(store, list(self._documents.chunk_keys(store, f"{key}#{revision}#")))

    def _delete_chunks(self, store: VectorStore, keys: Sequence[ChunkKey]) -> None:
        for generation in store.generations:
            self._index.delete(store, generation, keys)
        self._documents.delete_texts(store, keys)

    def _repair(self, store: VectorStore, key: str, principal: Principal, failures: int = 0) -> dict[str, Any]:
        return Repair.of(principal, store.id, document=key, failures=failures).model_dump(mode="json")


def _described(document: Document) -> dict[str, Any]:
    return {
        "kind": document.kind,
        "version": document.version,
        "title": document.title,
        "url": document.url,
        "source": document.source,
        "attributes": dict(document.attributes),
    }


def _place(found: DocumentRecord) -> str:
    return "waiting" if found.waiting else "current"


def _unchanged(found: DocumentRecord) -> Written:
    return Written(outcome=Outcome.UNCHANGED, chunks=found.chunks, bytes=found.bytes)


def _without_vectors(revision: _Revision, error: NoVectorsError) -> Written:
    return Written(
        outcome=Outcome.KEPT_WITHOUT_VECTORS,
        chunks=len(revision.chunks),
        bytes=revision.bytes(0),
        reason=error.reason,
        may_pass=error.may_pass,
        retry_after_s=error.retry_after_s,
    )
