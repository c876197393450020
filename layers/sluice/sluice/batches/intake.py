"""Intake of batches: they are written down, and queued to be checked."""

import re
import time
from collections.abc import Callable
from dataclasses import field

from sluice.batches.batch import WINDOW_S, Batch, Priority, Status
from sluice.batches.messages import Close, Split, Watch
from sluice.batches.store import BatchStore
from sluice.errors import ConflictError, InvalidRequestError, QuotaExceededError
from sluice.files.file import Purpose, new_id, owner_of
from sluice.files.store import FileStore
from sluice.loading.dataclass import dataclass
from sluice.storage.queues import LONGEST_DELAY_S, Queue

ENDPOINTS = re.compile(r"/v1/chat/completions|/v1/responses|/v1/embeddings|/v1/tasks/[a-z0-9_]+")
"""What batches may have lines for."""

MOST_OPEN = 50
"""How many batches of one API key may be under way."""

# Lines that are being asked may still end: most answers take no longer.
_GRACE_S = 5
# As long as an idempotency key holds.
_MADE_ONCE_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch as it is asked for. Of one `made_once_as` there is one within a day, however often it is asked for."""

    tenant: str
    caller: str
    input_file: str
    endpoint: str
    metadata: dict[str, str] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    output_kept_s: int | None = None
    is_login: bool = False
    user: str | None = None
    made_once_as: str | None = None


class BatchIntake:
    """Takes batches in, and cancels them. Threads may share it."""

    def __init__(
        self,
        batches: BatchStore,
        files: FileStore,
        queue: Queue,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._batches = batches
        self._files = files
        self._queue = queue
        self._clock = clock

    def create(self, new: NewBatch) -> Batch:
        """Take in a batch. Raises InvalidRequestError, NotFoundError for its file, StorageUnavailableError."""
        if not ENDPOINTS.fullmatch(new.endpoint):
            raise InvalidRequestError(
                "endpoint: should be /v1/chat/completions, /v1/responses, /v1/embeddings, or /v1/tasks/ and a task.",
                param="endpoint",
            )
        # Before its file is looked for, which may be gone by then.
        batch = self._made_before(new) or self._written(new, self._input_file(new))
        # First, so that whatever is lost of what follows, somebody looks after it.
        self._queue.send(Watch.of(batch).model_dump(), group=batch.tenant, delay_s=LONGEST_DELAY_S)
        self._queue.send(Split.of(batch).model_dump(), group=batch.tenant)
        return batch

    def _input_file(self, new: NewBatch) -> str:
        file = self._files.find(owner_of(new.tenant, new.caller), new.input_file)
        if file.purpose != Purpose.BATCH:
            raise InvalidRequestError(
                f"input_file_id: the file's purpose is {file.purpose}; upload it with purpose batch.",
                param="input_file_id",
            )
        return file.id

    def _made_before(self, new: NewBatch) -> Batch | None:
        """The batch that a request made which then died or failed. What it may not have sent is sent again."""
        if new.made_once_as is None:
            return None
        since = int(self._clock()) - _MADE_ONCE_S
        return self._batches.made_once_as(owner_of(new.tenant, new.caller), new.made_once_as, since)

    def _written(self, new: NewBatch, input_file: str) -> Batch:
        now = self._clock()
        batch = Batch(
            id=new_id("batch_", int(now * 1000)),
            tenant=new.tenant,
            caller=new.caller,
            endpoint=new.endpoint,
            input_file=input_file,
            created_at=int(now),
            ends_by=int(now) + WINDOW_S,
            priority=new.priority,
            metadata=new.metadata,
            output_kept_s=new.output_kept_s,
            is_login=new.is_login,
            user=new.user,
            made_once_as=new.made_once_as,
        )
        if self._batches.open_count(owner_of(new.tenant, new.caller)) >= MOST_OPEN:
            raise QuotaExceededError(
                f"The API key has {MOST_OPEN} batches under way: wait for one to end, or cancel one.",
                retry_after_s=None,
            )
        self._batches.create(batch)
        return batch

    def cancel(self, owner: str, batch_id: str) -> Batch:
        """Have no more lines of a batch asked. Raises NotFoundError, ConflictError, StorageUnavailableError."""
        batch = self._batches.find(owner, batch_id)
        if batch.status is not Status.CANCELLING:
            if not self._batches.move(batch, [Status.VALIDATING, Status.IN_PROGRESS], Status.CANCELLING):
                now = self._batches.find(owner, batch_id)
                raise ConflictError(f"The batch is {now.status}: there is nothing left to cancel.")
            batch = self._batches.find(owner, batch_id)
        self._queue.send(Close.of(batch).model_dump(), group=batch.tenant, delay_s=_GRACE_S)
        return batch
