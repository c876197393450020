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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sluice.embeddings.vectors import Vector
from sluice.errors import DeadlineExceededError
from sluice.knowledge.at_once import at_once
from sluice.knowledge.chunk_store import ChunkStore, Lacking
from sluice.knowledge.chunking import Chunk, Chunking, chunks
from sluice.knowledge.completing import Completer, Completion, unchanged, without_vectors
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
from sluice.knowledge.index import VectorIndex
from sluice.knowledge.messages import Repair
from sluice.knowledge.open_work import DUE_S, OpenEntry, OpenWork
from sluice.knowledge.revision import Revision
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal

# What is written later than this after it was begun may be cleaned up meanwhile.
_MOST_WRITING_S = DUE_S / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterParts:
    """What a writer works with."""

    stores: Stores
    documents: DocumentStore
    index: VectorIndex
    embedder: Embedder
    work: OpenWork


@dataclass(frozen=True, slots=True)
class OwnVector:
    """A vector that came with a text, and the generation that it was made for."""

    numbers: Vector
    generation: Generation


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that is to be written. With a vector, the text is one chunk and is not embedded.

    A vector for a generation that the store does not have any more is left out, and the text is embedded.
    """

    document: Document
    vector: OwnVector | None = None


@dataclass(frozen=True, slots=True)
class _Writing:
    """A revision whose texts are written, since when, and the work that this is written down as."""

    revision: Revision
    entry: OpenEntry
    started_s: float


class DocumentWriter:
    """Writes and deletes documents of stores. Threads may share it.

    All methods raise NotFoundError for a store that the principal's tenant does not have, and StorageUnavailableError
    or LedgerUnavailableError, after which the same may be tried again.
    """

    def __init__(self, parts: WriterParts, clock: Callable[[], float] = time.time) -> None:
        self._stores = parts.stores
        self._documents = parts.documents
        self._index = parts.index
        self._work = parts.work
        self._chunks = ChunkStore(parts.documents, parts.index, parts.embedder)
        self._completer = Completer(parts.stores, parts.documents, self._chunks, parts.work)
        self._clock = clock

    def write(
        self, principal: Principal, store_id: str, document: Document, chunking: Chunking | None = None
    ) -> Written:
        """Write a document, in place of an older one. Raises InvalidRequestError for one that no store takes."""
        [written] = self.write_all(principal, store_id, [NewDocument(document)], chunking)
        return written

    def write_all(
        self,
        principal: Principal,
        store_id: str,
        given: Sequence[NewDocument],
        chunking: Chunking | None = None,
        *,
        comes_again: bool = False,
    ) -> list[Written]:
        """Write documents, whose texts are embedded together. Returns what became of each, in their order.

        Of several with the same id only the one of the latest version is written, of equal versions the last; the
        others are older. With `comes_again`, the caller writes them again if some are kept without vectors. Raises
        InvalidRequestError if there is one that no store takes.
        """
        for each in given:
            each.document.check()
        store = self._stores.usable(principal.tenant.id, store_id)
        asked = Completion(principal=principal, store=store, comes_again=comes_again)
        newest: dict[str, int] = {}
        for place, each in enumerate(given):
            before = newest.setdefault(each.document.id, place)
            if given[before].document.version <= each.document.version:
                newest[each.document.id] = place

        def begin(place: int) -> _Writing | DocumentRecord | Written:
            if newest[given[place].document.id] != place:
                return Written(outcome=Outcome.OLDER)
            return self._begun(asked, chunking or Chunking(), given[place])

        begun = at_once(begin, range(len(given)))
        writing = [each for each in begun if isinstance(each, _Writing)]
        errors = self._chunks.embed(store, [Lacking(each.revision, store.generations) for each in writing], principal)
        waiting = [each for each in begun if isinstance(each, DocumentRecord)]
        made = self._completer.complete(asked, waiting)
        completed = {record.key: each for record, each in zip(waiting, made, strict=True)}

        def end(each: _Writing | DocumentRecord | Written) -> Written:
            match each:
                case _Writing():
                    return self._ended(asked, each, errors.get(each.revision.id))
                case DocumentRecord():
                    return completed[each.key]
                case _:
                    return each

        return at_once(end, begun)

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
        entry = self._work.begin(_repair(store, key, principal))
        before = self._documents.mark_deleted(store, key, document_id, version)
        if before is not None and not before.is_deleted:
            self._chunks.delete_revisions(store, key, before.revisions)
            self._stores.add_usage(store, -before.bytes)
        self._work.done(entry)
        return before is not None and bool(before.version) and not before.is_deleted

    def complete(self, principal: Principal, store_id: str, records: Sequence[DocumentRecord]) -> list[Written]:
        """Make the vectors that documents lack, of a new generation as well. Whoever asks tries what may pass again."""
        store = self._stores.find(principal.tenant.id, store_id)
        return self._completer.complete(Completion(principal=principal, store=store, comes_again=True), records)

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
        self._chunks.delete_revisions(store, key, {each for each in there - belonging if each < begun})
        for generation in store.generations:
            # Vectors without texts: of who was about to clean them up.
            left = [each for each, _ in self._index.vectors(store, generation, f"{key}#")]
            wrong = [each for each in left if each.revision not in belonging and each.revision < begun]
            self._index.delete(store, generation, wrong)
        if found is None or not found.revisions:
            return None
        [made] = self._completer.complete(Completion(principal=principal, store=store, failures=failures), [found])
        return made

    def _begun(self, asked: Completion, chunking: Chunking, given: NewDocument) -> _Writing | DocumentRecord | Written:
        """Write the texts of a document; its record if they are there without vectors; what became of it if all is."""
        store, key = asked.store, key_of(given.document.id)
        # What is no Unicode can be stored nowhere.
        document = replace(given.document, text=given.document.text.encode("utf-8", "replace").decode())
        vector = given.vector if given.vector and given.vector.generation in store.generations else None
        own = "" if vector is None else repr([list(vector.numbers)])
        content_hash = hash_of(document.text, chunking.name, own)
        found = self._documents.find(store, key)
        if found is not None and found.version > document.version:
            return Written(outcome=Outcome.OLDER)
        if found is not None and found.content_hash == content_hash and not found.is_deleted:
            changed = self._update_unchanged(store, found, document)
            if changed is not None:
                return changed if changed.waiting else unchanged(changed)
        started_s = self._clock()
        revision = Revision(
            store=store,
            document=document,
            key=key,
            id=new_revision(int(started_s * 1000)),
            chunks=chunks(document.text, chunking) if vector is None else [Chunk(document.text, 0)],
            content_hash=content_hash,
            vectors=() if vector is None else (vector.numbers,),
            vectors_of=None if vector is None else vector.generation,
        )
        entry = self._work.begin(_repair(store, key, asked.principal))
        self._chunks.put_texts(revision)
        return _Writing(revision, entry, started_s)

    def _update_unchanged(self, store: VectorStore, found: DocumentRecord, document: Document) -> DocumentRecord | None:
        """Note what is new of a document whose text is not; None if it was changed meanwhile."""
        values = _described(document)
        conditions = [at_most(document.version), still("content_hash", found.content_hash)]
        before = self._documents.change(store, found.key, values, conditions)
        return None if before is None else replace(before, **values)

    def _ended(self, asked: Completion, writing: _Writing, lacking: NoVectorsError | None) -> Written:
        """Make a revision the document's, with its vectors or without, and clean up what it replaces."""
        revision = writing.revision
        store, key = revision.store, revision.key
        if self._clock() - writing.started_s > _MOST_WRITING_S:
            # Somebody may have taken it for dead, and cleaned it up.
            self._chunks.delete_revisions(store, key, [revision.id])
            raise DeadlineExceededError("Writing the document took too long: try again.")
        before = self._switch(revision, lacking)
        if before is None:
            self._chunks.delete_revisions(store, key, [revision.id])
            self._work.done(writing.entry)
            return Written(outcome=Outcome.OLDER)
        size = revision.bytes(len(store.generations))
        kept = {before.current} if lacking else set[str]()
        self._chunks.delete_revisions(store, key, before.revisions - {revision.id} - kept)
        if lacking is not None:
            self._completer.try_later(asked, key, lacking)
            self._work.done(writing.entry)
            return without_vectors(revision, lacking)
        self._stores.add_usage(store, size - before.bytes)
        self._completer.catch_up(revision, asked.principal)
        self._work.done(writing.entry)
        return Written(outcome=Outcome.WRITTEN, chunks=len(revision.chunks), bytes=size)

    def _switch(self, revision: Revision, lacking: NoVectorsError | None) -> DocumentRecord | None:
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


def _repair(store: VectorStore, key: str, principal: Principal) -> dict[str, Any]:
    return Repair.of(principal, store.id, document=key).model_dump(mode="json")


def _described(document: Document) -> dict[str, Any]:
    return {
        "kind": document.kind,
        "version": document.version,
        "title": document.title,
        "url": document.url,
        "source": document.source,
        "attributes": dict(document.attributes),
    }
