"""Composition of the parts, once per process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING

from sluice.cache.store import ResponseCache
from sluice.cache.sums import CacheSums
from sluice.catalog import catalog
from sluice.conversations.memory import Conversations
from sluice.conversations.store import ConversationStore
from sluice.gateway.admission import Admission
from sluice.gateway.pipeline import Gateway
from sluice.gateway.settlement import Settlement
from sluice.gateway.shared_answers import SharedAnswers
from sluice.guards.rules import Direction, scanner
from sluice.providers.registry import Registry, RegistryLoader, load_adapters
from sluice.quota.ledger import Ledger
from sluice.routing.breaker import Breaker
from sluice.routing.deployment_quota import DeploymentQuota
from sluice.routing.router import Router
from sluice.routing.scoring import Weights
from sluice.settings import Settings, settings
from sluice.storage.client import dynamodb
from sluice.storage.secrets import secretsmanager

if TYPE_CHECKING:
    from sluice.tasks.library import Library
    from sluice.tasks.results import Results
    from sluice.tasks.running import Runner
    from sluice.tenants.administration import Administration
    from sluice.tenants.directory import Directory
    from sluice.tenants.verification import KeyVerifier


# One request sends at most four writes at a time; a process of the local stack serves many requests.
_THREADS = 32


@cache
def _loader() -> RegistryLoader:
    return RegistryLoader()


def registry() -> Registry:
    """The deployments there are now. Raises StorageUnavailableError, CredentialsError."""
    return _loader().get()


@cache
def breaker() -> Breaker:
    """The circuits of this process's view."""
    return Breaker(settings().circuit_breakers_table)


@cache
def gateway() -> Gateway:
    """The gateway of this process, on the tables and secrets that the settings name."""
    configured = settings()
    return assemble(configured, Ledger(configured.quota_table), breaker())


def assemble(configured: Settings, ledger: Ledger, circuits: Breaker) -> Gateway:
    """A gateway with its own admission, router and settlement, on this ledger."""
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway")
    quota = DeploymentQuota(ledger)
    weights = Weights(configured.health_weight, configured.quota_weight, configured.speed_weight)
    cache = ResponseCache(configured.response_cache_table)
    answers = SharedAnswers(cache, CacheSums(configured.usage_table))
    conversations = Conversations(ConversationStore(configured.conversations_table))
    return Gateway(
        registry,
        Admission(registry, ledger, answers, conversations, configured, executor),
        Router(quota, circuits, weights),
        Settlement(ledger, quota, answers, executor),
    )


def prepare() -> None:
    """Make now what chats need and no service is asked for, so that a snapshot of this process holds it.

    Copies of the process may share it: nothing is drawn at random or due at some time, and nothing has connected, but
    for boto3 to Lambda's own credentials, which it asks for again once they have expired.
    """
    gateway()
    for direction in Direction:
        scanner(direction)
    catalog()
    load_adapters()
    secretsmanager()
    dynamodb(attempts=1)


# What tasks need is imported when they are: chat does without.


@cache
def task_library() -> "Library":
    """The tasks of this process."""
    from sluice.tasks.library import Library
    from sluice.tasks.versions import Versions

    return Library(Versions(settings().directory_table))


@cache
def task_results() -> "Results":
    """What becomes of tasks."""
    from sluice.tasks.results import Results

    return Results(settings().usage_table)


@cache
def task_runner() -> "Runner":
    """The one that runs tasks."""
    from sluice.tasks.running import Runner

    return Runner(gateway(), task_library(), task_results())


def part[Value](build: "Callable[[App], Value]") -> cached_property[Value]:
    """A part of an App, built when it is first asked for, and once, however many threads ask."""

    def build_once(app: "App") -> Value:
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
    """Everything that a process answers requests with: settings, stores and caches. Threads may share it."""

    settings: Settings
    lock: RLock = field(default_factory=RLock, init=False, repr=False)

    @classmethod
    def from_environment(cls) -> "App":
        """An App for the tables and secrets that this function was given."""
        return cls(Settings.from_environment())

    @part
    def directory(self) -> "Directory":
        """Tenants and API keys."""
        from sluice.tenants.directory import Directory

        return Directory(self.settings.directory_table)

    @part
    def verifier(self) -> "KeyVerifier":
        """Verifies API keys, and keeps what it found for a while."""
        from sluice.storage.secrets import read_secret
        from sluice.tenants.verification import KeyVerifier

        return KeyVerifier(self.directory, partial(read_secret, self.settings.admin_key_secret))

    @part
    def administration(self) -> "Administration":
        """Makes tenants and API keys."""
        from sluice.tenants.administration import Administration

        return Administration(self.directory)
