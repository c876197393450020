"""Reads how all deployments stand: one request, however many there are."""

from sluice.operations.deployment_report import (
    Healths,
    HealthStatus,
    Providers,
    Quotas,
    health_report,
    provider_report,
    quota_report,
)
from sluice.providers.credentials import CredentialsError
from sluice.providers.loader import RegistryLoader
from sluice.quota.ledger import Ledger
from sluice.routing.deployment_quota import scope_of

_SECONDS_AGO_MS = 10_000


class Overview:
    """What an operator sees of the deployments. All methods raise StorageUnavailableError."""

    def __init__(self, loader: RegistryLoader, ledger: Ledger) -> None:
        self._loader = loader
        self._ledger = ledger

    def quota(self) -> Quotas:
        """See quota_report."""
        deployments = self._loader.get().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        return quota_report(deployments, seen, self._ledger.now_ms())

    def health(self) -> Healths:
        """See health_report."""
        deployments = self._loader.get().deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        return health_report(deployments, seen, self._ledger.now_ms())

    def quota_and_health(self) -> tuple[Quotas, Healths]:
        """Both, of the same moment."""
        deployments = self._loader.get().deployments
        seen, now_ms = self._ledger.look_at(map(scope_of, deployments)), self._ledger.now_ms()
        return quota_report(deployments, seen, now_ms), health_report(deployments, seen, now_ms)

    def status(self) -> HealthStatus:
        """The status of health_report, some seconds old: whoever asks for it again and again costs nothing."""
        deployments = self._loader.get().deployments
        scopes = [scope_of(deployment) for deployment in deployments]
        self._ledger.prefetch(scopes, _SECONDS_AGO_MS)
        seen = {scope: snapshot for scope in scopes if (snapshot := self._ledger.seen(scope))}
        return health_report(deployments, seen, self._ledger.now_ms())["status"]

    def providers(self) -> Providers:
        """See provider_report. It answers for a secret that nothing can be made of too."""
        try:
            registry = self._loader.get()
        except CredentialsError as error:
            return provider_report((), {}, 0, error.broken, error.message)
        deployments = registry.deployments
        seen = self._ledger.look_at(map(scope_of, deployments))
        now_ms = self._ledger.now_ms()
        return provider_report(deployments, seen, now_ms, registry.broken, self._loader.problem)
