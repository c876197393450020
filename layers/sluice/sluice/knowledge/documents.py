"""Records of documents, and the texts of their chunks."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sluice.knowledge.chunking import Chunk
from sluice.knowledge.document import DocumentRecord
from sluice.knowledge.index import ChunkKey
from sluice.knowledge.table import StoresTable, documents_of, texts_of
from sluice.knowledge.vector_store import DAY_S, VectorStore
from sluice.storage.item_types import Item
from sluice.storage.tables import STORES
from sluice.storage.update import Update

TOMBSTONE_S = 90 * DAY_S
"""For how long a document that was deleted is remembered as such, so that an older message does not bring it back."""
_NAMES = frozenset(each.name for each in fields(DocumentRecord)) - {"key"}


class DocumentStore:
    """The documents of all stores. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: StoresTable, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._clock = clock

    def find(self, store: VectorStore, key: str) -> DocumentRecord | None:
        """A document, or that it was deleted; None if there never was one."""
        item = self._table.get(documents_of(store.tenant, store.id), key)
        return None if item is None else _record(item)

    def find_all(self, store: VectorStore, keys: Iterable[str]) -> dict[str, DocumentRecord]:
        """Those documents that there are, by key."""
        found = self._table.get_all(documents_of(store.tenant, store.id), keys)
        return {key: _record(item) for key, item in found.items()}

    def all(self, store: VectorStore, *, after_key: str = "") -> Iterator[DocumentRecord]:
        """All documents in the order of their keys, deleted ones as well, those after `after_key`."""
        return map(_record, self._table.query(documents_of(store.tenant, store.id), after=after_key))

    def change(
        self, store: VectorStore, key: str, values: Mapping[str, Any], conditions: "Sequence[Condition]" = ()
    ) -> DocumentRecord | None:
        """Give a document these values, None removing one; returns it as it was, None if a condition does not hold.

        A document that was not there is returned as one of version "".
        """
        update = Update()
        for name, value in values.items():
            if value is None:
                update.remove(name)
            else:
                update.set(name, value)
        for condition in conditions:
            condition(update)
        before = self._table.update(documents_of(store.tenant, store.id), key, update)
        if before is None:
            return None
        return _record({STORES.sort: key, "id": "", "kind": "", "version": "", **before})

    def mark_deleted(self, store: VectorStore, key: str, document_id: str, version: str) -> DocumentRecord | None:
        """Note that a document was deleted at a version; returns it as it was, None if there is a later version."""
        kept = {"id": document_id, "version": after(version), "kind": "deleted", "is_deleted": True}
        gone = dict.fromkeys(_NAMES - kept.keys())
        expires = {"expires_at": int(self._clock()) + TOMBSTONE_S}
        return self.change(store, key, {**gone, **kept, **expires}, [at_most(version)])

    def forget(self, store: VectorStore, keys: Iterable[str]) -> None:
        """Delete the records of documents, for good."""
        self._table.delete_all(documents_of(store.tenant, store.id), keys)

    def put_texts(self, store: VectorStore, key: str, revision: str, chunks: Sequence[Chunk]) -> None:
        """Write the texts of a revision."""
        self._table.put_all(
            texts_of(store.tenant, store.id),
            (
                (str(ChunkKey(key, revision, number)), {"text": each.text, "tokens": each.tokens})
                for number, each in enumerate(chunks)
            ),
        )

    def texts(self, store: VectorStore, key: str, revision: str) -> list[Chunk]:
        """The texts of a revision, in order."""
        items = self._table.query(texts_of(store.tenant, store.id), prefix=f"{key}#{revision}#")
        return [Chunk(item["text"], item["tokens"]) for item in items]

    def texts_of_chunks(self, store: VectorStore, keys: Iterable[ChunkKey]) -> dict[ChunkKey, str]:
        """The texts of some chunks, those that there are."""
        found = self._table.get_all(texts_of(store.tenant, store.id), map(str, keys))
        return {ChunkKey.of(entry): item["text"] for entry, item in found.items()}

    def chunk_keys(self, store: VectorStore, prefix: str = "") -> Iterator[ChunkKey]:
        """The chunks that there are texts of, whoever they belong to."""
        items = self._table.query(texts_of(store.tenant, store.id), prefix=prefix, only=[STORES.sort])
        return (ChunkKey.of(item[STORES.sort]) for item in items)

    def delete_texts(self, store: VectorStore, keys: Iterable[ChunkKey]) -> None:
        """Delete the texts of chunks."""
        self._table.delete_all(texts_of(store.tenant, store.id), map(str, keys))


type Condition = Callable[[Update], None]


def after(version: str) -> str:
    """What sorts right behind a version: what was deleted at a version is not written at it again."""
    return f"{version} "


def at_most(version: str) -> Condition:
    """That a document has no later version."""
    return lambda update: update.require_absent_or("version", "<=", version)


def still(name: str, value: str) -> Condition:
    """That an attribute of a document is what it was."""
    return lambda update: update.require(name, "=", value)


def _record(item: Item) -> DocumentRecord:
    values = {name: value for name, value in item.items() if name in _NAMES}
    return DocumentRecord(
        **values | {"key": item[STORES.sort], "generations": tuple(sorted(values.get("generations", ())))}
    )
