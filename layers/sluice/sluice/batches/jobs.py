"""Jobs of batches: split what was created, watch what is under way, close what has ended."""

import time
from collections.abc import Callable
from typing import assert_never

from sluice.batches.asking import FindPrincipal, LineApi
from sluice.batches.batch import Batch, Fault, Status
from sluice.batches.closing import Closing
from sluice.batches.messages import Close, Job, Split, Watch
from sluice.batches.splitting import Splitting, input_of, shown_faults, write_faults
from sluice.batches.worker import BatchStores
from sluice.errors import AuthenticationError
from sluice.storage.objects import ObjectMissingError
from sluice.storage.queues import LONGEST_DELAY_S
from sluice.webhooks.announcing import Announcer
from sluice.webhooks.endpoint import Event, EventType

_DELETED = Fault(0, "input_file_deleted", "The file was deleted: upload it again.")
_EVENTS = {
    Status.COMPLETED: EventType.BATCH_COMPLETED,
    Status.FAILED: EventType.BATCH_FAILED,
    Status.EXPIRED: EventType.BATCH_EXPIRED,
    Status.CANCELLED: EventType.BATCH_CANCELLED,
}


class Jobs:
    """Does the jobs of all batches. Threads may share it. Every job may be done twice, by two at once, or half.

    All methods raise StorageUnavailableError, after which the job is to be done again.
    """

    def __init__(
        self,
        stores: BatchStores,
        api: LineApi,
        find: FindPrincipal,
        announcer: Announcer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._api = api
        self._find = find
        self._announcer = announcer
        self._clock = clock

    def do(self, job: Job) -> None:
        """Do one job."""
        batch = self._stores.batches.read(f"{job.tenant}#{job.caller}", job.batch)
        if batch is None or batch.status.is_final:
            # Who ended it may have died before its work was gone, which would take the place of others'.
            self._stores.work.remove(job.tenant, job.batch)
            self._stores.work.feed(job.tenant)
        else:
            self._go_on(job, batch)
            batch = self._stores.batches.read(batch.owner, batch.id)
        if batch is not None and batch.status.is_final and not batch.is_announced:
            self._announce(batch)

    def _announce(self, batch: Batch) -> None:
        """Tell of a batch's end. Who dies before it is noted is followed by who tells it again, under the same id."""
        event = Event(
            id=batch.id.replace("batch_", "evt_"),
            type=_EVENTS[batch.status],
            created_at=batch.reached[batch.status],
            subject=batch.id,
        )
        self._announcer.announce(batch.tenant, event)
        self._stores.batches.note_announced(batch)

    def _go_on(self, job: Job, batch: Batch) -> None:
        match job:
            case Split():
                self._split(batch)
            case Watch():
                self._watch(batch)
            case Close():
                self._close(batch)
            case _:
                assert_never(job)

    def _split(self, batch: Batch) -> None:
        if batch.status is Status.VALIDATING:
            splitting = self._checked(batch)
            if splitting.faults:
                self._refuse(batch, splitting)
                return
            self._begin(batch, splitting)
        self._stores.work.feed(batch.tenant)

    def _checked(self, batch: Batch) -> Splitting:
        """What was found in the batch's file."""
        splitting, file = Splitting(batch, self._api, self._stores.lines), input_of(self._stores.files, batch)
        if file is None:
            splitting.faults.append(_DELETED)
            return splitting
        try:
            splitting.run(self._stores.files.pieces(file), self._find(batch))
        except ObjectMissingError:
            splitting.faults.append(_DELETED)
        except AuthenticationError as error:
            splitting.faults.append(Fault(0, error.code or error.type, error.message))
        return splitting

    def _refuse(self, batch: Batch, splitting: Splitting) -> None:
        written = write_faults(self._stores.files, batch, splitting.faults)
        values = {"faults": shown_faults(splitting.faults), "total": splitting.total, "error_file": written}
        self._stores.batches.move(batch, [Status.VALIDATING], Status.FAILED, values)

    def _begin(self, batch: Batch, splitting: Splitting) -> None:
        """Have the lines of a batch asked that was checked."""
        batches, work = self._stores.batches, self._stores.work
        # The work is there before the batch is in progress: whoever finds it so, finds its work.
        work.add(batch, splitting.chunks)
        counted = {"total": splitting.total, "estimated_nanousd": splitting.estimated_nanousd}
        if batches.move(batch, [Status.VALIDATING], Status.IN_PROGRESS, counted):
            return
        now = batches.read(batch.owner, batch.id)
        if now is None or now.status is not Status.IN_PROGRESS:
            # Not another splitter's doing: it was cancelled meanwhile, and perhaps closed already.
            work.remove(batch.tenant, batch.id)

    def _watch(self, batch: Batch) -> None:
        if batch.status is Status.VALIDATING:
            if self._clock() >= batch.ends_by:
                self._stores.batches.move(batch, [Status.VALIDATING], Status.EXPIRED)
                return
            # Who was to split it may have died, or never have been told.
            self._send(Split.of(batch), batch)
            self._send(Watch.of(batch), batch, delay_s=self._next_look_s(batch))
            return
        if batch.status in {Status.CANCELLING, Status.FINALIZING} or self._clock() >= batch.ends_by:
            self._close(batch)
            return
        for opened in self._stores.work.feed(batch.tenant):
            if opened.batch == batch.id and opened.is_done:
                self._close(batch)
                return
        self._send(Watch.of(batch), batch, delay_s=self._next_look_s(batch))

    def _close(self, batch: Batch) -> None:
        stores = self._stores
        if batch.status is Status.VALIDATING:
            return
        is_late = self._clock() >= batch.ends_by
        if batch.status is Status.IN_PROGRESS:
            if not stores.batches.move(batch, [Status.IN_PROGRESS], Status.FINALIZING):
                return  # whoever was first goes on
            batch = stores.batches.read(batch.owner, batch.id) or batch
        Closing(batch, stores.batches, stores.lines, stores.files).run(is_late=is_late)
        stores.work.remove(batch.tenant, batch.id)
        stores.work.feed(batch.tenant)

    def _next_look_s(self, batch: Batch) -> int:
        return max(1, min(LONGEST_DELAY_S, int(batch.ends_by - self._clock()) + 1))

    def _send(self, job: Split | Watch | Close, batch: Batch, *, delay_s: int = 0) -> None:
        self._stores.job_queue.send(job.model_dump(), group=batch.tenant, delay_s=delay_s)
