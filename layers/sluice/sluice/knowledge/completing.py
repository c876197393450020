"""Makes the vectors that documents lack: those of texts that were kept without, or of a new generation."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sluice.knowledge.at_once import at_once
from sluice.knowledge.chunk_store import ChunkStore, Lacking
from sluice.knowledge.document import DocumentRecord, Outcome, Written
from sluice.knowledge.documents import DocumentStore, still
from sluice.knowledge.embedder import NoVectorsError
from sluice.knowledge.messages import Repair
from sluice.knowledge.open_work import DUE_S, OpenWork
from sluice.knowledge.revision import Revision
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import DAY_S, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal

_MOST_ATTEMPTS = 5
# Beyond so many, the next attempt is a day away.
_MOST_DOUBLINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Whose documents are to be completed, and for whom.

    `failures` is how often that was in vain. With `comes_again`, whoever asks for it tries again by itself what may
    pass.
    """

    principal: Principal
    store: VectorStore
    failures: int = 0
    comes_again: bool = False
    attempts: int = _MOST_ATTEMPTS


@dataclass(frozen=True, slots=True)
class _Making:
    """A document as it was found, and its newest revision."""

    found: DocumentRecord
    lacking: Lacking

    @property
    def revision(self) -> Revision:
        return self.lacking.revision

    @property
    def place(self) -> str:
        """Where the document's record names the revision."""
        return "waiting" if self.found.waiting else "current"


class Completer:
    """Completes documents. Threads may share it."""

    def __init__(self, stores: Stores, documents: DocumentStore, chunks: ChunkStore, work: OpenWork) -> None:
        self._stores = stores
        self._documents = documents
        self._chunks = chunks
        self._work = work

    def complete(self, asked: Completion, records: Sequence[DocumentRecord]) -> list[Written]:
        """Make the vectors that the newest revisions of documents lack, all together; of one document, once."""
        unique = {each.key: each for each in records}
        if len(unique) < len(records):
            made = dict(zip(unique, self.complete(asked, list(unique.values())), strict=True))
            return [made[each.key] for each in records]
        makings = at_once(partial(self._begun, asked.store), records)
        lacking = [each.lacking for each in makings if each is not None]
        errors = self._chunks.embed(asked.store, lacking, asked.principal)

        def end(place: int) -> Written:
            making = makings[place]
            if making is None:
                return unchanged(records[place])
            error = errors.get(making.revision.id)
            return self._switched(asked, making) if error is None else self._failed(asked, making, error)

        return at_once(end, range(len(records)))

    def catch_up(self, revision: Revision, principal: Principal) -> None:
        """Make the vectors of generations that were begun since the store was looked at.

        A store that was deleted or emptied meanwhile gets rid of what was written.
        """
        now = self._stores.known(revision.store.tenant, revision.store.id)
        if now is None or now.is_deleted or now.is_emptied:
            self._chunks.delete(revision.store, revision.keys)
            return
        if now.epoch == revision.store.epoch:
            return
        self._chunks.leave(revision, set(revision.store.generations) - set(now.generations))
        found = self._documents.find(now, revision.key)
        if found is not None and not found.is_deleted and found.revisions:
            self.complete(Completion(principal=principal, store=now), [found])

    def try_later(self, asked: Completion, key: str, error: NoVectorsError) -> None:
        """Have the vectors made that a text was kept without: when there is quota again, else in an hour, then two.

        Who comes again is not come before: it would be asked for twice.
        """
        repair = Repair.of(asked.principal, asked.store.id, document=key, failures=asked.failures)
        message = repair.model_dump(mode="json")
        due_in_s = min(DUE_S * 2 ** min(asked.failures, _MOST_DOUBLINGS), DAY_S) if error.may_pass else DAY_S
        self._work.begin(message, due_in_s=due_in_s)
        if error.retry_after_s is not None and not asked.comes_again:
            self._work.send(message, delay_s=error.retry_after_s)

    def _begun(self, store: VectorStore, found: DocumentRecord) -> _Making | None:
        """What a document lacks; None if that is nothing."""
        wanted = [each for each in store.generations if found.waiting or each.number not in found.generations]
        if not wanted:
            return None
        newest = found.waiting or found.current
        texts = self._documents.texts(store, found.key, newest)
        revision = Revision.of(store, found, newest, texts)
        if len(wanted) == len(texts) == 1:
            return _Making(found, Lacking(revision, wanted))
        # Some may be there: those that came with the text, which no model's replace, and those that are paid for.
        there = {each.number: self._chunks.vectors_of(revision, each) for each in wanted}
        wanted = [each for each in wanted if not there[each.number].issuperset(revision.keys)]
        return _Making(found, Lacking(revision, wanted, there))

    def _failed(self, asked: Completion, making: _Making, error: NoVectorsError) -> Written:
        revision, key = making.revision, making.found.key
        conditions = [still(making.place, revision.id)]
        self._documents.change(asked.store, key, {"reason": error.reason}, conditions)
        if not (asked.comes_again and error.may_pass):
            self.try_later(replace(asked, failures=asked.failures + 1), key, error)
        return without_vectors(revision, error)

    def _switched(self, asked: Completion, making: _Making) -> Written:
        """Make the revision that has its vectors now the one that searches find."""
        store, found, revision = asked.store, making.found, making.revision
        size = revision.bytes(len(store.generations))
        values = {
            "current": revision.id,
            "chunks": len(revision.chunks),
            "bytes": size,
            "generations": sorted({each.number for each in store.generations}),
            "waiting": None,
            "waiting_chunks": None,
            "reason": None,
        }
        before = self._documents.change(store, found.key, values, [still(making.place, revision.id)])
        if before is None:
            return self._again(asked, making)
        self._chunks.delete_revisions(store, found.key, before.revisions - {revision.id})
        self._stores.add_usage(store, size - before.bytes)
        self.catch_up(revision, asked.principal)
        return Written(outcome=Outcome.WRITTEN, chunks=len(revision.chunks), bytes=revision.bytes(1))

    def _again(self, asked: Completion, making: _Making) -> Written:
        """Somebody has written it meanwhile: what was made belongs to nothing, unless it is still the newest."""
        store, revision = asked.store, making.revision
        found = self._documents.find(store, making.found.key)
        if found is None or revision.id not in found.revisions:
            self._chunks.delete(store, revision.keys)
        if found is None or found.is_deleted or not found.revisions:
            return Written(outcome=Outcome.OLDER)
        if asked.attempts == 1:
            return unchanged(found)
        [written] = self.complete(replace(asked, attempts=asked.attempts - 1), [found])
        return written


def unchanged(found: DocumentRecord) -> Written:
    """That a document is as it was."""
    return Written(outcome=Outcome.UNCHANGED, chunks=found.chunks, bytes=found.bytes)


def without_vectors(revision: Revision, error: NoVectorsError) -> Written:
    """That the texts of a revision are kept, and have no vectors."""
    return Written(
        outcome=Outcome.KEPT_WITHOUT_VECTORS,
        chunks=len(revision.chunks),
        bytes=revision.bytes(0),
        reason=error.reason,
        may_pass=error.may_pass,
        retry_after_s=error.retry_after_s,
    )
