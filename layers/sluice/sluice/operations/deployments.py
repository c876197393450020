"""Reads how all deployments stand: two requests, however many there are."""

import time
from collections.abc import Callable

from sluice.operations.deployment_report import (
    Healths,
    Providers,
    Quotas,
    health_report,
    provider_report,
    quota_report,
)
from sluice.providers.registry import Registry
from sluice.quota.ledger import Ledger
from sluice.routing.breaker import Breaker
from sluice.routing.deployment_quota import scope_of


class Overview:
    """What an operator sees of the deployments. All methods raise StorageUnavailableError."""

    def __init__(self, registry: Callable[[], Registry], ledger: Ledger, breaker: Breaker) -> None:
        self._registry = registry
        self._ledger = ledger
        self._breaker = breaker

    def quota(self) -> Quotas:
        """See quota_report."""
        deployments = self._registry().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        return quota_report(deployments, seen, self._ledger.now_ms())

    def health(self) -> Healths:
        """See health_report."""
        deployments = self._registry().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        circuits = self._breaker.circuits(each.id for each in deployments)
        return health_report(deployments, seen, circuits, time.time())

    def providers(self) -> Providers:
        """See provider_report."""
        return provider_report(self._registry().deployments)
