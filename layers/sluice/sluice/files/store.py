"""Files in S3, and their records in DynamoDB.

A record is written after its object and deleted before it, so that what a record says is there. What is in neither
is deleted by the bucket's rules.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from sluice.errors import NotFoundError, QuotaExceededError
from sluice.files.file import KEPT_S, Purpose, StoredFile, is_id, new_id
from sluice.files.records import PENDING, Records, files_of, is_over, record_of, shown, uploads_of
from sluice.loading.dataclass import dataclass

if TYPE_CHECKING:
    from sluice.storage.objects import ObjectStore, ObjectWriter

MOST_BYTES = 200 * 1024 * 1024
"""How large a file may be."""
MOST_FILES = 10_000
"""How many files an API key may have. Their sizes are added up before another is taken."""
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
        records: Records,
        objects: "ObjectStore",
        gigabytes_per_owner: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gigabytes_per_owner = gigabytes_per_owner
        self._records = records
        self._objects = objects
        self._clock = clock

    def require_room(self, owner: str, size: int) -> None:
        """Refuse `size` bytes more of an owner who has no room for them. Raises QuotaExceededError.

        What comes at the same moment may go beyond it, as may what batches write.
        """
        files, taken = 0, 0
        for item in self._records.query(files_of(owner)):
            if not is_over(item, self._clock()):
                files, taken = files + 1, taken + item["size"]
        for item in self._records.query(uploads_of(owner)):
            if item.get("status") == PENDING and not is_over(item, self._clock()):
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
        item = self._records.get(files_of(owner), file_id) if is_id(file_id) else None
        if item is None or is_over(item, self._clock()):
            raise no_file(file_id)
        return record_of(StoredFile, item)

    def page(self, owner: str, *, purpose: str | None, after: str | None, limit: int, newest_first: bool) -> FilePage:
        """Files of `owner`'s, `limit` at most, in the order of their making."""
        found: list[StoredFile] = []
        for item in self._records.query(files_of(owner), after=after, newest_first=newest_first):
            if is_over(item, self._clock()) or purpose not in {None, item["purpose"]}:
                continue
            if len(found) == limit:
                return FilePage(found, has_more=True)
            found.append(record_of(StoredFile, item))
        return FilePage(found, has_more=False)

    def delete(self, file: StoredFile) -> None:
        """Delete a file."""
        self._records.delete(files_of(file.owner), file.id)
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

    def _new(self, new: NewFile, file_id: str) -> StoredFile:
        now = int(self._clock())
        kept_s = new.expires_after_s or (None if new.purpose in {Purpose.USER_DATA, Purpose.ASSISTANTS} else KEPT_S)
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
        self._records.put(files_of(file.owner), file.id, values)
        return record_of(StoredFile, values)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def no_file(file_id: str) -> NotFoundError:
    """The error for a file that is not there, or somebody else's."""
    return NotFoundError(f"There is no file {shown(file_id)}.", param="file_id")


def _full(message: str) -> QuotaExceededError:
    return QuotaExceededError(message, retry_after_s=None, code="file_storage_exceeded")
