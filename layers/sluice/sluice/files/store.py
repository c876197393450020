"""Files in S3, and their records in DynamoDB.

collection  files#acme#key-id       uploads#acme#key-id
entry       file-0193...            upload_0193..., upload_0193...#part_0193...

A record is written after its object and deleted before it, so that what a record says is there. What is in neither
is deleted by the bucket's rules.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError, QuotaExceededError
from sluice.files.file import KEPT_S, Purpose, StoredFile, Upload, is_id, new_id, part_key
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import BATCHES
from sluice.storage.update import Update

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from sluice.storage.objects import ObjectStore, ObjectWriter

MOST_BYTES = 200 * 1024 * 1024
"""How large a file may be."""
UPLOAD_LIFETIME_S = 3_600
_PENDING, _COMPLETED, _CANCELLED = "pending", "completed", "cancelled"
MOST_PARTS = 200
"""How many parts an upload may come in: reading them one by one takes longer than API Gateway waits for an answer."""
MOST_FILES = 10_000
"""How many files an API key may have. Their sizes are added up before another is taken."""
# Parts that are read at once: each has as much as a request may bring.
_PARTS_AT_ONCE = 8
_GIGABYTE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to be made. `expires_after_s` is for those that are not to be kept as long as others of their purpose."""

    owner: str
    filename: str
    purpose: str
    expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files, and whether there are more."""

    files: Sequence[StoredFile]
    has_more: bool


class FileStore:
    """The files of all callers. Threads may share it. `clock` gives seconds since 1970.

    All methods raise StorageUnavailableError, and those that are given an id NotFoundError.
    """

    def __init__(
        self,
        table: str,
        objects: "ObjectStore",
        client: DynamoDB,
        gigabytes_per_owner: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gigabytes_per_owner = gigabytes_per_owner
        self._table = table
        self._objects = objects
        self._client = client
        self._clock = clock

    def require_room(self, owner: str, size: int) -> None:
        """Refuse `size` bytes more of an owner who has no room for them. Raises QuotaExceededError.

        What comes at the same moment may go beyond it, as may what batches write.
        """
        files, taken = 0, 0
        for item in self._query(_files(owner), after=None, newest_first=False):
            if not _is_over(item, self._clock()):
                files, taken = files + 1, taken + item["size"]
        for item in self._query(_uploads(owner), after=None, newest_first=False):
            if item.get("status") == _PENDING and not _is_over(item, self._clock()):
                files, taken = files + 1, taken + item["size"]
        remedy = "delete some by DELETE /v1/files/{file_id}"
        if files >= MOST_FILES:
            raise _full(f"The API key has {files} files, and may have {MOST_FILES}: {remedy}.")
        if taken + size > self._gigabytes_per_owner * _GIGABYTE:
            raise _full(
                f"The API key's files take {taken / _GIGABYTE:.3f} GB of {self._gigabytes_per_owner} GB, and this one "
                f"has {size / _GIGABYTE:.3f} GB: {remedy}, or have the stack's FileGigabytesPerKey raised."
            )

    def create(self, new: NewFile, body: bytes) -> StoredFile:
        """Keep `body` as a file. Raises QuotaExceededError."""
        self.require_room(new.owner, len(body))
        file = self._new(new, new_id("file-", self._now_ms()))
        self._objects.put(file.key, body)
        return self._record(file, len(body))

    @contextmanager
    def writing(self, new: NewFile, file_id: str) -> "Iterator[ObjectWriter]":
        """Write a file in pieces; it is there once the block has ended well. The same id again replaces it."""
        file = self._new(new, file_id)
        with self._objects.writer(file.key) as writer:
            yield writer
        self._record(file, writer.size)

    def find(self, owner: str, file_id: str) -> StoredFile:
        """A file of `owner`'s."""
        item = self._get(_files(owner), file_id) if is_id(file_id) else None
        if item is None or _is_over(item, self._clock()):
            raise no_file(file_id)
        return _from_item(StoredFile, item)

    def page(self, owner: str, *, purpose: str | None, after: str | None, limit: int, newest_first: bool) -> FilePage:
        """Files of `owner`'s, `limit` at most, in the order of their making."""
        found: list[StoredFile] = []
        for item in self._query(_files(owner), after=after, newest_first=newest_first):
            if _is_over(item, self._clock()) or purpose not in {None, item["purpose"]}:
                continue
            if len(found) == limit:
                return FilePage(found, has_more=True)
            found.append(_from_item(StoredFile, item))
        return FilePage(found, has_more=False)

    def delete(self, file: StoredFile) -> None:
        """Delete a file."""
        self._client.call("DeleteItem", {"TableName": self._table, "Key": _key(_files(file.owner), file.id)})
        self._objects.delete(file.key)

    def pieces(self, file: StoredFile) -> Iterator[bytes]:
        """What is in a file, piece by piece."""
        return self._objects.pieces(file.key)

    def read(self, file: StoredFile, start: int, end: int) -> bytes:
        """The bytes of a file from `start` until before `end`."""
        return self._objects.read(file.key, start, end)

    def download_url(self, file: StoredFile, lifetime_s: int) -> str:
        """Where everybody who has the URL may read a file for so long."""
        return self._objects.download_url(file.key, file.filename, lifetime_s)

    def begin_upload(self, new: NewFile, *, size: int, mime_type: str) -> Upload:
        """Begin a file that comes in parts. Raises QuotaExceededError."""
        self.require_room(new.owner, size)
        now = int(self._clock())
        upload = Upload(
            id=new_id("upload_", self._now_ms()),
            owner=new.owner,
            filename=new.filename,
            purpose=new.purpose,
            mime_type=mime_type,
            size=size,
            status=_PENDING,
            created_at=now,
            expires_at=now + UPLOAD_LIFETIME_S,
            file_expires_after_s=new.expires_after_s,
        )
        self._put(_key(_uploads(new.owner), upload.id), asdict(upload))
        return upload

    def upload_url(self, upload: Upload) -> str:
        """Where the whole of an upload may be put, in one request, by everybody who has the URL."""
        return self._objects.upload_url(upload.key, upload.size, UPLOAD_LIFETIME_S)

    def find_upload(self, owner: str, upload_id: str) -> Upload:
        """An upload of `owner`'s."""
        item = self._get(_uploads(owner), upload_id) if is_id(upload_id) else None
        if item is None or item["expires_at"] <= self._clock():
            raise NotFoundError(f"There is no upload {_shown(upload_id)}, or no longer.")
        return _from_item(Upload, item)

    def add_part(self, upload: Upload, body: bytes) -> str:
        """Add a part to an upload. Returns the part's id. Raises ConflictError if nothing may be added.

        InvalidRequestError if there are too many parts, or they have far more bytes than the file is to have: a part
        that was sent twice is no harm.
        """
        _require_pending(upload)
        if not self._count_part(upload, len(body)):
            _require_pending(self.find_upload(upload.owner, upload.id))
            raise InvalidRequestError(
                f"data: an upload has {MOST_PARTS} parts at most, and those of this one {upload.size} bytes together: "
                "send parts of up to 4 MB.",
                param="data",
            )
        part_id = new_id("part_", self._now_ms())
        self._objects.put(part_key(upload.owner, upload.id, part_id), body)
        values = {"size": len(body), "expires_at": upload.expires_at + UPLOAD_LIFETIME_S}
        self._put(_key(_uploads(upload.owner), f"{upload.id}#{part_id}"), values)
        return part_id

    def part_sizes(self, upload: Upload) -> dict[str, int]:
        """How many bytes each part has that was added, by id."""
        prefix = f"{upload.id}#"
        items = self._query(_uploads(upload.owner), after=None, newest_first=False, prefix=prefix)
        return {item[BATCHES.sort].removeprefix(prefix): item["size"] for item in islice(items, MOST_PARTS)}

    def whole_size(self, upload: Upload) -> int:
        """How many bytes were put to the upload's URL. Raises ObjectMissingError."""
        return self._objects.size(upload.key)

    def complete(self, upload: Upload, part_ids: Sequence[str], md5: str | None = None) -> StoredFile:
        """Make a file of the parts, in this order, or of what was put to the upload's URL.

        Raises ConflictError if nothing can be made of it, and InvalidRequestError, without a file, if `md5` is given
        and not its digest.
        """
        if upload.file_id is not None:
            return self.find(upload.owner, upload.file_id)  # the answer to the same request got lost
        _require_pending(upload)
        # The same id however often it is asked: two at once write the same file.
        file_id = f"file-{upload.id.removeprefix('upload_')}"
        new = NewFile(
            owner=upload.owner,
            filename=upload.filename,
            purpose=upload.purpose,
            expires_after_s=upload.file_expires_after_s,
        )
        keys = [part_key(upload.owner, upload.id, part) for part in part_ids]
        digest = hashlib.md5(usedforsecurity=False)
        with self.writing(new, file_id) as writer:
            for piece in self._parts(keys) if part_ids else self._objects.pieces(upload.key):
                digest.update(piece)
                writer.write(piece)
            if md5 is not None and md5.lower() != digest.hexdigest():
                raise InvalidRequestError("md5: is not that of the parts in this order.", param="md5")
        self._end(upload, _COMPLETED, file_id)
        return self.find(upload.owner, file_id)

    def cancel(self, upload: Upload) -> None:
        """Let nothing be made of an upload. Raises ConflictError if something was."""
        _require_pending(upload)
        self._end(upload, _CANCELLED, None)

    def _count_part(self, upload: Upload, size: int) -> bool:
        """Count a part that is to be added; False if nothing, or no such part, may be added."""
        most = 2 * upload.size - size
        update = Update()
        update.add("parts", 1)
        update.add("received", size)
        update.require("status", "=", _PENDING)
        update.require_absent_or("parts", "<", MOST_PARTS)
        update.require_absent_or("received", "<=", most)
        key = _key(_uploads(upload.owner), upload.id)
        try:
            self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})
        except ConditionFailedError:
            return False
        return most >= 0

    def _parts(self, keys: Sequence[str]) -> Iterator[bytes]:
        """Parts in order, some read at once: the way to each takes longer than its bytes."""
        with ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="parts") as threads:
            for some in batched(keys, _PARTS_AT_ONCE, strict=False):
                yield from threads.map(lambda key: b"".join(self._objects.pieces(key)), some)

    def _end(self, upload: Upload, status: str, file_id: str | None) -> None:
        update = Update()
        update.set("status", status)
        if file_id is not None:
            update.set("file_id", file_id)
        update.require("status", "=", _PENDING)
        try:
            key = _key(_uploads(upload.owner), upload.id)
            self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})
        except ConditionFailedError:
            if self.find_upload(upload.owner, upload.id).status != status:
                raise ConflictError("The upload was completed or cancelled meanwhile.") from None

    def _new(self, new: NewFile, file_id: str) -> StoredFile:
        now = int(self._clock())
        kept_s = new.expires_after_s or (None if new.purpose == Purpose.USER_DATA else KEPT_S)
        return StoredFile(
            id=file_id,
            owner=new.owner,
            filename=new.filename,
            purpose=new.purpose,
            size=0,
            created_at=now,
            expires_at=None if kept_s is None else now + kept_s,
        )

    def _record(self, file: StoredFile, size: int) -> StoredFile:
        values = {name: value for name, value in asdict(file).items() if value is not None} | {"size": size}
        self._put(_key(_files(file.owner), file.id), values)
        return _from_item(StoredFile, values)

    def _put(self, key: TypedItem, values: Item) -> None:
        item = key | to_item({name: value for name, value in values.items() if value is not None})
        self._client.call("PutItem", {"TableName": self._table, "Item": item})

    def _get(self, partition: str, entry: str) -> Item | None:
        asked = {"TableName": self._table, "Key": _key(partition, entry), "ConsistentRead": True}
        item = self._client.call("GetItem", asked).get("Item")
        return None if item is None else from_item(item)

    def _query(self, partition: str, *, after: str | None, newest_first: bool, prefix: str = "") -> Iterator[Item]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
            "ExpressionAttributeValues": to_item({":partition": partition}),
            "ScanIndexForward": not newest_first,
        }
        if prefix:
            request["KeyConditionExpression"] += " AND begins_with(#sort, :prefix)"
            request["ExpressionAttributeNames"]["#sort"] = BATCHES.sort
            request["ExpressionAttributeValues"] |= to_item({":prefix": prefix})
        if after is not None:
            request["ExclusiveStartKey"] = _key(partition, after)
        return map(from_item, self._client.query(request))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def no_file(file_id: str) -> NotFoundError:
    """The error for a file that is not there, or somebody else's."""
    return NotFoundError(f"There is no file {_shown(file_id)}.", param="file_id")


def _full(message: str) -> QuotaExceededError:
    return QuotaExceededError(message, retry_after_s=None, code="file_storage_exceeded")


def _require_pending(upload: Upload) -> None:
    if upload.status != _PENDING:
        raise ConflictError(f"The upload is {upload.status}: nothing can be done with it.")


def _key(partition: str, entry: str) -> TypedItem:
    return BATCHES.key(partition, entry)


def _files(owner: str) -> str:
    return f"files#{owner}"


def _uploads(owner: str) -> str:
    return f"uploads#{owner}"


def _is_over(item: Item, now_s: float) -> bool:
    return item.get("expires_at") is not None and item["expires_at"] <= now_s


def _from_item[Record: "DataclassInstance"](kind: type[Record], item: Item) -> Record:
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in item.items() if name in known})


def _shown(text: str) -> str:
    return repr(text[:64])
