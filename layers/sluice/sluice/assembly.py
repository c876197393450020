"""Puts the parts together, once per process."""

from functools import cache

from sluice.books import Books
from sluice.cache.store import ResponseCache
from sluice.gateway import Gateway
from sluice.providers.registry import Registry, RegistryLoader
from sluice.quota.ledger import Ledger
from sluice.routing.accounts import Accounts
from sluice.routing.breaker import Breaker
from sluice.routing.router import Router
from sluice.routing.scoring import Weights
from sluice.settings import settings


@cache
def _loader() -> RegistryLoader:
    return RegistryLoader()


def registry() -> Registry:
    """The deployments there are now. Raises StorageUnavailableError, CredentialsError."""
    return _loader().get()


@cache
def gateway() -> Gateway:
    """The gateway of this process, on the tables and secrets that the settings name."""
    configured = settings()
    ledger = Ledger(configured.quota_table)
    accounts = Accounts(ledger)
    weights = Weights(configured.health_weight, configured.quota_weight, configured.speed_weight)
    router = Router(accounts, Breaker(configured.circuit_breakers_table), weights)
    books = Books(ledger, accounts, ResponseCache(configured.response_cache_table), configured)
    return Gateway(registry, router, books, prompt_max_characters=configured.prompt_max_characters)
