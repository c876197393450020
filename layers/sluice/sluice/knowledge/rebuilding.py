"""Changes a store's model: a new generation is made while the old one answers, and then answers itself, at once.

Each message makes the vectors of some documents and sends the next. At the end of a round in which none was lacking,
one conditional write switches; what is written meanwhile goes to both generations, so that rounds come to an end.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from sluice.errors import ConflictError
from sluice.knowledge.creating import StoreMaker
from sluice.knowledge.document import DocumentRecord, Outcome
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.index import VectorIndex
from sluice.knowledge.messages import Purge, Rebuild
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import Generation, VectorStore
from sluice.knowledge.writer import DocumentWriter
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal

_DOCUMENTS_AT_ONCE = 500
_CHUNKS_AT_ONCE = 512
_LONGEST_S = 300
_FIRST_PAUSE_S = 30
_LONGEST_PAUSE_S = 900
_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuilderParts:
    """What it takes."""

    stores: Stores
    documents: DocumentStore
    index: VectorIndex
    writer: DocumentWriter
    maker: StoreMaker
    work: OpenWork


class Rebuilder:
    """Makes new generations. Threads may share it."""

    def __init__(self, parts: RebuilderParts, clock: Callable[[], float] = time.monotonic) -> None:
        self._stores = parts.stores
        self._documents = parts.documents
        self._index = parts.index
        self._writer = parts.writer
        self._maker = parts.maker
        self._work = parts.work
        self._clock = clock

    def begin(
        self, principal: Principal, store: VectorStore, model: str, dimensions: int | None, *, anew: bool = False
    ) -> None:
        """Begin to make a store's vectors anew; by the model it has, make those that are lacking, or with `anew` all.

        Raises InvalidRequestError for a model that can't be, ConflictError if another one is being made.
        """
        wanted = self._maker.generation(principal, store.active.number + 1, model, dimensions)
        if store.next is not None:
            if replace(store.next, number=0) != replace(wanted, number=0):
                raise ConflictError(
                    f"The vectors are being made anew by {store.next.model}: wait until next_embedding_model is null."
                )
        elif anew or replace(wanted, number=0) != replace(store.active, number=0):
            values = {"next": wanted, "epoch": store.epoch + 1}
            if self._stores.change(store, values, epoch=store.epoch) is None:
                raise ConflictError("The vector store was changed or deleted meanwhile: look at it, and try again.")
        else:
            wanted = store.active
        self._continue(Rebuild.of(principal, store.id, generation=wanted.number))

    def rebuild(self, principal: Principal, message: Rebuild) -> None:
        """Make the vectors of some documents, and have the rest made; switch once none is lacking."""
        store = self._stores.find(principal.tenant.id, message.store)
        if message.generation not in {each.number for each in store.generations}:
            return  # it was switched to and left again, or given up
        records = list(islice(self._documents.all(store, after_key=message.after), _DOCUMENTS_AT_ONCE + 1))
        is_end = len(records) <= _DOCUMENTS_AT_ONCE
        ends_at_s, lacking, after = self._clock() + _LONGEST_S, message.lacking, message.after
        for some in _by_chunks(records[:_DOCUMENTS_AT_ONCE]):
            if self._clock() > ends_at_s:
                is_end = False
                break
            wanted = [each for each in some if _lacks(each, message.generation)]
            for made in self._writer.complete(principal, store.id, wanted):
                if made.outcome is Outcome.KEPT_WITHOUT_VECTORS and made.may_pass:
                    self._pause(message, made.retry_after_s)
                    return
                # What no model ever takes is no reason to keep all others waiting.
                lacking += made.outcome is not Outcome.KEPT_WITHOUT_VECTORS
            after = some[-1].key
        if not is_end:
            self._continue(message.model_copy(update={"after": after, "lacking": lacking, "failures": 0}))
        elif lacking:
            self._continue(message.model_copy(update={"after": "", "lacking": 0, "failures": 0}))
        elif store.next is not None and store.next.number == message.generation:
            self._switch(principal, store)

    def purge(self, principal: Principal, message: Purge) -> None:
        """Delete the vectors of a generation that answers no more."""
        store = self._stores.find(principal.tenant.id, message.store)
        if message.generation in {each.number for each in store.generations}:
            return
        gone = Generation(number=message.generation, model=message.model, dimensions=message.dimensions)
        delete_all(self._index, store, gone)

    def _switch(self, principal: Principal, store: VectorStore) -> None:
        old, after = store.active, store.switched()
        purge = Purge.of(
            principal, store.id, generation=old.number, model=old.model, dimensions=old.dimensions
        ).model_dump(mode="json")
        # Once more in an hour, for who has written to the old one without having seen the new.
        self._work.begin(purge)
        values = {"active": after.active, "next": None, "epoch": after.epoch}
        if self._stores.change(store, values, epoch=store.epoch) is not None:
            self._work.send(purge)

    def _pause(self, message: Rebuild, retry_after_s: int | None) -> None:
        pause_s = min(_LONGEST_PAUSE_S, retry_after_s or _FIRST_PAUSE_S * 2 ** min(message.failures, 5))
        self._continue(message.model_copy(update={"failures": message.failures + 1}), pause_s)

    def _continue(self, message: Rebuild, delay_s: int = 0) -> None:
        """Have the rest done by another message, which is written down before it is sent."""
        entry = self._work.begin(message.model_copy(update={"open": None}).model_dump(mode="json"))
        known = message.model_copy(update={"open": (entry.collection, entry.entry)})
        self._work.send(known.model_dump(mode="json"), delay_s=delay_s)


def _lacks(document: DocumentRecord, generation: int) -> bool:
    """Whether a document has texts without vectors in a generation."""
    has_texts = bool(document.revisions) and not document.is_deleted
    return has_texts and (bool(document.waiting) or generation not in document.generations)


def _by_chunks(records: Sequence[DocumentRecord]) -> Iterator[list[DocumentRecord]]:
    """Documents in groups of so many chunks that their texts can be in memory, and the time be looked at between."""
    group: list[DocumentRecord] = []
    chunks = 0
    for each in records:
        more = max(each.chunks, each.waiting_chunks)
        if group and chunks + more > _CHUNKS_AT_ONCE:
            yield group
            group, chunks = [], 0
        group.append(each)
        chunks += more
    if group:
        yield group


def delete_all(index: VectorIndex, store: VectorStore, generation: Generation) -> None:
    """Delete all vectors of a generation."""
    keys = []
    for key, _ in index.vectors(store, generation):
        keys.append(key)
        if len(keys) == _KEYS_AT_ONCE:
            index.delete(store, generation, keys)
            keys = []
    index.delete(store, generation, keys)
