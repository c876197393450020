"""Uploads: files that come in parts, or by a URL, and are there once they are complete."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import batched, islice
from typing import TYPE_CHECKING

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError
from sluice.files.file import StoredFile, Upload, is_id, new_id, part_key
from sluice.files.records import CANCELLED, COMPLETED, PENDING, Records, record_of, shown, uploads_of
from sluice.files.store import FileStore, NewFile
from sluice.storage.errors import ConditionFailedError
from sluice.storage.tables import BATCHES
from sluice.storage.update import Update

if TYPE_CHECKING:
    from sluice.storage.objects import ObjectStore

UPLOAD_LIFETIME_S = 3_600
MOST_PARTS = 200
"""How many parts an upload may come in: reading them one by one takes longer than API Gateway waits for an answer."""
# Parts that are read at once: each has as much as a request may bring.
_PARTS_AT_ONCE = 8


class UploadStore:
    """The uploads of all callers. Threads may share it. `clock` gives seconds since 1970.

    All methods raise StorageUnavailableError, and those that are given an id NotFoundError.
    """

    def __init__(
        self, files: FileStore, records: Records, objects: "ObjectStore", clock: Callable[[], float] = time.time
    ) -> None:
        self._files = files
        self._records = records
        self._objects = objects
        self._clock = clock

    def begin(self, new: NewFile, *, size: int, mime_type: str) -> Upload:
        """Begin a file that comes in parts. Raises QuotaExceededError."""
        self._files.require_room(new.owner, size)
        now = int(self._clock())
        upload = Upload(
            id=new_id("upload_", self._now_ms()),
            owner=new.owner,
            filename=new.filename,
            purpose=new.purpose,
            mime_type=mime_type,
            size=size,
            status=PENDING,
            created_at=now,
            expires_at=now + UPLOAD_LIFETIME_S,
            file_expires_after_s=new.expires_after_s,
        )
        self._records.put(uploads_of(new.owner), upload.id, asdict(upload))
        return upload

    def url(self, upload: Upload) -> str:
        """Where the whole of an upload may be put, in one request, by everybody who has the URL."""
        return self._objects.upload_url(upload.key, upload.size, UPLOAD_LIFETIME_S)

    def find(self, owner: str, upload_id: str) -> Upload:
        """An upload of `owner`'s."""
        item = self._records.get(uploads_of(owner), upload_id) if is_id(upload_id) else None
        if item is None or item["expires_at"] <= self._clock():
            raise NotFoundError(f"There is no upload {shown(upload_id)}, or no longer.")
        return record_of(Upload, item)

    def add_part(self, upload: Upload, body: bytes) -> str:
        """Add a part to an upload. Returns the part's id. Raises ConflictError if nothing may be added.

        InvalidRequestError if there are too many parts, or they have far more bytes than the file is to have: a part
        that was sent twice is no harm.
        """
        _require_pending(upload)
        if not self._count_part(upload, len(body)):
            _require_pending(self.find(upload.owner, upload.id))
            raise InvalidRequestError(
                f"data: an upload has {MOST_PARTS} parts at most, and those of this one {upload.size} bytes together: "
                "send parts of up to 4 MB.",
                param="data",
            )
        part_id = new_id("part_", self._now_ms())
        self._objects.put(part_key(upload.owner, upload.id, part_id), body)
        values = {"size": len(body), "expires_at": upload.expires_at + UPLOAD_LIFETIME_S}
        self._records.put(uploads_of(upload.owner), f"{upload.id}#{part_id}", values)
        return part_id

    def part_sizes(self, upload: Upload) -> dict[str, int]:
        """How many bytes each part has that was added, by id."""
        prefix = f"{upload.id}#"
        items = self._records.query(uploads_of(upload.owner), prefix=prefix)
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
            return self._files.find(upload.owner, upload.file_id)  # the answer to the same request got lost
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
        with self._files.writing(new, file_id) as writer:
            for piece in self._parts(keys) if part_ids else self._objects.pieces(upload.key):
                digest.update(piece)
                writer.write(piece)
            if md5 is not None and md5.lower() != digest.hexdigest():
                raise InvalidRequestError("md5: is not that of the parts in this order.", param="md5")
        self._end(upload, COMPLETED, file_id)
        return self._files.find(upload.owner, file_id)

    def cancel(self, upload: Upload) -> None:
        """Let nothing be made of an upload. Raises ConflictError if something was."""
        _require_pending(upload)
        self._end(upload, CANCELLED, None)

    def _count_part(self, upload: Upload, size: int) -> bool:
        """Count a part that is to be added; False if nothing, or no such part, may be added."""
        most = 2 * upload.size - size
        update = Update()
        update.add("parts", 1)
        update.add("received", size)
        update.require("status", "=", PENDING)
        update.require_absent_or("parts", "<", MOST_PARTS)
        update.require_absent_or("received", "<=", most)
        try:
            self._records.update(uploads_of(upload.owner), upload.id, update)
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
        update.require("status", "=", PENDING)
        try:
            self._records.update(uploads_of(upload.owner), upload.id, update)
        except ConditionFailedError:
            if self.find(upload.owner, upload.id).status != status:
                raise ConflictError("The upload was completed or cancelled meanwhile.") from None

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _require_pending(upload: Upload) -> None:
    if upload.status != PENDING:
        raise ConflictError(f"The upload is {upload.status}: nothing can be done with it.")
