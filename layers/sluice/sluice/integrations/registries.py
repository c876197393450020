"""Registries of tenants: the stack's deployments, and those of a tenant's own integrations beside them.

A tenant that brings nothing has the stack's, and costs no reading. Of one that does, its record says how often its
integrations were changed: so they are read once for each change, in each process.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

from sluice.catalog import Catalog, catalog
from sluice.errors import StorageUnavailableError
from sluice.integrations.credentials import IntegrationError, models_of, to_credential
from sluice.integrations.integration import PROVIDERS, Integration
from sluice.integrations.store import IntegrationStore
from sluice.providers.credentials import Credential
from sluice.providers.registry import Registry
from sluice.storage.ttl_cache import TtlCache
from sluice.telemetry import emit_metric
from sluice.tenants.tenant import Tenant

_MOST_TENANTS = 500
# What is read is good for as long as the tenant's record says so: this only lets go of tenants that nobody asks for.
_HELD_S = 3_600


@dataclass(frozen=True, slots=True)
class _Held:
    version: int
    stack: Registry
    registry: Registry


class TenantRegistries:
    """Finds the registry of a tenant. Threads may share it.

    `stack` gives the stack's own. The hosts of tenants' deployments may be in `networks` beside the public internet.
    """

    def __init__(
        self, stack: Callable[[], Registry], store: Callable[[], IntegrationStore], networks: Iterable[str] = ()
    ) -> None:
        self._stack = stack
        self._store = store
        self._networks = tuple(networks)
        self._held: TtlCache[_Held] = TtlCache(lifetime_s=_HELD_S, most=_MOST_TENANTS)
        self._lock = Lock()

    def of(self, tenant: Tenant) -> Registry:
        """The registry of a tenant. Raises as RegistryLoader.get; StorageUnavailableError if it can't be read."""
        if not tenant.integrations:
            return self._stack()
        held = self._held.get(tenant.id)
        stack = self._stack()
        if held is not None and held.version == tenant.integrations and held.stack is stack:
            return held.registry
        with self._lock:
            return self._read(tenant, stack)

    def _read(self, tenant: Tenant, stack: Registry) -> Registry:
        fetched_at = self._held.now()
        held = self._held.get(tenant.id)
        if held is not None and held.version == tenant.integrations and held.stack is stack:
            return held.registry
        try:
            registry = self._joined(tenant, stack)
        except StorageUnavailableError:
            if held is None:
                raise
            # What a tenant had a minute ago serves on, as the stack's own credentials do.
            emit_metric("CredentialsNotRefreshed")
            return held.registry
        if held is not None:
            registry.take_over(held.registry)
        self._held.put(tenant.id, _Held(tenant.integrations, stack, registry), fetched_at=fetched_at)
        return registry

    def _joined(self, tenant: Tenant, stack: Registry) -> Registry:
        store, known = self._store(), catalog()
        integrations = [each for each in store.all(tenant.id) if each.type == "ai_model"]
        secrets = store.secrets_of(integrations)
        credentials, broken = credentials_of(integrations, secrets, known)
        if broken:
            emit_metric("CredentialBroken")
        return stack.joined(known, credentials, self._networks)


def credentials_of(
    integrations: Iterable[Integration], secrets: Mapping[str, Mapping[str, str]], known: Catalog
) -> tuple[list[Credential], dict[str, str]]:
    """The credentials of integrations that are active, and why there is none of others, by their ids."""
    by_id = {each.id: each for each in integrations}
    credentials, broken = [], {}
    for each in by_id.values():
        if not each.active:
            continue
        try:
            credentials.append(
                to_credential(each, secrets.get(each.id, {}), known, _fallback_models(each, by_id, known))
            )
        except IntegrationError as error:
            broken[each.id] = str(error)
    return credentials, broken


def _fallback_models(integration: Integration, by_id: Mapping[str, Integration], known: Catalog) -> tuple[str, ...]:
    """The models of the integrations that stand in for this one, in order."""
    found: list[str] = []
    at = by_id.get(integration.fallback_id or "")
    passed = {integration.id}
    while at is not None and at.id not in passed:
        passed.add(at.id)
        if at.active and PROVIDERS.get(at.provider or "") in known.providers:
            found += models_of(at, known, ())
        at = by_id.get(at.fallback_id or "")
    return tuple(dict.fromkeys(found))
