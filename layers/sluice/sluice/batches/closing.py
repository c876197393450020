"""Closing of a batch: what its lines were answered goes into files, and the batch ends.

The sums are closed first, after which no line ends any more. Whoever closes a batch again writes the same files.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict

from sluice.batches.batch import Batch, Status
from sluice.batches.line import RawLine, raw_lines, read_line
from sluice.batches.lines import EndedLine, LineStore
from sluice.batches.splitting import input_of
from sluice.batches.store import BatchStore
from sluice.chat import JsonObject
from sluice.errors import InvalidRequestError
from sluice.files.file import Purpose
from sluice.files.store import FileStore, NewFile
from sluice.storage.objects import ObjectMissingError, ObjectWriter

_ERROR = 400
_UNENDED = {
    Status.EXPIRED: ("batch_expired", "This line was not answered before the batch's time was over."),
    Status.CANCELLED: ("batch_cancelled", "This line was not answered before the batch was cancelled."),
    Status.COMPLETED: ("not_answered", "This line was not answered."),
}


class Closing:
    """Closes one batch."""

    def __init__(self, batch: Batch, batches: BatchStore, lines: LineStore, files: FileStore) -> None:
        self._batch = batch
        self._batches = batches
        self._lines = lines
        self._files = files

    def run(self, *, is_late: bool) -> None:
        """Write the files, then end the batch. Raises StorageUnavailableError, after which it is to be closed again."""
        batch = self._batch
        progress = self._batches.stop_counting(batch)
        if batch.status is Status.CANCELLING:
            status = Status.CANCELLED
        else:
            status = Status.EXPIRED if is_late and progress.ended < batch.total else Status.COMPLETED
        has_errors = progress.completed < batch.total
        files = {"output_file": self._file_id("output")} if progress.completed else {}
        files |= {"error_file": self._file_id("error")} if has_errors else {}
        if files:
            self._write(files, status)
        self._batches.move(batch, [batch.status], status, {"progress": asdict(progress)} | files)

    def _file_id(self, kind: str) -> str:
        return self._batch.id.replace("batch_", f"file-{kind[0]}")

    def _write(self, files: Mapping[str, str], status: Status) -> None:
        """Write those files that there are to be, in one pass over the lines."""
        with ExitStack() as open_files:
            writers = {kind: open_files.enter_context(self._writing(kind, name)) for kind, name in files.items()}
            for number, custom_id, ended in self._merged():
                entry = self._entry(number, custom_id, ended)
                if ended is None:
                    code, message = _UNENDED[status]
                    entry["error"] = {"code": code, "message": message}
                kind = "output_file" if ended is not None and ended.status < _ERROR else "error_file"
                writers[kind].write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def _writing(self, kind: str, file_id: str) -> AbstractContextManager[ObjectWriter]:
        batch = self._batch
        new = NewFile(
            owner=batch.owner,
            filename=f"{batch.id}_{kind.removesuffix('_file')}.jsonl",
            purpose=Purpose.BATCH_OUTPUT,
            expires_after_s=batch.output_kept_s,
        )
        return self._files.writing(new, file_id)

    def _entry(self, number: int, custom_id: str, ended: EndedLine | None) -> JsonObject:
        response = {"status_code": ended.status, "request_id": ended.request_id, "body": ended.body} if ended else None
        return {
            "id": self._batch.id.replace("batch_", f"batch_req_{number:06d}_"),
            "custom_id": custom_id,
            "response": response,
            "error": None,
        }

    def _merged(self) -> Iterator[tuple[int, str, EndedLine | None]]:
        """All lines in order: the number, the custom id, and the answer if there is one.

        If the file was deleted, only those that have one are known.
        """
        ended = self._lines.ended(self._batch)
        following = next(ended, None)
        for number, raw in enumerate(self._raw_lines(), 1):
            if following is not None and following.number == number:
                yield number, following.custom_id, following
                following = next(ended, None)
            else:
                yield number, self._custom_id(raw), None
        while following is not None:
            yield following.number, following.custom_id, following
            following = next(ended, None)

    def _raw_lines(self) -> Iterator[RawLine]:
        file = input_of(self._files, self._batch)
        if file is None:
            return
        # Without its object, what was answered is written all the same.
        with suppress(ObjectMissingError):
            yield from raw_lines(self._files.pieces(file))

    def _custom_id(self, raw: RawLine) -> str:
        try:
            return read_line(raw, self._batch.endpoint).custom_id
        except InvalidRequestError:
            return ""
