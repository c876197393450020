"""Takes files into stores: read, cut, embedded, and told how it went."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import batched, compress

from sluice.errors import InvalidRequestError, NotFoundError
from sluice.files.store import FileStore
from sluice.knowledge.attached_files import AttachedFile, AttachedFiles
from sluice.knowledge.document import Document, Outcome, Written
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.extracting import MOST_BYTES, text_of
from sluice.knowledge.extraction import FileError
from sluice.knowledge.lines import lines_of
from sluice.knowledge.messages import ProcessFile
from sluice.knowledge.open_work import OpenWork
from sluice.knowledge.stores import Stores
from sluice.knowledge.vector_store import FileStatus, Generation, VectorStore
from sluice.knowledge.writer import DocumentWriter, NewDocument
from sluice.loading.dataclass import dataclass
from sluice.storage.objects import ObjectMissingError
from sluice.tenants.principal import Principal

_JSONL = ".jsonl"
# Lines whose texts are embedded together.
_LINES_AT_ONCE = 500
_FIRST_PAUSE_S = 30
_LONGEST_PAUSE_S = 900
_MOST_FAILURES = 12
# In a day there is room in any limit but a month's.
_LONGEST_WAIT_S = 26 * 3_600
_GONE = FileError("invalid_file", "The file was deleted before it was read.")


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

    def attach(self, principal: Principal, store: VectorStore, files: Sequence[AttachedFile]) -> list[AttachedFile]:
        """Have files taken in, each of them named once; returns what there is of them.

        The same again, while it is, changes nothing.
        """
        messages = [
            ProcessFile.of(principal, store.id, file=each.id, attempt=each.attempt).model_dump(mode="json")
            for each in files
        ]
        entries = self._work.begin_all(messages)
        attached = self._files.attach_all(store, files)
        is_new = [there.attempt == file.attempt for there, file in zip(attached, files, strict=True)]
        for entry in (each for each, new in zip(entries, is_new, strict=True) if not new):
            self._work.done(entry)
        self._work.send_begun(list(compress(messages, is_new)), list(compress(entries, is_new)))
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
            except FileError as fault:
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
        """Write a file's text as a document. Raises FileError for a file that can't be read."""
        content = self._content(file)
        try:
            if file.filename.lower().endswith(_JSONL):
                return self._write_lines(principal, store, file, content)
            text = text_of(file.filename, content)
            document = NewDocument(_document(file, text))
            [written] = self._writer.write_all(principal, store.id, [document], file.chunking, comes_again=True)
        except InvalidRequestError as error:
            raise FileError("invalid_file", error.message) from error
        return written

    def _write_lines(self, principal: Principal, store: VectorStore, file: AttachedFile, content: bytes) -> Written:
        """Write each line as a document of its own: its text, and its vector if it brings one."""
        # All are checked before the first is written.
        documents = lines_of(file, content, _vectors_are_of(store, file))
        written: list[Written] = []
        for some in batched(documents, _LINES_AT_ONCE, strict=False):
            written += self._writer.write_all(principal, store.id, some, file.chunking, comes_again=True)
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
                raise FileError("invalid_file", f"The file has {stored.size} bytes; at most {MOST_BYTES} are read.")
            return b"".join(uploaded.pieces(stored))
        except (NotFoundError, ObjectMissingError):
            raise _GONE from None

    def _try_later(self, store: VectorStore, file: AttachedFile, message: ProcessFile, written: Written) -> None:
        """Look again later whether the file's texts have their vectors; give up on what is refused for what it says.

        Where it is known when there is quota again, it is waited for: a large file takes many times a small limit.
        """
        has_waited = message.failures >= _MOST_FAILURES or message.waited_s >= _LONGEST_WAIT_S
        if not written.may_pass or has_waited:
            ended = {"status": FileStatus.FAILED, "error_code": "server_error", "error_message": written.reason}
            self._files.end(store, file, **ended)
            return
        counted: dict[str, int]
        if written.retry_after_s is None:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**message.failures)
            counted = {"failures": message.failures + 1}
        else:
            pause_s = min(_LONGEST_PAUSE_S, max(1, written.retry_after_s))
            counted = {"waited_s": message.waited_s + pause_s}
        again = message.model_copy(update={**counted, "open": None})
        entry = self._work.begin(again.model_dump(mode="json"))
        known = again.model_copy(update={"open": (entry.collection, entry.entry)})
        self._work.send(known.model_dump(mode="json"), delay_s=pause_s)


def _vectors_are_of(store: VectorStore, file: AttachedFile) -> Generation | None:
    """The generation that vectors in a file are for; None if the store has left it since the file was attached."""
    number = file.generation or store.active.number
    return next((each for each in store.generations if each.number == number), None)


def _document(file: AttachedFile, text: str) -> Document:
    return Document(
        id=file.id, kind="file", text=text, version=file.attempt, title=file.filename, attributes=file.attributes
    )
