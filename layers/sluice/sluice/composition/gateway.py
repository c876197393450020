"""The gateway: from a request to an answer, its quotas, caches, conversations and records."""

from functools import partial
from typing import TYPE_CHECKING

from sluice.composition.part import part
from sluice.composition.tenants import TenantParts

if TYPE_CHECKING:
    from sluice.cache.store import ResponseCache
    from sluice.cache.sums import CacheSums
    from sluice.conversations.reader import ConversationReader
    from sluice.conversations.threads import ThreadStore
    from sluice.gateway.background import RequestThreads
    from sluice.gateway.counting import CallerCounter
    from sluice.gateway.embeddings import EmbeddingGateway
    from sluice.gateway.pipeline import Gateway
    from sluice.idempotency.store import IdempotencyStore
    from sluice.integrations.registries import TenantRegistries
    from sluice.providers.loader import RegistryLoader
    from sluice.providers.registry import Registry
    from sluice.quota.ledger import Ledger
    from sluice.request_log.export import SpanExporter
    from sluice.request_log.store import RequestLog
    from sluice.routing.deployment_quota import DeploymentQuota
    from sluice.routing.router import Router
    from sluice.tenants.tenant import Tenant
    from sluice.usage.records import UsageRecords
    from sluice.usage.report import UsageReader

# One request sends at most four writes at a time; a process of the local stack serves many requests.
_THREADS = 32
# How many windows of long prompts guard models are asked about at a time.
_WINDOW_THREADS = 4
# The provider that needs no credential, and what it is called among them.
_BUILTIN = "builtin"
# How many batches of texts are asked for vectors at a time.
_BATCH_THREADS = 4


class GatewayParts(TenantParts):
    """What takes a request to an answer."""

    def registry(self) -> "Registry":
        """The deployments there are now. Raises StorageUnavailableError, CredentialsError."""
        return self.registry_loader.get()

    def registry_of(self, tenant: "Tenant") -> "Registry":
        """The deployments that there are for a tenant now. Raises as `registry`."""
        return self.tenant_registries.of(tenant) if tenant.integrations else self.registry()

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
    def tenant_registries(self) -> "TenantRegistries":
        """Finds the deployments that a tenant brought, beside the stack's."""
        from sluice.integrations.registries import TenantRegistries

        return TenantRegistries(self.registry, lambda: self.integrations, self.settings.allowed_networks)

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

    @part
    def caller_counter(self) -> "CallerCounter":
        """Counts requests for their callers."""
        from sluice.gateway.counting import CallerCounter

        return CallerCounter(self.ledger, self.settings, self.request_threads)

    @part
    def router(self) -> "Router":
        """Finds who can take a request."""
        from sluice.routing.router import RetryLimits, Router
        from sluice.routing.scoring import Weights

        settings = self.settings
        weights = Weights(settings.health_weight, settings.quota_weight, settings.speed_weight)
        return Router(self.deployment_quota, weights, RetryLimits(settings.max_retries, settings.max_attempts))

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
            Admission(self.registry_of, callers, answers, turns, settings, executor),
            router,
            Settlement(self.ledger, callers, quota, answers, self.usage_records, executor),
            GuardModels(router, self.ledger, self.usage_records, executor, windows),
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

    def prepare(self) -> None:
        """Make now what chats need and no service is asked for, so that a snapshot of this process holds it.

        Copies of the process may share it: nothing is drawn at random or due at some time, and nothing has connected.
        """
        from sluice.catalog.catalog import catalog
        from sluice.guards.rules import Direction
        from sluice.guards.scanner import scanner
        from sluice.providers.adapters import load_adapters

        _ = self.gateway, self.verifier
        if self.settings.jwt:
            _ = self.login_verifier
        for direction in Direction:
            scanner(direction)
        catalog()
        load_adapters()
        self.secretsmanager.prepare()
        self.dynamodb.prepare()
