"""Splitting of a batch: its file is checked line by line, and if nothing is wrong its lines are queued.

Until the last line is checked nothing is queued. A splitter that dies is run again, and what it wrote is the same.
"""

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sluice.batches.asking import LineApi
from sluice.batches.batch import CHUNK_LINES, MOST_LINES, Batch, Fault
from sluice.batches.line import MOST_LINE_BYTES, RawLine, raw_lines, read_line
from sluice.batches.lines import Chunk, LineStore
from sluice.errors import NotFoundError, SluiceError
from sluice.files.file import Purpose, StoredFile
from sluice.files.store import FileStore, NewFile
from sluice.tenants.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterator

# How many faults a batch itself shows; its errors file has all of them, up to the second figure.
_MOST_SHOWN = 20
_MOST_WRITTEN = 1_000
_CHUNKS_AT_ONCE = 25
_MOST_CHUNK_BYTES = CHUNK_LINES * MOST_LINE_BYTES
_OURS = 500


class Splitting:
    """Checks the lines of one batch. `faults` and `total` are what was found so far."""

    def __init__(self, batch: Batch, api: LineApi, lines: LineStore) -> None:
        self.faults: list[Fault] = []
        self.total = 0
        self.chunks = 0
        self.estimated_nanousd = 0
        self._batch = batch
        self._api = api
        self._lines = lines
        self._seen: dict[bytes, int] = {}

    def run(self, pieces: "Iterator[bytes]", principal: Principal) -> None:
        """Check all lines, and write down where they are. Raises StorageUnavailableError."""
        chunks: list[Chunk] = []
        current: list[RawLine] = []
        for raw in raw_lines(pieces):
            self.total += 1
            if self.total > MOST_LINES:
                self.faults.append(
                    Fault(raw.number, "too_many_lines", f"A batch has {MOST_LINES} lines at most: make several of it.")
                )
                return
            self._check(raw, principal)
            if len(self.faults) >= _MOST_WRITTEN:
                return
            if current and raw.end - current[0].start > _MOST_CHUNK_BYTES:
                # Blank lines in between are read with those beside them.
                chunks.append(self._chunk(current, self.total - 1))
                current = []
            current.append(raw)
            if len(current) == CHUNK_LINES:
                chunks.append(self._chunk(current, self.total))
                current = []
            if len(chunks) == _CHUNKS_AT_ONCE:
                self._lines.add_chunks(self._batch, chunks)
                chunks = []
        if current:
            chunks.append(self._chunk(current, self.total))
        self._lines.add_chunks(self._batch, chunks)
        if not self.total:
            self.faults.append(Fault(0, "empty_file", "The file has no lines: give it one request in each."))

    def _check(self, raw: RawLine, principal: Principal) -> None:
        try:
            line = read_line(raw, self._batch.endpoint)
            digest = hashlib.blake2b(line.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if (first := self._seen.setdefault(digest, raw.number)) != raw.number:
                message = f"custom_id: is that of line {first} as well; give each line one of its own."
                self.faults.append(Fault(raw.number, "duplicate_custom_id", message, "custom_id"))
                return
            self.estimated_nanousd += self._api.check(line, principal)
        except SluiceError as error:
            if error.status >= _OURS:
                raise
            self.faults.append(Fault(raw.number, error.code or error.type, error.message, error.param))

    def _chunk(self, lines: list[RawLine], last: int) -> Chunk:
        """A chunk of these lines, of which the last is the batch's `last`."""
        chunk = Chunk(self.chunks, last - len(lines) + 1, len(lines), lines[0].start, lines[-1].end)
        self.chunks += 1
        return chunk


def shown_faults(faults: list[Fault]) -> list[dict[str, object]]:
    """What a batch itself keeps of its faults."""
    return [asdict(fault) for fault in faults[:_MOST_SHOWN]]


def write_faults(files: FileStore, batch: Batch, faults: list[Fault]) -> str:
    """Write the errors file of a batch that is refused. Returns its id."""
    file_id = batch.id.replace("batch_", "file-e")
    new = NewFile(
        owner=batch.owner,
        filename=f"{batch.id}_errors.jsonl",
        purpose=Purpose.BATCH_OUTPUT,
        expires_after_s=batch.output_kept_s,
    )
    with files.writing(new, file_id) as writer:
        for fault in faults:
            error = {"code": fault.code, "message": fault.message, "line": fault.line, "param": fault.param}
            writer.write(json.dumps({"line": fault.line, "error": error}, separators=(",", ":")).encode() + b"\n")
    return file_id


def input_of(files: FileStore, batch: Batch) -> StoredFile | None:
    """The file of a batch, None if it is gone."""
    try:
        return files.find(batch.owner, batch.input_file)
    except NotFoundError:
        return None
