"""The worker: asks the lines of a chunk that have not ended, with the quota that others leave.

A message of the queue names a chunk. What becomes of it does not depend on how often it arrives, nor on who dies:

- Each line is claimed before it is asked, and its answer is kept together with the sums, see `lines`.
- What there is no quota for goes back: the claim is given up, and the same message is sent anew, to arrive when the
  ledger expects some. Waiting is no failure, and brings no message nearer to the queue's dead letters.
- Each message that is done with makes room for another of the same tenant, see `work`.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import field
from threading import Lock

from aws_lambda_powertools import Logger

from sluice.batches.asking import FindPrincipal, LineAnswer, LineApi
from sluice.batches.batch import CHUNK_LINES, Batch, Status
from sluice.batches.line import BatchLine, raw_lines, read_line
from sluice.batches.lines import Chunk, Claim, LineStore
from sluice.batches.messages import Close, Lines
from sluice.batches.splitting import input_of
from sluice.batches.store import BatchStore
from sluice.batches.work import WorkStore
from sluice.errors import AuthenticationError, InvalidRequestError, NotFoundError, SluiceError
from sluice.files.store import FileStore
from sluice.loading.dataclass import dataclass
from sluice.storage.objects import ObjectMissingError
from sluice.storage.queues import LONGEST_DELAY_S, Queue
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.principal import Principal

# Kept from asking, to write down what was answered.
_RESERVE_S = 5.0
# Less than this is not worth asking a line in.
_SHORTEST_ASK_S = 5.0
# How often a question is asked in vain before the error is the line's answer, and how long it waits in between.
_MOST_FAILURES = 4
_FIRST_PAUSE_S = 5.0

logger = Logger(child=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStores:
    """Where batches are kept and queued."""

    batches: BatchStore
    lines: LineStore
    files: FileStore
    work: WorkStore
    line_queue: Queue
    job_queue: Queue


@dataclass(slots=True)
class _Round:
    """The lines of a chunk, asked at once: whose they are, or what they are answered if they are nobody's any more.

    `wait_s` is when those that have to wait are to be asked again; threads bring it forward.
    """

    batch: Batch
    principal: Principal | LineAnswer
    ends_at_s: float
    wait_s: float | None = None
    is_refused: bool = False
    _lock: Lock = field(default_factory=Lock)

    def wait(self, seconds: float, *, refused: bool = False) -> None:
        """A line is to be asked in `seconds`. `refused`: so would be the others, for there is no quota."""
        with self._lock:
            self.wait_s = seconds if self.wait_s is None else min(self.wait_s, seconds)
            self.is_refused = self.is_refused or refused


class LineWorker:
    """Asks lines. Threads may share it."""

    def __init__(
        self, stores: BatchStores, api: LineApi, find: FindPrincipal, clock: Callable[[], float] = time.time
    ) -> None:
        self._stores = stores
        self._api = api
        self._find = find
        self._clock = clock
        self._threads = ThreadPoolExecutor(CHUNK_LINES, thread_name_prefix="lines")

    def work(self, message: Lines, ends_at_s: float = math.inf, *, is_last_try: bool = False) -> None:
        """Do what a message says, before a moment of the monotonic clock. Raises StorageUnavailableError.

        `is_last_try`: if this fails, the message goes to the dead letters.
        """
        stores = self._stores
        batch = stores.batches.read(f"{message.tenant}#{message.caller}", message.batch)
        if batch is None or batch.status.is_final:
            # It may have left work behind, which would take the place of others'.
            stores.job_queue.send(
                Close(tenant=message.tenant, caller=message.caller, batch=message.batch).model_dump(),
                group=message.tenant,
            )
            return
        if batch.status is not Status.IN_PROGRESS:
            return
        if self._clock() >= batch.ends_by:
            self._close(batch)
            return
        if is_last_try:
            # Noted before it is tried, as who dies of it notes nothing; the place is for another's lines at once.
            stores.work.strand(message)
            stores.work.feed(message.tenant)
        chunk = stores.lines.chunk(batch.id, message.chunk)
        if chunk is not None:
            wait_s = self._ask_chunk(batch, chunk, ends_at_s)
            if wait_s is not None:
                delay_s = min(math.ceil(wait_s), LONGEST_DELAY_S)
                stores.line_queue.send(message.model_dump(), group=message.tenant, delay_s=delay_s)
                return
            stores.work.finish(message)
        for opened in stores.work.feed(message.tenant):
            if opened.is_done and opened.batch == batch.id:
                self._close(batch)

    def _close(self, batch: Batch) -> None:
        self._stores.job_queue.send(Close.of(batch).model_dump(), group=batch.tenant)

    def _ask_chunk(self, batch: Batch, chunk: Chunk, ends_at_s: float) -> float | None:
        """Ask the lines of a chunk that have not ended. Returns when to go on, in seconds; None if all have."""
        ended = self._stores.lines.ended_numbers(batch.id, chunk)
        open_lines = [number for number in range(chunk.first, chunk.first + chunk.count) if number not in ended]
        if not open_lines:
            return None
        asking = _Round(batch, self._principal(batch), ends_at_s)
        texts = dict(self._texts(batch, chunk))
        running = [self._threads.submit(self._end_line, asking, each, texts.get(each)) for each in open_lines]
        errors = [error for each in running if (error := each.exception()) is not None]
        if errors:
            raise errors[0]
        return asking.wait_s

    def _texts(self, batch: Batch, chunk: Chunk) -> Iterator[tuple[int, BatchLine]]:
        file = input_of(self._stores.files, batch)
        if file is None:
            return
        try:
            text = self._stores.files.read(file, chunk.start, chunk.end)
        except ObjectMissingError:
            return
        for number, raw in enumerate(raw_lines([text]), chunk.first):
            # Checked when the batch was split: what can't be read now is not that file any more.
            with suppress(InvalidRequestError):
                yield number, read_line(raw, batch.endpoint)

    def _principal(self, batch: Batch) -> Principal | LineAnswer:
        """Whose batch it is, with the rights of now; or what its lines are answered if it is nobody's any more."""
        try:
            return self._find(batch)
        except AuthenticationError as error:
            return failure(error)

    def _end_line(self, asking: _Round, number: int, line: BatchLine | None) -> None:
        """Ask one line, and keep its answer; or say how long it has to wait."""
        if asking.is_refused:
            return  # whoever was refused has said how long
        remaining_s = asking.ends_at_s - time.monotonic() - _RESERVE_S
        if remaining_s < _SHORTEST_ASK_S:
            asking.wait(0)
            return
        if self._is_over(asking.batch):
            return
        hold_s = self._api.longest_s(remaining_s) + _RESERVE_S
        claim = self._stores.lines.claim(asking.batch, number, hold_s)
        if claim is None:
            # Ended meanwhile, or not due yet, or asked by another worker, which may die: this message looks again then.
            asking.wait(_FIRST_PAUSE_S)
        elif line is None:
            self._keep(asking, claim, "", _GONE)
        elif isinstance(asking.principal, LineAnswer):
            self._keep(asking, claim, line.custom_id, asking.principal)
        else:
            answer = self._api.ask(line, asking.principal, remaining_s)
            if not self._goes_back(asking, claim, answer):
                self._keep(asking, claim, line.custom_id, answer)

    def _goes_back(self, asking: _Round, claim: Claim, answer: LineAnswer) -> bool:
        """Whether the line is to be asked again later, and its claim was given up for that."""
        pause_s = _FIRST_PAUSE_S * 2**claim.failures if answer.retry_after_s is None else answer.retry_after_s
        if self._clock() + pause_s >= asking.batch.ends_by:
            return False  # it would not be asked in time
        if answer.retry_after_s is not None:
            self._stores.lines.release(asking.batch, claim)
            asking.wait(pause_s, refused=True)
            return True
        if answer.may_pass and claim.failures + 1 < _MOST_FAILURES:
            self._stores.lines.postpone(asking.batch, claim, pause_s)
            asking.wait(pause_s)
            return True
        return False

    def _keep(self, asking: _Round, claim: Claim, custom_id: str, answer: LineAnswer) -> None:
        if not self._stores.lines.end(asking.batch, claim, custom_id, answer):
            asking.wait(_FIRST_PAUSE_S)  # until it has ended, the chunk has not
            logger.warning("an answer of a batch was not kept", extra={"batch": asking.batch.id, "line": claim.line})
            emit_metric("BatchAnswerNotKept")

    def _is_over(self, batch: Batch) -> bool:
        now = self._stores.batches.read(batch.owner, batch.id)
        return now is None or now.status is not Status.IN_PROGRESS


def failure(error: SluiceError, request_id: str = "") -> LineAnswer:
    """An error as the answer of a line."""
    envelope = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return LineAnswer(status=error.status, request_id=request_id, body={"error": envelope})


_GONE = failure(NotFoundError("The batch's file was deleted before this line was asked.", code="input_file_deleted"))
