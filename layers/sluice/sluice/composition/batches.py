"""Files, batches, and the webhooks that tell of their end."""

from functools import partial
from typing import TYPE_CHECKING

from sluice.composition.part import part
from sluice.composition.tasks import TaskParts

if TYPE_CHECKING:
    from sluice.batches.intake import BatchIntake
    from sluice.batches.sender import SenderLookup
    from sluice.batches.store import BatchStore
    from sluice.batches.worker import BatchStores
    from sluice.files.records import Records
    from sluice.files.store import FileStore
    from sluice.files.uploads import UploadStore
    from sluice.storage.queues import Queue
    from sluice.webhooks.announcing import Announcer
    from sluice.webhooks.delivery import Deliverer
    from sluice.webhooks.store import EndpointStore


class BatchParts(TaskParts):
    """What takes files and batches, works them off and tells of their end."""

    @part
    def files(self) -> "FileStore":
        """Files of callers."""
        from sluice.files.store import FileStore

        return FileStore(self.file_records, self.objects, self.settings.file_gigabytes_per_key)

    @part
    def file_records(self) -> "Records":
        """What is known of files and uploads."""
        from sluice.files.records import Records

        return Records(self.settings.batches_table, self.dynamodb)

    @part
    def uploads(self) -> "UploadStore":
        """Files of callers that come in parts."""
        from sluice.files.uploads import UploadStore

        return UploadStore(self.files, self.file_records, self.objects)

    @part
    def batches(self) -> "BatchStore":
        """Batches, and how far they are."""
        from sluice.batches.store import BatchStore

        return BatchStore(self.settings.batches_table, self.dynamodb)

    @part
    def batch_senders(self) -> "SenderLookup":
        """Whose batches are."""
        from sluice.batches.sender import SenderLookup

        return SenderLookup(self.verifier, self.directory, takes_logins=self.settings.jwt is not None)

    @part
    def batch_jobs_queue(self) -> "Queue":
        """Where jobs of batches are sent."""
        from sluice.storage.queues import Queue

        return Queue(self.sqs, self.settings.batch_jobs_queue)

    @part
    def batch_intake(self) -> "BatchIntake":
        """Takes batches in."""
        from sluice.batches.intake import BatchIntake

        return BatchIntake(self.batches, self.files, self.batch_jobs_queue)

    @part
    def batch_stores(self) -> "BatchStores":
        """What answers batches works with."""
        from sluice.batches.lines import LineStore
        from sluice.batches.work import WorkStore
        from sluice.batches.worker import BatchStores
        from sluice.storage.queues import Queue

        table, lines = self.settings.batches_table, Queue(self.sqs, self.settings.batch_lines_queue)
        return BatchStores(
            batches=self.batches,
            lines=LineStore(table, self.objects, self.dynamodb),
            files=self.files,
            work=WorkStore(table, self.dynamodb, lines),
            line_queue=lines,
            job_queue=self.batch_jobs_queue,
        )

    @part
    def webhook_endpoints(self) -> "EndpointStore":
        """Where tenants have events sent."""
        from sluice.webhooks.store import EndpointStore

        root = partial(self.secrets.read, self.settings.webhook_secret)
        return EndpointStore(self.settings.directory_table, self.dynamodb, self.audit_log, root)

    @part
    def webhooks_queue(self) -> "Queue":
        """Where deliveries of events are sent."""
        from sluice.storage.queues import Queue

        return Queue(self.sqs, self.settings.webhooks_queue)

    @part
    def webhook_announcer(self) -> "Announcer":
        """Has events delivered."""
        from sluice.webhooks.announcing import Announcer

        return Announcer(self.webhook_endpoints, self.webhooks_queue)

    @part
    def webhook_deliverer(self) -> "Deliverer":
        """Delivers events."""
        from sluice.webhooks.delivery import Deliverer

        return Deliverer(self.webhook_endpoints, self.directory, self.webhooks_queue, self.addresses)
