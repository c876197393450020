"""Jobs of batches: split what was created, watch what is under way, close what has ended."""

import time
from collections.abc import Callable
from typing import assert_never

from aws_lambda_powertools import Logger

from sluice.batches.asking import FindPrincipal, LineApi
from sluice.batches.batch import Batch, Fault, Status
from sluice.batches.closing import Closing
from sluice.batches.messages import Close, Job, Split, Watch
from sluice.batches.splitting import Splitting, input_of, shown_faults, write_faults
from sluice.batches.worker import BatchStores
from sluice.errors import AuthenticationError
from sluice.storage.objects import ObjectMissingError
from sluice.storage.queues import LONGEST_DELAY_S

logger = Logger(child=True)


class Jobs:
    """Does the jobs of all batches. Threads may share it. Every job may be done twice, by two at once, or half.

    All methods raise StorageUnavailableError, after which the job is to be done again.
    """

    def __init__(
        self, stores: BatchStores, api: LineApi, find: FindPrincipal, clock: Callable[[], float] = time.time
    ) -> None:
        self._stores = stores
        self._api = api
        self._find = find
        self._clock = clock

    def do(self, job: Job) -> None:
        """Do one job."""
        batch = self._stores.batches.read(f"{job.tenant}#{job.caller}", job.batch)
        if batch is None or batch.status.is_final:
            # Who ended it may have died before its work was gone, which would take the place of others'.
            self._stores.work.remove(job.tenant, job.batch)
            self._stores.work.feed(job.tenant)
            return
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
        stores = self._stores
        if batch.status is Status.VALIDATING:
            splitting = Splitting(batch, self._api, stores.lines)
            file = input_of(stores.files, batch)
            try:
                if file is None:
                    splitting.faults.append(Fault(0, "input_file_deleted", "The file was deleted: upload it again."))
                else:
                    splitting.run(stores.files.pieces(file), self._find(batch))
            except ObjectMissingError:
                splitting.faults.append(Fault(0, "input_file_deleted", "The file was deleted: upload it again."))
            except AuthenticationError as error:
                splitting.faults.append(Fault(0, error.code or error.type, error.message))
            if splitting.faults:
                faulty = {"faults": shown_faults(splitting.faults), "total": splitting.total}
                written = write_faults(stores.files, batch, splitting.faults)
                stores.batches.move(batch, [Status.VALIDATING], Status.FAILED, faulty | {"error_file": written})
                return
            # The work is there before the batch is in progress: whoever finds it so, finds its work.
            stores.work.add(batch, splitting.chunks)
            counted = {"total": splitting.total, "estimated_nanousd": splitting.estimated_nanousd}
            if not stores.batches.move(batch, [Status.VALIDATING], Status.IN_PROGRESS, counted):
                # Cancelled meanwhile, and perhaps closed already.
                stores.work.remove(batch.tenant, batch.id)
        elif batch.status is not Status.IN_PROGRESS:
            return
        stores.work.feed(batch.tenant)

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
