"""Work on what was received: read it -> put together what is known of its documents -> write those into their store.

Each step may be done twice, and by two at a time: a document's version is that of its content, which never goes back,
so that whoever has an older one writes nothing.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluice.errors import InvalidRequestError, NotFoundError, SluiceError
from sluice.ingestion import github, github_commits, jira
from sluice.ingestion.change import Change, IgnoredError, NotUnderstoodError, Reading
from sluice.ingestion.content import Content
from sluice.ingestion.contents import Contents
from sluice.ingestion.journal import Journal, Problem, ProblemKind
from sluice.ingestion.messages import Event, Forget, IngestMessage, by_size
from sluice.ingestion.source import Source, SourceType
from sluice.ingestion.source_store import SourceStore
from sluice.knowledge.document import Document
from sluice.knowledge.writer import DocumentWriter, NewDocument
from sluice.loading.dataclass import dataclass
from sluice.quota.leftover import leaving_free
from sluice.storage.queues import Queue
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.principal import Principal

if TYPE_CHECKING:
    from sluice.storage.objects import ObjectStore

COMMITS_AT_ONCE = 25
"""How many commits of a push one message is about."""
_MOST_OBJECT_BYTES = 32 * 1024 * 1024
_MOST_ATTRIBUTE_CHARACTERS = 512
_READ = {SourceType.GITHUB: github.read, SourceType.JIRA: jira.read}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What events are worked on with. `objects` is asked for when a body is in the bucket.

    `kept_free_percent` of every limit is left to callers who wait.
    """

    sources: SourceStore
    contents: Contents
    journal: Journal
    queue: Queue
    objects: "Callable[[], ObjectStore]"
    principal_of: Callable[[Source], Principal]
    writer: DocumentWriter
    kept_free_percent: int


class IngestWorker:
    """Works on messages. Threads may share it. `clock` gives seconds since 1970."""

    def __init__(self, parts: WorkerParts, clock: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._clock = clock

    def work(self, message: IngestMessage, *, is_last_try: bool) -> None:
        """Do what a message says. What it raises has it come again, unless this is the last try."""
        match message:
            case Forget():
                if not any(each.vector_store_id == message.store for each in self._parts.sources.all(message.tenant)):
                    self._parts.contents.forget(message.tenant, message.store)
            case Event():
                source = self._parts.sources.find(message.source)
                if source is not None:
                    self._work_on(source, message, is_last_try=is_last_try)

    def _work_on(self, source: Source, message: Event, *, is_last_try: bool) -> None:
        if not is_last_try:
            self._take(source, message)
            return
        # Written before and taken back after: whoever dies of it says nothing.
        failed = _problem(message, ProblemKind.DEAD_LETTERED, "whoever worked on it died")
        self._parts.journal.note(source, failed)
        try:
            self._take(source, message)
        except Exception as error:
            reason = error.message if isinstance(error, SluiceError) else type(error).__name__
            with best_effort("noting a dead letter"):
                self._parts.journal.note(source, replace(failed, reason=reason))
                # So that it is taken when it is sent once more.
                self._parts.journal.forget(source.id, message.delivery)
            raise
        self._parts.journal.clear(source, failed)

    def _take(self, source: Source, message: Event) -> None:
        principal = self._parts.principal_of(source)
        try:
            reading = self._read(source, message)
        except NotUnderstoodError as error:
            self._note(source, message, ProblemKind.NOT_UNDERSTOOD, [str(error)])
            return
        except IgnoredError as error:
            self._count(source, [f"ignored.{error}"])
            return
        if reading is None:
            return
        self._note(source, message, ProblemKind.NOT_UNDERSTOOD, reading.problems)
        self._note(
            source,
            message,
            ProblemKind.TRIMMED,
            [f"{each.document_id}: {', '.join(each.trimmed)}" for each in reading.changes if each.trimmed],
        )
        # Nobody waits for it.
        with leaving_free(self._parts.kept_free_percent):
            ends, refusals = self._write(source, principal, reading.changes)
        self._note(source, message, ProblemKind.REFUSED, refusals)
        self._count(source, ends)

    def _read(self, source: Source, message: Event) -> Reading | None:
        """What an event says; None if it was cut into several, which are in the queue."""
        payload = self._payload(message)
        if message.event == "push" and source.type is SourceType.GITHUB and self._is_cut(source, message, payload):
            return None
        return _READ[source.type](message.event, payload, message.received_ms, source.options)

    def _payload(self, message: Event) -> Mapping[str, Any]:
        text = message.body
        if message.object:
            text = self._body(message.object)
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError):
            raise NotUnderstoodError("no JSON, or of too many levels") from None
        if not isinstance(payload, dict):
            raise NotUnderstoodError("no JSON object")
        return payload

    def _body(self, key: str) -> str:
        from sluice.storage.objects import ObjectMissingError  # which few messages take

        try:
            return self._parts.objects().read(key, 0, _MOST_OBJECT_BYTES).decode()
        except ObjectMissingError:
            raise NotUnderstoodError("its body is not there any more") from None

    def _is_cut(self, source: Source, message: Event, payload: Mapping[str, Any]) -> bool:
        """Whether a push has so many commits that they were cut into messages of their own."""
        commits, repository = payload.get("commits"), payload.get("repository")
        if not isinstance(commits, list) or len(commits) <= COMMITS_AT_ONCE:
            return False
        if len(commits) > github_commits.MOST_COMMITS:
            left_out = len(commits) - github_commits.MOST_COMMITS
            self._note(source, message, ProblemKind.TRIMMED, [f"the oldest {left_out} of {len(commits)} commits"])
        name = repository.get("full_name") if isinstance(repository, dict) else repository
        shortened = [github_commits.shortened(each) for each in commits[-github_commits.MOST_COMMITS :]]
        for some in by_size(shortened, COMMITS_AT_ONCE):
            told = {"repository": {"full_name": name}, "commits": some}
            part = message.model_copy(update={"body": json.dumps(told), "object": ""})
            self._parts.queue.send(part.model_dump(mode="json"), group=source.tenant)
        return True

    def _write(self, source: Source, principal: Principal, changes: Iterable[Change]) -> tuple[list[str], list[str]]:
        """Write documents as they are after changes. Returns what became of them, and why some were refused.

        A store that refuses one will be no other when the message comes again.
        """
        ends, refusals, new = list[str](), list[str](), list[NewDocument]()
        try:
            for change in changes:
                try:
                    found = self._changed(source, principal, change)
                except InvalidRequestError as error:
                    refusals.append(f"{change.document_id}: {error.message}")
                    continue
                if isinstance(found, Document):
                    new.append(NewDocument(found))
                else:
                    ends.append(found)
            written = self._parts.writer.write_all(principal, source.vector_store_id, new)
            ends += [str(each.outcome) for each in written]
        except (InvalidRequestError, NotFoundError) as error:
            refusals.append(error.message)
            if isinstance(error, NotFoundError):
                # Of a store that was deleted nothing is kept here.
                self._parts.contents.forget(source.tenant, source.vector_store_id)
        return ends, refusals

    def _changed(self, source: Source, principal: Principal, change: Change) -> Document | str:
        """A document as it is after a change; what became of it if there is nothing to write."""
        content = self._content(source, change)
        version = content.version
        if change.is_immutable and content.base is not None:
            version = content.base.at
        if content.is_deleted:
            self._parts.writer.delete(principal, source.vector_store_id, change.document_id, version)
            return "deleted"
        if content.base is None:
            return "waiting"  # a comment on what is not known yet
        document = _document(source, change.document_id, content, version)
        document.check()
        return document

    def _content(self, source: Source, change: Change) -> Content:
        if change.is_immutable:
            return Content(kind=change.kind, base=change.base)
        return self._parts.contents.apply(source.tenant, source.vector_store_id, change)

    def _note(self, source: Source, message: Event, kind: ProblemKind, reasons: list[str] | tuple[str, ...]) -> None:
        if reasons:
            more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            self._parts.journal.note(source, _problem(message, kind, f"{reasons[0]}{more}"))
            self._count(source, [str(kind)] * len(reasons))

    def _count(self, source: Source, names: list[str]) -> None:
        if names:
            with best_effort("counting documents"):
                self._parts.journal.count(source, names)


def _problem(message: Event, kind: ProblemKind, reason: str) -> Problem:
    return Problem(
        kind=kind,
        at_ms=message.received_ms,
        event=message.event,
        delivery=message.delivery,
        name=message.name,
        reason=reason,
    )


def _document(source: Source, document_id: str, content: Content, version: str) -> Document:
    base = content.base
    if base is None:
        raise ValueError("a document has no text yet")
    attributes = {
        name: value[:_MOST_ATTRIBUTE_CHARACTERS] if isinstance(value, str) else value
        for name, value in base.attributes.items()
    }
    return Document(
        id=document_id,
        kind=content.kind,
        text=content.text(),
        version=version,
        title=base.title,
        url=base.url,
        attributes={**attributes, "source_id": source.id},
    )
