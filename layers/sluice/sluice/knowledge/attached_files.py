"""Files that are attached to stores, and batches of them.

A file's status and the counts of its store and batch change in one transaction, so that the counts are exact whoever
dies when. `attempt` tells one attaching from a later one: what is left of an earlier one changes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from itertools import batched
from typing import Any

from sluice.chat import JsonObject
from sluice.errors import ConflictError, NotFoundError
from sluice.files.file import is_id
from sluice.files.file import new_id as new_file_id
from sluice.knowledge.chunking import Chunking
from sluice.knowledge.document import Attribute, new_revision
from sluice.knowledge.stores import PageQuery, Stores, count_name, counts_of, page_of
from sluice.knowledge.table import StoresTable, batches_of, files_of, stores_of
from sluice.knowledge.vector_store import FileStatus, VectorStore
from sluice.loading.dataclass import dataclass
from sluice.storage.item_types import Item, TypedItem, to_item
from sluice.storage.tables import STORES
from sluice.storage.transaction import change, write_together
from sluice.storage.update import Update

MOST_FILES = 10_000
"""How many files a store may have: OpenAI's limit."""
# A transaction writes a hundred items: these, as many batches that they were in, this batch and the store.
_MOVED_AT_ONCE = 49
_THERE = frozenset({FileStatus.IN_PROGRESS, FileStatus.COMPLETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """A file of a store. `owner` is whose file it is, `edits` counts changes of its attributes.

    `generation` is the number of the one that answered when it was attached, which vectors in it are for.
    """

    id: str
    owner: str
    filename: str
    created_at: int
    attempt: str
    status: FileStatus = FileStatus.IN_PROGRESS
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    chunking: Chunking = field(default_factory=Chunking)
    batch: str = ""
    usage_bytes: int = 0
    error_code: str = ""
    error_message: str = ""
    edits: int = 0
    generation: int = 0

    def in_batch(self, batch: str) -> "AttachedFile":
        """The file as one of a batch."""
        return replace(self, batch=batch)


type Move = tuple[AttachedFile | None, AttachedFile | None]
"""A file as it is now and as it is to be: None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBatch:
    """Files that were attached together."""

    id: str
    created_at: int
    is_cancelled: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def status(self) -> FileStatus:
        """Where they are, all together."""
        if self.is_cancelled:
            return FileStatus.CANCELLED
        if self.counts.get(FileStatus.IN_PROGRESS, 0):
            return FileStatus.IN_PROGRESS
        done = self.counts.get(FileStatus.COMPLETED, 0)
        return FileStatus.FAILED if self.counts.get(FileStatus.FAILED, 0) and not done else FileStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files, and whether there are more."""

    files: Sequence[AttachedFile]
    has_more: bool


class AttachedFiles:
    """The files of all stores. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: StoresTable, stores: Stores, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._stores = stores
        self._clock = clock

    def new(self, file_id: str, owner: str, filename: str) -> AttachedFile:
        """A file that is to be attached."""
        now = self._clock()
        return AttachedFile(
            id=file_id, owner=owner, filename=filename, created_at=int(now), attempt=new_revision(int(now * 1000))
        )

    def attach(self, store: VectorStore, file: AttachedFile) -> AttachedFile:
        """Add a file that is to be read, or again one that ended badly; returns what there is of it then.

        Raises NotFoundError if the store was deleted meanwhile.
        """
        file = replace(file, generation=store.active.number)
        while True:
            before = self.known(store, file.id)
            if before is not None and before.status in _THERE:
                return before
            if self._move(store, before, file):
                return file
            self._stores.find(store.tenant, store.id)

    def attach_all(self, store: VectorStore, files: Sequence[AttachedFile]) -> list[AttachedFile]:
        """The same for many files, each of them once, many in one transaction."""
        attached: list[AttachedFile] = []
        for some in batched(files, _MOVED_AT_ONCE, strict=False):
            found = self._table.get_all(files_of(store.tenant, store.id), [each.id for each in some])
            known = {file_id: _file(item) for file_id, item in found.items()}
            there = {key: each for key, each in known.items() if each.status in _THERE}
            new = [replace(each, generation=store.active.number) for each in some if each.id not in there]
            moves = [(known.get(each.id), each) for each in new]
            if self._move_all(store, moves):
                attached += [there.get(each.id, each) for each in some]
            else:
                # Somebody attaches one of them at the same time.
                attached += [self.attach(store, each) for each in some]
        return attached

    def find(self, store: VectorStore, file_id: str) -> AttachedFile:
        """A file of a store. Raises NotFoundError."""
        found = self.known(store, file_id) if is_id(file_id) else None
        if found is None:
            raise NotFoundError(f"There is no file {file_id[:64]!r} in this vector store.", param="file_id")
        return found

    def known(self, store: VectorStore, file_id: str) -> AttachedFile | None:
        """A file of a store; None if there is none."""
        item = self._table.get(files_of(store.tenant, store.id), file_id)
        return None if item is None else _file(item)

    def page(self, store: VectorStore, query: PageQuery, *, status: str | None = None, batch: str = "") -> FilePage:
        """Files of a store, of a status or a batch if one is named, in the order of their ids."""

        def is_wanted(item: Item) -> bool:
            return status in {None, item["status"]} and batch in {"", item["batch"]}

        found, has_more = page_of(self._table, files_of(store.tenant, store.id), query, is_wanted)
        return FilePage([_file(item) for item in found], has_more)

    def end(self, store: VectorStore, file: AttachedFile, **values: Any) -> bool:
        """Note how a file ended; False if it was edited, ended or removed meanwhile."""
        return self._move(store, file, replace(file, **values))

    def set_attributes(self, store: VectorStore, file_id: str, attributes: Mapping[str, Attribute]) -> AttachedFile:
        """Give a file other attributes. Raises NotFoundError."""
        update = Update()
        update.set("attributes", dict(attributes))
        update.add("edits", 1)
        update.require_exists("attempt")
        if self._table.update(files_of(store.tenant, store.id), file_id, update) is None:
            raise NotFoundError(f"There is no file {file_id[:64]!r} in this vector store.", param="file_id")
        return self.find(store, file_id)

    def remove(self, store: VectorStore, file: AttachedFile) -> bool:
        """Remove a file; False if it has changed meanwhile."""
        return self._move(store, file, None)

    def create_batch(self, store: VectorStore) -> FileBatch:
        """Begin a batch without files."""
        now = self._clock()
        batch = FileBatch(id=new_file_id("vsfb_", int(now * 1000)), created_at=int(now))
        self._table.put(batches_of(store.tenant, store.id), batch.id, {"created_at": batch.created_at})
        return batch

    def find_batch(self, store: VectorStore, batch_id: str) -> FileBatch:
        """A batch of a store's files. Raises NotFoundError."""
        item = self._table.get(batches_of(store.tenant, store.id), batch_id) if is_id(batch_id) else None
        if item is None:
            raise NotFoundError(f"There is no file batch {batch_id[:64]!r} in this vector store.", param="batch_id")
        return FileBatch(
            id=batch_id,
            created_at=item["created_at"],
            is_cancelled=item.get("is_cancelled", False),
            counts=counts_of(item),
        )

    def cancel_batch(self, store: VectorStore, batch_id: str) -> FileBatch:
        """Have no more files of a batch read. Raises NotFoundError, and ConflictError if it has ended."""
        batch = self.find_batch(store, batch_id)
        if batch.status is not FileStatus.IN_PROGRESS:
            raise ConflictError(f"The file batch is {batch.status}: nothing is left to be cancelled.")
        update = Update()
        update.set("is_cancelled", True)
        update.require_exists("created_at")
        self._table.update(batches_of(store.tenant, store.id), batch_id, update)
        page = self.page(store, PageQuery(limit=MOST_FILES), status=FileStatus.IN_PROGRESS, batch=batch_id)
        for some in batched(page.files, _MOVED_AT_ONCE, strict=False):
            if not self._move_all(store, [(file, replace(file, status=FileStatus.CANCELLED)) for file in some]):
                # One of them has ended meanwhile.
                for file in some:
                    self.end(store, file, status=FileStatus.CANCELLED)
        return self.find_batch(store, batch_id)

    def _move(self, store: VectorStore, before: AttachedFile | None, after: AttachedFile | None) -> bool:
        """Replace the record of a file, or make or remove it, and count it anew; False if it is not `before` now."""
        return self._move_all(store, [(before, after)])

    def _move_all(self, store: VectorStore, moves: Sequence[Move]) -> bool:
        """The same with several files, all of them or none."""
        if not moves:
            return True
        writes = [self._write_of(store, before, after) for before, after in moves]
        return write_together(self._table.client, [*writes, *self._counts(store, moves)])

    def _write_of(self, store: VectorStore, before: AttachedFile | None, after: AttachedFile | None) -> JsonObject:
        [file_id, *_] = [each.id for each in (after, before) if each is not None]
        key = STORES.key(files_of(store.tenant, store.id), file_id)
        names = {"#attempt": "attempt", "#status": "status", "#edits": "edits"}
        condition: JsonObject
        if before is None:
            condition = {
                "ConditionExpression": "attribute_not_exists(#attempt)",
                "ExpressionAttributeNames": {"#attempt": "attempt"},
            }
        else:
            condition = {
                "ConditionExpression": "#attempt = :attempt AND #status = :status AND #edits = :edits",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": to_item(
                    {":attempt": before.attempt, ":status": str(before.status), ":edits": before.edits}
                ),
            }
        if after is None:
            return {"Delete": {"TableName": self._table.name, "Key": key, **condition}}
        return {"Put": {"TableName": self._table.name, "Item": key | to_item(_values(after)), **condition}}

    def _counts(self, store: VectorStore, moves: Sequence[Move]) -> list[JsonObject]:
        store_key = STORES.key(stores_of(store.tenant), store.id)
        counts: dict[str, tuple[TypedItem, dict[str, int]]] = {store.id: (store_key, {})}
        for file, step in [(file, step) for move in moves for file, step in zip(move, (-1, 1), strict=True)]:
            if file is None:
                continue
            _add(counts[store.id][1], file.status, step)
            if file.batch:
                batch_key = STORES.key(batches_of(store.tenant, store.id), file.batch)
                _add(counts.setdefault(file.batch, (batch_key, {}))[1], file.status, step)
        writes = []
        for key, changes in counts.values():
            update = Update()
            for status, step in changes.items():
                if step:
                    update.add(count_name(status), step)
            if any(changes.values()):
                update.require_exists("created_at")
                writes.append(change(self._table.name, key, update))
        return writes


def _add(counts: dict[str, int], status: str, step: int) -> None:
    counts[str(status)] = counts.get(str(status), 0) + step


_NAMES = frozenset(each.name for each in fields(AttachedFile)) - {"id"}


def _values(file: AttachedFile) -> Item:
    values = {name: value for name, value in asdict(file).items() if name in _NAMES}
    return values | {"status": str(file.status)}


def _file(item: Item) -> AttachedFile:
    values = {name: value for name, value in item.items() if name in _NAMES}
    values["status"] = FileStatus(values["status"])
    values["chunking"] = Chunking(**values["chunking"])
    return AttachedFile(**values | {"id": item[STORES.sort]})
