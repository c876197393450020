"""Closing of a batch: what its lines were answered goes into files, and the batch ends.

The sums are closed first, after which no line ends any more. Whoever closes a batch again writes the same files.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
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
from sluice.storage.objects import ObjectMissingError

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
        is_cancelled = batch.status is Status.CANCELLING
        status = (
            Status.CANCELLED
            if is_cancelled
            else Status.EXPIRED
            if is_late and progress.ended < batch.total
            else Status.COMPLETED
        )
        output = self._write("output", self._output()) if progress.completed else None
        has_errors = progress.completed < batch.total
        errors = self._write("error", self._errors(status)) if has_errors else None
        values = {"progress": asdict(progress)}
        files = {"output_file": output, "error_file": errors}
        named = {name: file_id for name, file_id in files.items() if file_id is not None}
        self._batches.move(batch, [batch.status], status, values | named)

    def _write(self, kind: str, lines: Iterator[JsonObject]) -> str:
        batch = self._batch
        file_id = batch.id.replace("batch_", f"file-{kind[0]}")
        new = NewFile(
            owner=batch.owner,
            filename=f"{batch.id}_{kind}.jsonl",
            purpose=Purpose.BATCH_OUTPUT,
            expires_after_s=batch.output_kept_s,
        )
        with self._files.writing(new, file_id) as writer:
            for line in lines:
                writer.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        return file_id

    def _output(self) -> Iterator[JsonObject]:
        for _, custom_id, ended in self._merged():
            if ended is not None and ended.status < _ERROR:
                yield self._entry(ended.number, custom_id, ended)

    def _errors(self, status: Status) -> Iterator[JsonObject]:
        for number, custom_id, ended in self._merged():
            if ended is None:
                code, message = _UNENDED[status]
                yield self._entry(number, custom_id, None) | {"error": {"code": code, "message": message}}
            elif ended.status >= _ERROR:
                yield self._entry(number, custom_id, ended)

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
