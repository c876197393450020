"""Reads how all deployments stand: two requests, however many there are."""

import time

from sluice.operations.deployment_report import (
    Healths,
    Providers,
    Quotas,
    health_report,
    provider_report,
    quota_report,
)
from sluice.providers.credentials import CredentialsError
from sluice.providers.loader import RegistryLoader
from sluice.quota.ledger import Ledger
from sluice.routing.breaker import Breaker
from sluice.routing.deployment_quota import scope_of


class Overview:
    """What an operator sees of the deployments. All methods raise StorageUnavailableError."""

    def __init__(self, loader: RegistryLoader, ledger: Ledger, breaker: Breaker) -> None:
        self._loader = loader
        self._ledger = ledger
        self._breaker = breaker

    def quota(self) -> Quotas:
        """See quota_report."""
        deployments = self._loader.get().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        return quota_report(deployments, seen, self._ledger.now_ms())

    def health(self) -> Healths:
        """See health_report."""
        deployments = self._loader.get().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        circuits = self._breaker.circuits(each.id for each in deployments)
        return health_report(deployments, seen, circuits, time.time())

    def providers(self) -> Providers:
        """See provider_report. It answers for a secret that nothing can be made of too."""
        try:
            registry = self._loader.get()
        except CredentialsError as error:
            return provider_report((), error.broken, error.message)
        return provider_report(registry.deployments, registry.broken, self._loader.problem)
