"""Composition root: one App puts the parts together that answer requests, each when it is first needed.

What is imported within a part is what not every function needs: none pays for what it does not use.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING, Self

from sluice.settings import Settings

if TYPE_CHECKING:
    from datetime import date

    from sluice.batches.intake import BatchIntake
    from sluice.batches.sender import SenderLookup
    from sluice.batches.store import BatchStore
    from sluice.batches.worker import BatchStores
    from sluice.cache.store import ResponseCache
    from sluice.cache.sums import CacheSums
    from sluice.conversations.oversight import Oversight
    from sluice.conversations.reader import ConversationReader
    from sluice.conversations.threads import ThreadStore
    from sluice.files.records import Records
    from sluice.files.store import FileStore
    from sluice.files.uploads import UploadStore
    from sluice.gateway.allowances import Allowances
    from sluice.gateway.background import RequestThreads
    from sluice.gateway.counting import CallerCounter
    from sluice.gateway.embeddings import EmbeddingGateway
    from sluice.gateway.pipeline import Gateway
    from sluice.idempotency.store import IdempotencyStore
    from sluice.ingestion.coverage import CoverageReader
    from sluice.ingestion.journal import Journal
    from sluice.ingestion.receiving import Receiver
    from sluice.ingestion.source_store import SourceStore
    from sluice.ingestion.working import IngestWorker
    from sluice.integrations.registries import TenantRegistries
    from sluice.integrations.store import IntegrationStore
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
    from sluice.operations.caches import Caches
    from sluice.operations.deployments import Overview
    from sluice.operations.gateway_keys import GatewayKeyReader
    from sluice.operations.interventions import Interventions
    from sluice.operations.summary import Summaries
    from sluice.operations.trial import Trials
    from sluice.operations.user_deletion import UserDeletion
    from sluice.providers.loader import RegistryLoader
    from sluice.providers.registry import Registry
    from sluice.quota.ledger import Ledger
    from sluice.reports.claims import Claims
    from sluice.reports.reporter import Reporter, ReportStores
    from sluice.request_log.export import SpanExporter
    from sluice.request_log.reader import RequestLogReader
    from sluice.request_log.store import RequestLog
    from sluice.routing.deployment_quota import DeploymentQuota
    from sluice.routing.router import Router
    from sluice.storage.addresses import Addresses
    from sluice.storage.client import DynamoDB
    from sluice.storage.objects import ObjectStore
    from sluice.storage.queues import Queue, Sqs
    from sluice.storage.secrets import SecretReader, SecretsManager
    from sluice.tasks.library import Library
    from sluice.tasks.question_bank.bank import QuestionBank
    from sluice.tasks.results import Results
    from sluice.tasks.running import Runner
    from sluice.tenants.administration import Administration
    from sluice.tenants.audit_log import AuditLog
    from sluice.tenants.configuration import Configuration
    from sluice.tenants.directory import Directory
    from sluice.tenants.login.verification import LoginVerifier
    from sluice.tenants.preferences import Preferences
    from sluice.tenants.principal import Principal
    from sluice.tenants.tenant import Tenant
    from sluice.tenants.verification import KeyVerifier
    from sluice.usage.records import UsageRecords
    from sluice.usage.report import UsageReader
    from sluice.webhooks.announcing import Announcer
    from sluice.webhooks.delivery import Deliverer
    from sluice.webhooks.store import EndpointStore

# One request sends at most four writes at a time; a process of the local stack serves many requests.
_THREADS = 32
# How many windows of long prompts guard models are asked about at a time.
_WINDOW_THREADS = 4
# The provider that needs no credential, and what it is called among them.
_BUILTIN = "builtin"
# How many batches of texts are asked for vectors at a time.
_BATCH_THREADS = 4


def part[Owner: App, Value](build: Callable[[Owner], Value]) -> cached_property[Value]:
    """A part of an App, built when it is first asked for, and once, however many threads ask."""

    def build_once(app: Owner) -> Value:
        with app.lock:
            parts = app.__dict__
            if build.__name__ not in parts:
                parts[build.__name__] = build(app)
            value: Value = parts[build.__name__]
            return value

    build_once.__doc__ = build.__doc__
    return cached_property(build_once)


@dataclass(frozen=True, eq=False)
class App:
    """Everything that a process answers requests with: settings, clients, stores and caches. Threads may share it."""

    settings: Settings
    lock: RLock = field(default_factory=RLock, init=False, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """An App for the tables and secrets that this function was given."""
        return cls(Settings.from_environment())

    @part
    def dynamodb(self) -> "DynamoDB":
        """The client that all stores speak through."""
        from sluice.storage.client import dynamodb

        return dynamodb()

    @part
    def secretsmanager(self) -> "SecretsManager":
        """The client that secrets are read through."""
        from sluice.storage.secrets import secretsmanager

        return secretsmanager()

    @part
    def secrets(self) -> "SecretReader":
        """Secrets, kept for a while."""
        from sluice.storage.secrets import SecretReader

        return SecretReader(self.secretsmanager.secret)

    @part
    def directory(self) -> "Directory":
        """Tenants and API keys."""
        from sluice.tenants.directory import Directory

        return Directory(self.settings.directory_table, client=self.dynamodb)

    @part
    def verifier(self) -> "KeyVerifier":
        """Verifies API keys, and keeps what it found for a while."""
        from sluice.tenants.verification import KeyVerifier

        secret = self.settings.admin_key_secret
        return KeyVerifier(self.directory, partial(self.secrets.read, secret) if secret else None)

    def verify_login(self, token: str) -> "Principal":
        """Who a JSON Web Token is of: see LoginVerifier.verify."""
        return self.login_verifier.verify(token)

    @part
    def login_verifier(self) -> "LoginVerifier":
        """Verifies logins, for which PyJWT is loaded: where they are taken, and when the first one comes."""
        from sluice.tenants.login.issuer import Issuer
        from sluice.tenants.login.signing_keys import SigningKeys
        from sluice.tenants.login.verification import LoginVerifier

        settings = self.settings.jwt
        if settings is None:
            raise RuntimeError("no issuer of logins is set")
        keys = SigningKeys(Issuer(settings.issuer, settings.jwks_url).key_set)
        return LoginVerifier(settings, keys, self.directory)

    @part
    def administration(self) -> "Administration":
        """Makes, changes and deletes tenants and API keys."""
        from sluice.tenants.administration import Administration, DefaultLimits

        defaults = DefaultLimits(self.settings.requests_per_minute, self.settings.requests_per_day)
        return Administration(self.directory, self.audit_log, defaults)

    @part
    def configuration(self) -> "Configuration":
        """What tenants choose of their AI."""
        from sluice.tenants.configuration import Configuration

        return Configuration(self.directory, self.audit_log)

    @part
    def preferences(self) -> "Preferences":
        """What tenants prefer of their agents and stores."""
        from sluice.tenants.preferences import Preferences

        return Preferences(self.settings.directory_table, self.dynamodb, self.audit_log)

    @part
    def audit_log(self) -> "AuditLog":
        """Who did what."""
        from sluice.tenants.audit_log import AuditLog

        return AuditLog(self.settings.directory_table, self.dynamodb)

    def registry(self) -> "Registry":
        """The deployments there are now. Raises StorageUnavailableError, CredentialsError."""
        return self.registry_loader.get()

    @part
    def registry_loader(self) -> "RegistryLoader":
        """Loads the registry, and again when it has grown old."""
        from sluice.providers.credentials import Credential
        from sluice.providers.loader import RegistryLoader
        from sluice.storage.secrets import PREVIOUS

        fetch = partial(self.secretsmanager.secret, self.settings.credentials_secret)
        own = [Credential(provider=_BUILTIN, alias=_BUILTIN)] if self.settings.has_local_embeddings else []
        return RegistryLoader(fetch, partial(fetch, PREVIOUS), own=own)

    @part
    def ledger(self) -> "Ledger":
        """What is used of every limit."""
        from sluice.quota.circuit import Breaker
        from sluice.quota.ledger import Ledger

        settings = self.settings
        breaker = Breaker(settings.circuit_failures, settings.circuit_open_s, settings.circuit_successes)
        return Ledger(settings.quota_table, client=self.dynamodb, breaker=breaker)

    @part
    def response_cache(self) -> "ResponseCache":
        """Answers that may be served again."""
        from sluice.cache.store import ResponseCache

        return ResponseCache(self.settings.response_cache_table, client=self.dynamodb)

    @part
    def idempotency(self) -> "IdempotencyStore":
        """Answers that are kept under the keys of their requests."""
        from sluice.idempotency.store import IdempotencyStore

        return IdempotencyStore(self.settings.response_cache_table, client=self.dynamodb)

    @part
    def cache_sums(self) -> "CacheSums":
        """How much is cached."""
        from sluice.cache.sums import CacheSums

        return CacheSums(self.settings.usage_table, client=self.dynamodb)

    @part
    def deployment_quota(self) -> "DeploymentQuota":
        """What requests take from deployments, and how those stand."""
        from sluice.routing.deployment_quota import DeploymentQuota

        return DeploymentQuota(self.ledger)

    @part
    def request_threads(self) -> "RequestThreads":
        """Threads for what can be done at once."""
        from sluice.gateway.background import RequestThreads

        return RequestThreads(_THREADS, thread_name_prefix="gateway")

    def registry_of(self, tenant: "Tenant") -> "Registry":
        """The deployments that there are for a tenant now. Raises as `registry`."""
        return self.tenant_registries.of(tenant) if tenant.integrations else self.registry()

    @part
    def tenant_registries(self) -> "TenantRegistries":
        """Finds the deployments that a tenant brought, beside the stack's."""
        from sluice.integrations.registries import TenantRegistries

        return TenantRegistries(self.registry, lambda: self.integrations, self.settings.allowed_networks)

    @part
    def integrations(self) -> "IntegrationStore":
        """What tenants bring."""
        from sluice.integrations.store import IntegrationStore
        from sluice.storage.parameters import parameter_store

        return IntegrationStore(
            self.directory,
            self.dynamodb,
            parameter_store(),
            self.audit_log,
            table=self.settings.directory_table,
            secrets_path=self.settings.integration_secrets,
        )

    @part
    def caller_counter(self) -> "CallerCounter":
        """Counts requests for their callers."""
        from sluice.gateway.counting import CallerCounter

        return CallerCounter(self.ledger, self.settings, self.request_threads)

    @part
    def gateway(self) -> "Gateway":
        """Takes requests to an answer."""
        from sluice.conversations.store import ConversationStore
        from sluice.conversations.turns import Conversations
        from sluice.gateway.admission import Admission
        from sluice.gateway.background import RequestThreads
        from sluice.gateway.guard_models import GuardModels
        from sluice.gateway.pipeline import Gateway
        from sluice.gateway.settlement import Settlement
        from sluice.gateway.shared_answers import SharedAnswers

        settings, executor, callers = self.settings, self.request_threads, self.caller_counter
        quota, router = self.deployment_quota, self.router
        answers = SharedAnswers(self.response_cache, self.cache_sums)
        turns = Conversations(ConversationStore(settings.conversations_table, client=self.dynamodb))
        # Of their own: questions wait for one another there, and for nothing else.
        windows = RequestThreads(_WINDOW_THREADS, thread_name_prefix="windows")
        return Gateway(
            self.registry_of,
            Admission(self.registry_of, callers, answers, turns, settings, executor),
            router,
            Settlement(self.ledger, callers, quota, answers, self.usage_records, executor),
            GuardModels(self.registry_of, router, self.ledger, self.usage_records, executor, windows),
        )

    @part
    def embedding_gateway(self) -> "EmbeddingGateway":
        """Takes requests for vectors to an answer."""
        from sluice.gateway.background import RequestThreads
        from sluice.gateway.embedding_settlement import EmbeddingSettlement
        from sluice.gateway.embeddings import EmbeddingGateway

        executor, callers = self.request_threads, self.caller_counter
        return EmbeddingGateway(
            registry=self.registry_of,
            callers=callers,
            router=self.router,
            ledger=self.ledger,
            settlement=EmbeddingSettlement(callers, self.deployment_quota, self.usage_records, executor),
            settings=self.settings,
            executor=executor,
            batch_executor=RequestThreads(_BATCH_THREADS, thread_name_prefix="embeddings"),
        )

    @part
    def router(self) -> "Router":
        """Finds who can take a request."""
        from sluice.routing.router import RetryLimits, Router
        from sluice.routing.scoring import Weights

        settings = self.settings
        weights = Weights(settings.health_weight, settings.quota_weight, settings.speed_weight)
        return Router(self.deployment_quota, weights, RetryLimits(settings.max_retries, settings.max_attempts))

    @part
    def conversations(self) -> "ConversationReader":
        """Conversations, for their owners."""
        from sluice.conversations.reader import ConversationReader

        return ConversationReader(self.settings.conversations_table, client=self.dynamodb)

    @part
    def threads(self) -> "ThreadStore":
        """Responses that are kept, and gone on from."""
        from sluice.conversations.threads import ThreadStore

        return ThreadStore(self.settings.conversations_table, self.dynamodb)

    @part
    def oversight(self) -> "Oversight":
        """A tenant's conversations, for its operators."""
        from sluice.conversations.oversight import Oversight

        return Oversight(self.settings.conversations_table, self.conversations, self.dynamodb)

    @part
    def user_deletion(self) -> "UserDeletion":
        """Deletes the data of users."""
        from sluice.operations.user_deletion import UserDeletion, UserStores
        from sluice.request_log.erasure import RequestLogErasure
        from sluice.usage.erasure import UsageErasure

        erasure = UsageErasure(self.settings.usage_table, self.dynamodb)
        records = RequestLogErasure(self.settings.request_log_table, self.dynamodb, self.idempotency.release)
        tasks = self.task_library.names()
        stores = UserStores(
            self.conversations, self.oversight, erasure, records, self.task_results, tasks, self._erase_from_reports
        )
        return UserDeletion(self.directory, stores, self.audit_log)

    def _erase_from_reports(self, tenant: str, user: str, days: "Iterable[date]") -> int:
        if not self.settings.files_bucket:
            return 0  # without a bucket there are no reports
        # With boto3, which reading conversations does not take.
        from sluice.reports.erasure import ReportErasure

        return ReportErasure(self.report_claims, self.objects).erase(tenant, user, days)

    @part
    def task_library(self) -> "Library":
        """The tasks there are."""
        from sluice.tasks.library import Library
        from sluice.tasks.versions import Versions

        return Library(Versions(self.settings.directory_table, self.audit_log, self.dynamodb))

    @part
    def task_results(self) -> "Results":
        """What became of tasks."""
        from sluice.tasks.results import Results

        return Results(self.settings.usage_table, client=self.dynamodb)

    @part
    def task_runner(self) -> "Runner":
        """Runs tasks."""
        from sluice.tasks.running import Runner

        return Runner(self.gateway, self.task_library, self.task_results, self)

    @part
    def question_bank(self) -> "QuestionBank":
        """Interview questions that models have written."""
        from sluice.tasks.question_bank.bank import QuestionBank

        return QuestionBank(self.settings.questions_table, client=self.dynamodb)

    @part
    def usage_records(self) -> "UsageRecords":
        """Adds requests to what was used."""
        from sluice.usage.records import UsageRecords

        return UsageRecords(self.settings.usage_table, client=self.dynamodb)

    @part
    def usage_reader(self) -> "UsageReader":
        """Reads what was used."""
        from sluice.usage.report import UsageReader

        return UsageReader(self.settings.usage_table, client=self.dynamodb)

    @part
    def request_log(self) -> "RequestLog":
        """Writes how each request was answered."""
        from sluice.request_log.store import RequestLog

        return RequestLog(self.settings.request_log_table, client=self.dynamodb)

    @part
    def span_exporter(self) -> "SpanExporter":
        """Sends spans of requests to a collector."""
        from sluice.request_log.export import SpanExporter

        return SpanExporter(self.settings.otlp_endpoint)

    @part
    def request_log_reader(self) -> "RequestLogReader":
        """Reads how requests were answered."""
        from sluice.request_log.reader import RequestLogReader

        return RequestLogReader(self.settings.request_log_table, client=self.dynamodb)

    @part
    def overview(self) -> "Overview":
        """How the deployments stand, for operators."""
        from sluice.operations.deployments import Overview

        return Overview(self.registry_loader, self.ledger)

    @part
    def gateway_keys(self) -> "GatewayKeyReader":
        """What gateways say of their keys."""
        from sluice.operations.gateway_keys import GatewayKeyReader

        return GatewayKeyReader(self.registry, self.request_threads)

    @part
    def interventions(self) -> "Interventions":
        """What admins do to the quotas by hand."""
        from sluice.operations.interventions import Interventions

        return Interventions(self.registry, self.ledger, self.directory, self.audit_log)

    @part
    def trials(self) -> "Trials":
        """Tries deployments: once, and without waiting."""
        from sluice.operations.trial import Trials
        from sluice.routing.router import RetryLimits, Router
        from sluice.routing.scoring import Weights

        settings = self.settings
        weights = Weights(settings.health_weight, settings.quota_weight, settings.speed_weight)
        return Trials(self.registry, Router(self.deployment_quota, weights, RetryLimits(retries=0, attempts=1)))

    @part
    def summaries(self) -> "Summaries":
        """What is going on, at a glance."""
        from sluice.operations.summary import Summaries

        return Summaries(self.directory, self.ledger, self.allowances, self.usage_reader, self.request_log_reader)

    @part
    def allowances(self) -> "Allowances":
        """What is left of the limits of tenants, keys and users."""
        from sluice.gateway.allowances import Allowances

        return Allowances(self.ledger, self.settings)

    @part
    def caches(self) -> "Caches":
        """The tenants' caches, for operators."""
        from sluice.operations.caches import Caches

        return Caches(self.response_cache, self.cache_sums, self.usage_reader, self.audit_log)

    @part
    def objects(self) -> "ObjectStore":
        """The bucket of files."""
        from sluice.storage.objects import ObjectStore

        return ObjectStore(self.settings.files_bucket)

    @part
    def sqs(self) -> "Sqs":
        """The client that messages are sent through."""
        from sluice.storage.queues import sqs

        return sqs()

    @part
    def batch_jobs_queue(self) -> "Queue":
        """Where jobs of batches are sent."""
        from sluice.storage.queues import Queue

        return Queue(self.sqs, self.settings.batch_jobs_queue)

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
    def addresses(self) -> "Addresses":
        """Where what tenants name may be."""
        from sluice.storage.addresses import Addresses, networks

        return Addresses(networks(self.settings.allowed_networks))

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

    @part
    def report_claims(self) -> "Claims":
        """What reports and alerts there are."""
        from sluice.reports.claims import Claims

        return Claims(self.settings.usage_table, self.dynamodb)

    @part
    def report_stores(self) -> "ReportStores":
        """What reports and alerts read and write."""
        from sluice.reports.limits import Standings
        from sluice.reports.reporter import ReportStores
        from sluice.storage.event_bus import EventBus

        return ReportStores(
            directory=self.directory,
            standings=Standings(self.ledger, self.allowances),
            usage=self.usage_reader,
            claims=self.report_claims,
            objects=self.objects,
            bus=EventBus(self.settings.event_bus),
            registry=self.registry,
        )

    @part
    def reporter(self) -> "Reporter":
        """Makes reports and gives alerts."""
        from sluice.reports.reporter import Reporter

        return Reporter(self.report_stores, self.settings.stack)

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

    def prepare(self) -> None:
        """Make now what chats need and no service is asked for, so that a snapshot of this process holds it.

        Copies of the process may share it: nothing is drawn at random or due at some time, and nothing has connected.
        """
        from sluice.catalog import catalog
        from sluice.guards.rules import Direction
        from sluice.guards.scanner import scanner
        from sluice.providers.registry import load_adapters

        _ = self.gateway, self.verifier
        if self.settings.jwt:
            _ = self.login_verifier
        for direction in Direction:
            scanner(direction)
        catalog()
        load_adapters()
        self.secretsmanager.prepare()
        self.dynamodb.prepare()
