"""Looks at how all limits stand that reports and alerts are about."""

from collections.abc import Iterable, Mapping, Sequence

from sluice.gateway.allowances import Allowances, Owner
from sluice.providers.deployment import Deployment
from sluice.quota.ledger import Ledger
from sluice.quota.limits import Limit
from sluice.quota.status import NEVER_USED
from sluice.reports.material import Counted, Of
from sluice.routing.deployment_quota import limits_of, scope_of
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Tenant


class Standings:
    """Looks at limits. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, ledger: Ledger, allowances: Allowances) -> None:
        self._ledger = ledger
        self._allowances = allowances

    def of_deployments(self, deployments: Iterable[Deployment]) -> list[Counted]:
        """The limits of all deployments."""
        asked = [
            _Asked("deployment", each.id, None, {"credential": each.alias, "model": each.model.id}, _scopes(each))
            for each in deployments
        ]
        return self._counted(asked)

    def of_tenant(self, tenant: Tenant, keys: Sequence[ApiKey], users: Iterable[tuple[str, str]] = ()) -> list[Counted]:
        """A tenant's budget, its keys' limits, and those of users: each a key's id and whom its requests name."""
        by_id = {key.id: key for key in keys}
        asked = [_Asked("tenant", tenant.id, tenant.name, {"tenant": tenant.id}, self._allowances.of_tenant(tenant))]
        for key in keys:
            selects = {"tenant": tenant.id, "caller": key.id}
            asked.append(_Asked("key", key.id, key.name, selects, self._allowances.of_key(key)))
        for caller, user in users:
            # A login has no key: its users' limits are not looked at.
            if caller in by_id:
                selects = {"tenant": tenant.id, "caller": caller, "user": user}
                owner = self._allowances.of_user(Principal(by_id[caller], tenant), user)
                asked.append(_Asked("user", user, by_id[caller].name, selects, owner))
        return self._counted(asked)

    def _counted(self, asked: "Sequence[_Asked]") -> list[Counted]:
        scopes = [scope for each in asked for scope, limits in each.scopes.items() if limits]
        seen, now_ms = self._ledger.look_at(scopes), self._ledger.now_ms()
        return [
            Counted(
                of=each.of,
                id=each.id,
                name=each.name,
                limit=limit,
                status=seen.get(scope, NEVER_USED).status(limit, now_ms),
                selects=each.selects,
            )
            for each in asked
            for scope, limits in each.scopes.items()
            for limit in limits
        ]


class _Asked:
    """Whose limits are looked at, and what their use is found by."""

    def __init__(
        self,
        of: Of,
        id_: str,
        name: str | None,
        selects: Mapping[str, str],
        owner: Owner | Mapping[str, tuple[Limit, ...]],
    ) -> None:
        self.of = of
        self.id = id_
        self.name = name
        self.selects = selects
        self.scopes = owner.scopes if isinstance(owner, Owner) else owner


def _scopes(deployment: Deployment) -> Mapping[str, tuple[Limit, ...]]:
    return {scope_of(deployment): limits_of(deployment)}
