"""Registries of tenants: the stack's deployments, and those of a tenant's own integrations beside them.

A tenant that brings nothing has the stack's, and costs no reading. Of one that does, its record says how often its
integrations were changed: so they are read once for each change, in each process.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Lock

from sluice.catalog.catalog import Catalog, catalog
from sluice.errors import StorageUnavailableError
from sluice.integrations.credentials import IntegrationError, models_of, to_credential
from sluice.integrations.integration import PROVIDERS, Integration
from sluice.integrations.store import IntegrationStore
from sluice.loading.dataclass import dataclass
from sluice.providers.credentials import Credential
from sluice.providers.registry import Registry
from sluice.storage.ttl_cache import TtlCache
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.tenant import Tenant

_MOST_TENANTS = 500
# What is read is good for as long as the tenant's record says so: this only lets go of tenants that nobody asks for.
_HELD_S = 3_600
# After a reading that failed, or that missed a secret, which may only be on its way.
_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A registry, of integrations as of a `version` or later, until `due_s` on the clock."""

    version: int
    stack: Registry
    registry: Registry
    due_s: float


class TenantRegistries:
    """Finds the registry of a tenant. Threads may share it.

    `stack` gives the stack's own. The hosts of tenants' deployments may be in `networks` beside the public internet.
    """

    def __init__(
        self,
        stack: Callable[[], Registry],
        store: Callable[[], IntegrationStore],
        networks: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stack = stack
        self._store = store
        self._networks = tuple(networks)
        self._clock = clock
        self._held: TtlCache[_Held] = TtlCache(lifetime_s=_HELD_S, most=_MOST_TENANTS)
        self._locks: TtlCache[Lock] = TtlCache(lifetime_s=_HELD_S, most=_MOST_TENANTS)

    def of(self, tenant: Tenant) -> Registry:
        """The registry of a tenant. Raises as RegistryLoader.get; StorageUnavailableError if it can't be read."""
        if not tenant.integrations:
            return self._stack()
        stack = self._stack()
        held = self._fresh(tenant, stack)
        if held is not None:
            return held.registry
        # One thread reads while the others of this tenant wait for what it gets.
        with self._locks.get_or_fetch(tenant.id, Lock):
            held = self._fresh(tenant, stack)
            return held.registry if held is not None else self._read(tenant, stack)

    def _fresh(self, tenant: Tenant, stack: Registry) -> _Held | None:
        held = self._held.get(tenant.id)
        # Tenants are held by API key: one of them may still know of fewer changes.
        is_good = held is not None and held.version >= tenant.integrations and held.stack is stack
        return held if held is not None and is_good and self._clock() < held.due_s else None

    def _read(self, tenant: Tenant, stack: Registry) -> Registry:
        fetched_at, before = self._held.now(), self._held.get(tenant.id)
        try:
            registry, is_whole = self._joined(tenant, stack)
        except StorageUnavailableError:
            if before is None:
                raise
            # What a tenant had before serves on, as the stack's own credentials do.
            emit_metric("CredentialsNotRefreshed")
            registry, is_whole = before.registry, False
        if before is not None and registry is not before.registry:
            registry.take_over(before.registry)
        due_s = math.inf if is_whole else self._clock() + _PAUSE_S
        self._held.put(tenant.id, _Held(tenant.integrations, stack, registry, due_s), fetched_at=fetched_at)
        return registry

    def _joined(self, tenant: Tenant, stack: Registry) -> tuple[Registry, bool]:
        """The registry, and whether all secrets were there."""
        store, known = self._store(), catalog()
        integrations = [each for each in store.all(tenant.id) if each.type == "ai_model"]
        secrets = store.secrets_of([each for each in integrations if each.active])
        credentials, broken = credentials_of(integrations, secrets, known)
        if broken:
            emit_metric("CredentialBroken")
        is_whole = all(each.id in secrets for each in integrations if each.active and each.secret)
        return stack.joined(known, credentials, self._networks), is_whole


def credentials_of(
    integrations: Iterable[Integration], secrets: Mapping[str, Mapping[str, str]], known: Catalog
) -> tuple[list[Credential], dict[str, str]]:
    """The credentials of integrations that are active, and why there is none of others, by their ids."""
    by_id = {each.id: each for each in integrations}
    credentials, broken = [], {}
    for each in by_id.values():
        if not each.active:
            continue
        if each.secret and each.id not in secrets:
            # Never without its key: a server that asks for none would be asked with somebody else's, or none.
            broken[each.id] = "credentials: are not there"
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
            with suppress(IntegrationError):  # one that is broken stands in for nobody
                found += models_of(at, known, ())
        at = by_id.get(at.fallback_id or "")
    return tuple(dict.fromkeys(found))
