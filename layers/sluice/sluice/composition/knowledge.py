"""Vector stores, and what comes into them from Jira and GitHub."""

from functools import partial
from typing import TYPE_CHECKING

from sluice.composition.batches import BatchParts
from sluice.composition.part import part

if TYPE_CHECKING:
    from sluice.ingestion.coverage import CoverageReader
    from sluice.ingestion.journal import Journal
    from sluice.ingestion.receiving import Receiver
    from sluice.ingestion.source_store import SourceStore
    from sluice.ingestion.working import IngestWorker
    from sluice.knowledge.attached_files import AttachedFiles
    from sluice.knowledge.checking import StoreChecker
    from sluice.knowledge.cleaning import StoreCleaner
    from sluice.knowledge.creating import StoreMaker
    from sluice.knowledge.documents import DocumentStore
    from sluice.knowledge.embedder import Embedder
    from sluice.knowledge.index import VectorIndex
    from sluice.knowledge.open_work import OpenWork
    from sluice.knowledge.processing import FileProcessor
    from sluice.knowledge.rebuilding import Rebuilder
    from sluice.knowledge.search import Searcher
    from sluice.knowledge.stores import Stores
    from sluice.knowledge.table import StoresTable
    from sluice.knowledge.worker import StoreWorker
    from sluice.knowledge.writer import DocumentWriter
    from sluice.storage.queues import Queue


class KnowledgeParts(BatchParts):
    """What keeps documents, finds them, and takes them in."""

    @part
    def stores_table(self) -> "StoresTable":
        """The table of stores."""
        from sluice.knowledge.table import StoresTable

        return StoresTable(self.settings.stores_table, self.dynamodb)

    @part
    def stores(self) -> "Stores":
        """Vector stores."""
        from sluice.knowledge.stores import Stores

        return Stores(self.stores_table)

    @part
    def store_documents(self) -> "DocumentStore":
        """What is in stores."""
        from sluice.knowledge.documents import DocumentStore

        return DocumentStore(self.stores_table)

    @part
    def vector_index(self) -> "VectorIndex":
        """What finds vectors."""
        from sluice.knowledge.index import DynamoDBVectorIndex

        return DynamoDBVectorIndex(self.settings.vectors_table, self.dynamodb)

    @part
    def store_work(self) -> "OpenWork":
        """What is to be done in stores."""
        from sluice.knowledge.open_work import OpenWork
        from sluice.storage.queues import Queue

        return OpenWork(self.stores_table, Queue(self.sqs, self.settings.stores_queue))

    @part
    def store_embedder(self) -> "Embedder":
        """Makes vectors for stores."""
        from sluice.knowledge.embedder import Embedder

        return Embedder(self.embedding_gateway, self.settings.request_timeout_s)

    @part
    def document_writer(self) -> "DocumentWriter":
        """Writes documents into stores."""
        from sluice.knowledge.writer import DocumentWriter, WriterParts

        return DocumentWriter(
            WriterParts(
                stores=self.stores,
                documents=self.store_documents,
                index=self.vector_index,
                embedder=self.store_embedder,
                work=self.store_work,
            )
        )

    @part
    def searcher(self) -> "Searcher":
        """Searches stores."""
        from sluice.knowledge.search import Searcher

        return Searcher(self.stores, self.store_documents, self.vector_index, self.store_embedder)

    @part
    def store_maker(self) -> "StoreMaker":
        """Makes stores."""
        from sluice.knowledge.creating import StoreMaker
        from sluice.tenants.preference_types import EmbeddingPreferences, resolved

        def preferred(tenant: str) -> EmbeddingPreferences:
            chosen = self.preferences.get(tenant, "embedding_config").values
            own = EmbeddingPreferences.model_validate(resolved("embedding_config", chosen))
            return own.model_copy(update={"model": own.model or self.settings.embedding_model or None})

        return StoreMaker(self.stores, self.registry_of, preferred, self.store_work)

    @part
    def attached_files(self) -> "AttachedFiles":
        """Files of stores."""
        from sluice.knowledge.attached_files import AttachedFiles

        return AttachedFiles(self.stores_table, self.stores)

    @part
    def file_processor(self) -> "FileProcessor":
        """Takes files into stores."""
        from sluice.knowledge.processing import FileProcessor, ProcessorParts

        return FileProcessor(
            ProcessorParts(
                stores=self.stores,
                files=self.attached_files,
                documents=self.store_documents,
                writer=self.document_writer,
                work=self.store_work,
                uploaded=lambda: self.files,
            )
        )

    @part
    def rebuilder(self) -> "Rebuilder":
        """Changes stores' models."""
        from sluice.knowledge.rebuilding import Rebuilder, RebuilderParts

        return Rebuilder(
            RebuilderParts(
                stores=self.stores,
                documents=self.store_documents,
                index=self.vector_index,
                writer=self.document_writer,
                maker=self.store_maker,
                work=self.store_work,
            )
        )

    @part
    def store_cleaner(self) -> "StoreCleaner":
        """Deletes stores."""
        from sluice.knowledge.cleaning import StoreCleaner

        return StoreCleaner(self.stores_table, self.stores, self.vector_index, self.store_work)

    @part
    def store_checker(self) -> "StoreChecker":
        """Looks at stores every day."""
        from sluice.knowledge.checking import CheckerParts, StoreChecker

        return StoreChecker(
            CheckerParts(
                stores=self.stores,
                documents=self.store_documents,
                index=self.vector_index,
                cleaner=self.store_cleaner,
                work=self.store_work,
            )
        )

    @part
    def store_worker(self) -> "StoreWorker":
        """Works on stores."""
        from sluice.knowledge.worker import StoreWorker, WorkerParts

        return StoreWorker(
            WorkerParts(
                writer=self.document_writer,
                processor=self.file_processor,
                rebuilder=self.rebuilder,
                cleaner=self.store_cleaner,
                checker=self.store_checker,
                work=self.store_work,
                find=self.batch_senders.find,
                kept_free_percent=self.settings.interactive_share_percent,
            )
        )

    @part
    def ingest_sources(self) -> "SourceStore":
        """Where events of Jira and GitHub come from."""
        from sluice.ingestion.source_store import SourceStore

        root = partial(self.secrets.read, self.settings.webhook_secret)
        return SourceStore(self.settings.directory_table, self.dynamodb, self.audit_log, root)

    @part
    def ingest_journal(self) -> "Journal":
        """What came in, and what became of it."""
        from sluice.ingestion.journal import Journal

        return Journal(self.settings.ingestion_table, self.dynamodb)

    @part
    def ingest_queue(self) -> "Queue":
        """Where events are sent."""
        from sluice.storage.queues import Queue

        return Queue(self.sqs, self.settings.ingest_queue)

    @part
    def ingest_receiver(self) -> "Receiver":
        """Receives events."""
        from sluice.ingestion.receiving import Receiver

        return Receiver(self.ingest_sources, self.ingest_journal, self.ingest_queue, lambda: self.objects)

    @part
    def ingest_worker(self) -> "IngestWorker":
        """Makes documents of events."""
        from sluice.ingestion.contents import Contents
        from sluice.ingestion.working import IngestWorker, WorkerParts

        return IngestWorker(
            WorkerParts(
                sources=self.ingest_sources,
                contents=Contents(self.settings.ingestion_table, self.dynamodb),
                journal=self.ingest_journal,
                queue=self.ingest_queue,
                objects=lambda: self.objects,
                principal_of=self.batch_senders.find,
                writer=self.document_writer,
                kept_free_percent=self.settings.interactive_share_percent,
            )
        )

    @part
    def ingest_coverage(self) -> "CoverageReader":
        """What came in, for operators."""
        from sluice.ingestion.coverage import CoverageReader

        return CoverageReader(self.stores, self.store_documents, self.ingest_journal)
