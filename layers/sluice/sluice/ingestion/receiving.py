"""Receiving of deliveries: who signed it, was it here before, is it of any document; then it is queued.

What is not signed leaves no trace. What is signed is answered at once: the work is the queue's.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sluice.errors import AuthenticationError, PayloadTooLargeError
from sluice.ingestion import github_events, jira_events
from sluice.ingestion.journal import Journal, Problem, ProblemKind
from sluice.ingestion.messages import MOST_MESSAGE_BYTES, Event
from sluice.ingestion.secret import UnsealedError
from sluice.ingestion.signature import is_signed
from sluice.ingestion.source import Source, SourceType
from sluice.ingestion.source_store import SourceStore
from sluice.loading.dataclass import dataclass
from sluice.storage.queues import Queue
from sluice.telemetry.best_effort import best_effort
from sluice.telemetry.metrics import emit_metric

if TYPE_CHECKING:
    from sluice.storage.objects import ObjectStore

MOST_BODY_BYTES = 26_214_400
"""What GitHub sends at most, 25 MB. API Gateway and Lambda take less: see docs/ingestion.md."""
OLDEST_S = 86_400
"""How old a delivery may be that says when it was sent: Jira tries again for hours."""
YOUNGEST_S = -600
"""How far ahead of ours the clock of its sender may be."""
_MOST_NAME_CHARACTERS = 100
_FORM = "application/x-www-form-urlencoded"
# The same for a source that there is not: who guesses at ids learns nothing.
_UNSIGNED = "This delivery is not signed with the secret of this source."


class ReceivedStatus(StrEnum):
    """What becomes of a delivery."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Received:
    """What becomes of a delivery; `reason` says why it is ignored."""

    status: ReceivedStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it came; names of headers are in lower case."""

    headers: Mapping[str, str]
    body: bytes


class UnsignedError(AuthenticationError):
    """A delivery is not signed by its source."""

    code = "invalid_signature"


class Receiver:
    """Receives deliveries. Threads may share it. `clock` gives seconds since 1970.

    `objects` is where bodies go that are too large for the queue.
    """

    def __init__(
        self,
        sources: SourceStore,
        journal: Journal,
        queue: Queue,
        objects: "Callable[[], ObjectStore]",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._journal = journal
        self._queue = queue
        self._objects = objects
        self._clock = clock

    def receive(self, source_type: SourceType, source_id: str, delivery: Delivery) -> Received:
        """Take a delivery. Raises UnsignedError, PayloadTooLargeError, StorageUnavailableError."""
        source = self._signed_by(source_type, source_id, delivery)
        if not source.is_enabled:
            return self._ignored(source, "disabled", "the source is disabled")
        received_ms = int(self._clock() * 1000)
        name, digest = _name(source, delivery.headers), _digest(source, delivery)
        text = _json_of(delivery)
        told = _told(text) if source.type is SourceType.JIRA else {}
        event = _event(source, delivery.headers, told)
        problem = Problem(
            kind=ProblemKind.NOT_UNDERSTOOD, at_ms=received_ms, event=event, delivery=digest, name=name, reason=""
        )
        if text is None or told is None or not event:
            return self._not_taken(source, problem, "no JSON of an event")
        is_known_event = jira_events.is_known if source.type is SourceType.JIRA else github_events.is_known
        if not is_known_event(event):
            return self._ignored(source, f"ignored.{event}", "the event is of no document")
        if _is_stale(told, self._clock()):
            return self._not_taken(source, problem, "sent too long ago, or in the future", ProblemKind.STALE)
        # What the backfill asks for again is wanted again.
        is_backfill = event.startswith("backfill:")
        if not is_backfill and self._journal.is_known(source, digest):
            self._count(source, "duplicates")
            return Received(ReceivedStatus.DUPLICATE)
        message = Event(source=source.id, event=event, received_ms=received_ms, delivery=digest, name=name, body=text)
        self._send(source, message, text)
        # After it is queued, and not before: who died between the two would have lost it, since it is not sent again.
        # What comes twice at one moment is queued twice, and ends as if it had come once.
        if not is_backfill:
            self._journal.remember(source, digest)
        self._count(source, "received")
        return Received(ReceivedStatus.QUEUED)

    def _signed_by(self, source_type: SourceType, source_id: str, delivery: Delivery) -> Source:
        """The source that has signed a delivery."""
        name = "x-hub-signature-256" if source_type is SourceType.GITHUB else "x-hub-signature"
        signature = delivery.headers.get(name, "")
        source = self._sources.find(source_id) if signature else None
        if source is None or source.type is not source_type:
            emit_metric("IngestRefused")
            raise UnsignedError(_UNSIGNED)
        if len(delivery.body) > MOST_BODY_BYTES:
            raise PayloadTooLargeError(f"A delivery has at most {MOST_BODY_BYTES:,} bytes.")
        try:
            is_good = is_signed(signature, delivery.body, self._sources.secrets(source, self._clock()))
        except UnsealedError:
            is_good = False
        if not is_good:
            emit_metric("IngestRefused")
            raise UnsignedError(_UNSIGNED)
        return source

    def _send(self, source: Source, message: Event, text: str) -> None:
        fields = message.model_dump(mode="json")
        if len(json.dumps(fields, separators=(",", ":"))) > MOST_MESSAGE_BYTES:
            key = f"ingest/{source.id}/{message.delivery}"
            self._objects().put(key, text.encode(), "application/json")
            fields |= {"body": "", "object": key}
        self._queue.send(fields, group=source.tenant)

    def _not_taken(
        self, source: Source, problem: Problem, reason: str, kind: ProblemKind = ProblemKind.NOT_UNDERSTOOD
    ) -> Received:
        noted = Problem(
            kind=kind,
            at_ms=problem.at_ms,
            event=problem.event,
            delivery=problem.delivery,
            name=problem.name,
            reason=reason,
        )
        self._journal.note(source, noted)
        return self._ignored(source, str(kind), reason)

    def _ignored(self, source: Source, counted: str, reason: str) -> Received:
        self._count(source, counted)
        return Received(ReceivedStatus.IGNORED, reason)

    def _count(self, source: Source, name: str) -> None:
        with best_effort("counting a delivery"):
            self._journal.count(source, [name], is_event=True)


def _event(source: Source, headers: Mapping[str, str], told: Mapping[str, Any] | None) -> str:
    named = headers.get("x-github-event", "") if source.type is SourceType.GITHUB else (told or {}).get("webhookEvent")
    if not isinstance(named, str):
        return ""
    return "".join(each for each in named if each.isascii() and (each.isalnum() or each in ":_-"))[:60]


def _name(source: Source, headers: Mapping[str, str]) -> str:
    """What the sender calls a delivery, which its retries share."""
    header = "x-github-delivery" if source.type is SourceType.GITHUB else "x-atlassian-webhook-identifier"
    name = headers.get(header, "")
    return name if len(name) <= _MOST_NAME_CHARACTERS and name.isascii() and name.isprintable() else ""


def _digest(source: Source, delivery: Delivery) -> str:
    """What tells a delivery from all others: what was signed, of which event GitHub says it is, and where it goes.

    Its id is in a header, which is not signed: who has caught a delivery could send it on under another one.
    """
    event = delivery.headers.get("x-github-event", "") if source.type is SourceType.GITHUB else ""
    place = f"{source.vector_store_id}\n{event}\n"
    return hashlib.sha256(place.encode("utf-8", "replace") + delivery.body).hexdigest()


def _json_of(delivery: Delivery) -> str | None:
    """The JSON of a delivery, which GitHub puts into a form if it is not told otherwise; None if it is no text."""
    try:
        text = delivery.body.decode("utf-8-sig")
        if _FORM in delivery.headers.get("content-type", "").lower():
            return next((value for name, value in parse_qsl(text, max_num_fields=10) if name == "payload"), None)
    except ValueError:
        return None
    return text


def _told(text: str | None) -> Mapping[str, Any] | None:
    """A JSON object, None if it is none."""
    try:
        told = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _is_stale(told: Mapping[str, Any], now_s: float) -> bool:
    """Whether an event says that it is from another time. GitHub's say nothing of that."""
    at_ms = told.get("timestamp")
    if isinstance(at_ms, bool) or not isinstance(at_ms, int | float):
        return False
    return not (now_s - OLDEST_S) * 1000 <= at_ms <= (now_s - YOUNGEST_S) * 1000
