"""Takes files into stores: read, cut, embedded, and told how it went."""

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

from sluice.errors import InvalidRequestError, NotFoundError
from sluice.files.store import FileStore
from sluice.knowledge.attached_files import AttachedFile, AttachedFiles
from sluice.knowledge.document import Document, Outcome, Written
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.extracting import MOST_BYTES, text_of
from sluice.knowledge.extraction import Fault
from sluice.knowledge.messages import ProcessFile
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import FileStatus, VectorStore
from sluice.knowledge.writer import DocumentWriter
from sluice.storage.objects import ObjectMissingError
from sluice.tenants.principal import Principal

_JSONL = ".jsonl"
_FIRST_PAUSE_S = 30
_LONGEST_PAUSE_S = 900
_MOST_FAILURES = 12
MOST_LINES = 5_000
"""How many lines a file of JSONL may have: each is a document of its own."""
# Lines that are written at once.
_LINES_AT_ONCE = 8
_GONE = Fault("invalid_file", "The file was deleted before it was read.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorParts:
    """What it takes."""

    stores: Stores
    files: AttachedFiles
    documents: DocumentStore
    writer: DocumentWriter
    work: OpenWork
    uploaded: Callable[[], FileStore]


class FileProcessor:
    """Takes files into stores, and out of them. Threads may share it."""

    def __init__(self, parts: ProcessorParts) -> None:
        self._stores = parts.stores
        self._files = parts.files
        self._documents = parts.documents
        self._writer = parts.writer
        self._work = parts.work
        self._uploaded = parts.uploaded

    def attach(self, principal: Principal, store: VectorStore, file: AttachedFile) -> AttachedFile:
        """Have a file taken in; returns what there is of it. The same again, while it is, changes nothing."""
        message = ProcessFile.of(principal, store.id, file=file.id, attempt=file.attempt)
        entry = self._work.begin(message.model_dump(mode="json"))
        attached = self._files.attach(store, file)
        if attached.attempt != file.attempt:
            self._work.done(entry)
            return attached
        known = message.model_copy(update={"open": (entry.collection, entry.entry)})
        self._work.send(known.model_dump(mode="json"))
        return attached

    def detach(self, principal: Principal, store: VectorStore, file_id: str) -> None:
        """Take a file out of a store. Raises NotFoundError."""
        while True:
            file = self._files.find(store, file_id)
            version = self._files.new(file_id, file.owner, file.filename).attempt
            # First what is found, then the record: who dies between the two is asked again.
            self._delete(principal, store, file, max(version, file.attempt))
            if self._files.remove(store, file):
                return

    def process(self, principal: Principal, message: ProcessFile) -> None:
        """Take in the file of a message, if that is still wanted."""
        store = self._stores.find(principal.tenant.id, message.store)
        file = self._wanted(store, message)
        if file is None:
            return
        began = file
        while file is not None:
            try:
                written = self._write(principal, store, file)
            except Fault as fault:
                ended = {"status": FileStatus.FAILED, "error_code": fault.code, "error_message": fault.message}
                self._files.end(store, file, **ended)
                file = self._wanted(store, message)
                continue
            if written.outcome is Outcome.KEPT_WITHOUT_VECTORS:
                self._try_later(store, file, message, written)
                return
            if written.outcome is not Outcome.OLDER:
                done = {"status": FileStatus.COMPLETED, "usage_bytes": written.bytes}
                self._files.end(store, file, **done)
            before, file = file, self._wanted(store, message)
            if written.outcome is Outcome.OLDER and before == file:
                return  # it is being taken out by who is about to remove its record
        after = self._files.known(store, message.file)
        if after is None or after.status is FileStatus.CANCELLED:
            # Cancelled or removed while it was written.
            self._delete(principal, store, began, message.attempt)

    def _delete(self, principal: Principal, store: VectorStore, file: AttachedFile, version: str) -> None:
        """Delete what came of a file, as of a version."""
        if not file.filename.lower().endswith(_JSONL):
            self._writer.delete(principal, store.id, file.id, version)
            return
        for document in self._documents.all(store):
            if document.source == file.id and not document.is_deleted:
                self._writer.delete(principal, store.id, document.id, version)

    def _wanted(self, store: VectorStore, message: ProcessFile) -> AttachedFile | None:
        file = self._files.known(store, message.file)
        if file is None or file.attempt != message.attempt or file.status is not FileStatus.IN_PROGRESS:
            return None
        return file

    def _write(self, principal: Principal, store: VectorStore, file: AttachedFile) -> Written:
        """Write a file's text as a document. Raises Fault for a file that can't be read."""
        content = self._content(file)
        try:
            if file.filename.lower().endswith(_JSONL):
                return self._write_lines(principal, store, file, content)
            text = text_of(file.filename, content)
            return self._writer.write(principal, store.id, _document(file, text), file.chunking)
        except InvalidRequestError as error:
            raise Fault("invalid_file", error.message) from error

    def _write_lines(self, principal: Principal, store: VectorStore, file: AttachedFile, content: bytes) -> Written:
        """Write each line as a document of its own: its text, and its vector if it brings one."""
        # All are checked before the first is written.
        documents = [_line_document(file, number, line, store) for number, line in _lines(content)]
        if not documents:
            raise Fault("invalid_file", "The file has no lines.")

        def write(line: tuple[Document, list[float] | None]) -> Written:
            document, vector = line
            vectors = [] if vector is None else [vector]
            return self._writer.write(principal, store.id, document, file.chunking, vectors)

        with ThreadPoolExecutor(_LINES_AT_ONCE, thread_name_prefix="lines") as threads:
            # Each in a context of its own, which says what is left to callers who wait.
            running = [threads.submit(copy_context().run, write, each) for each in documents]
            written = [each.result() for each in running]
        taken = sum(each.bytes for each in written)
        lacking = next((each for each in written if each.outcome is Outcome.KEPT_WITHOUT_VECTORS), None)
        if lacking is not None:
            return replace(lacking, bytes=taken)
        return Written(outcome=Outcome.WRITTEN, chunks=sum(each.chunks for each in written), bytes=taken)

    def _content(self, file: AttachedFile) -> bytes:
        uploaded = self._uploaded()
        try:
            stored = uploaded.find(file.owner, file.id)
            if stored.size > MOST_BYTES:
                raise Fault("invalid_file", f"The file has {stored.size} bytes; at most {MOST_BYTES} are read.")
            return b"".join(uploaded.pieces(stored))
        except (NotFoundError, ObjectMissingError):
            raise _GONE from None

    def _try_later(self, store: VectorStore, file: AttachedFile, message: ProcessFile, written: Written) -> None:
        """Look again later whether the file's texts have their vectors; give up on what is refused for what it says."""
        if not written.may_pass or message.failures >= _MOST_FAILURES:
            ended = {"status": FileStatus.FAILED, "error_code": "server_error", "error_message": written.reason}
            self._files.end(store, file, **ended)
            return
        pause_s = min(_LONGEST_PAUSE_S, written.retry_after_s or _FIRST_PAUSE_S * 2**message.failures)
        again = message.model_copy(update={"failures": message.failures + 1, "open": None})
        entry = self._work.begin(again.model_dump(mode="json"))
        known = again.model_copy(update={"open": (entry.collection, entry.entry)})
        self._work.send(known.model_dump(mode="json"), delay_s=pause_s)


def _document(file: AttachedFile, text: str) -> Document:
    return Document(
        id=file.id, kind="file", text=text, version=file.attempt, title=file.filename, attributes=file.attributes
    )


def _lines(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a JSONL file, and their numbers. Raises Fault."""
    for number, raw in enumerate(content.splitlines(), start=1):
        if not raw.strip():
            continue
        if number > MOST_LINES:
            raise Fault("invalid_file", f"The file has more than {MOST_LINES} lines: split it.")
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            raise Fault("invalid_file", f"Line {number} is no JSON.") from None
        if not isinstance(line, dict):
            raise Fault("invalid_file", f"Line {number} should be an object with id, text, vector and attributes.")
        yield number, line


def _line_document(
    file: AttachedFile, number: int, line: dict[str, Any], store: VectorStore
) -> tuple[Document, list[float] | None]:
    unknown = line.keys() - {"id", "text", "vector", "attributes", "title", "url"}
    text, own = line.get("text"), line.get("attributes") or {}
    if unknown or not isinstance(text, str) or not text.strip() or not isinstance(line.get("id"), str):
        raise Fault(
            "invalid_file",
            f"Line {number} should have id and text, both texts, and may have vector, attributes, title and url.",
        )
    title, url = line.get("title") or file.filename, line.get("url") or ""
    is_plain = isinstance(own, dict) and all(isinstance(each, str | float | int) for each in own.values())
    if not is_plain or not isinstance(title, str) or not isinstance(url, str):
        raise Fault("invalid_file", f"Line {number}: attributes are texts, numbers and booleans; title and url texts.")
    vector = line.get("vector")
    document = Document(
        id=line["id"],
        kind="imported",
        text=text,
        version=file.attempt,
        title=title,
        url=url,
        attributes={**file.attributes, **own},
        source=file.id,
    )
    return document, None if vector is None else _vector(vector, number, store)


def _vector(vector: Any, number: int, store: VectorStore) -> list[float]:
    wanted = store.active.dimensions
    if not isinstance(vector, list) or len(vector) != wanted:
        had = len(vector) if isinstance(vector, list) else "no list of"
        raise Fault(
            "invalid_file",
            f"Line {number}: vector has {had} numbers; those of this store, by {store.active.model}, have {wanted}.",
        )
    is_right = all(isinstance(each, int | float) and not isinstance(each, bool) for each in vector)
    if not is_right or not math.isfinite(sum(vector)) or not any(vector):
        raise Fault("invalid_file", f"Line {number}: vector should be finite numbers, not all of them 0.")
    return [float(each) for each in vector]
