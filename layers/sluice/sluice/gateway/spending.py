"""Whose limits of dollars and tokens a request takes from: its tenant's, its API key's, its user's. Pure."""

from collections.abc import Iterator

from sluice.dataclass import dataclass
from sluice.quota.limits import BUDGET, SPEND_WINDOWS, Limit, budget_limit, token_limit
from sluice.quota.scopes import key_spend_scope, tenant_scope, user_spend_scope
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import SpendLimits


@dataclass(frozen=True, slots=True)
class SpendScope:
    """A scope with limits of what may be spent. `whose` begins what is said of a refusal."""

    whose: str
    name: str
    limits: tuple[Limit, ...]

    @property
    def budget(self) -> Limit | None:
        """Its limit of dollars."""
        return next((limit for limit in self.limits if limit.name == BUDGET), None)

    @property
    def token_limits(self) -> tuple[Limit, ...]:
        """Its limits of tokens."""
        return tuple(limit for limit in self.limits if limit.name != BUDGET)


def spend_limits(limits: SpendLimits) -> tuple[Limit, ...]:
    """The ledger's limits."""
    tokens = ((name, getattr(limits, name)) for name in SPEND_WINDOWS)
    found = tuple(token_limit(name, capacity) for name, capacity in tokens if capacity is not None)
    return found if limits.budget_nanousd is None else (*found, budget_limit(limits.budget_nanousd))


def spend_scopes(principal: Principal, user: str) -> tuple[SpendScope, ...]:
    """Those that have limits, of a request for `user`, "" for none: the tenant's first, the user's last."""
    return tuple(scope for scope in _scopes(principal, user) if scope.limits)


def has_budget(principal: Principal, user: str) -> bool:
    """Whether dollars are counted against any budget."""
    return any(scope.budget for scope in spend_scopes(principal, user))


def _scopes(principal: Principal, user: str) -> Iterator[SpendScope]:
    tenant, key = principal.tenant, principal.key
    of_tenant = spend_limits(SpendLimits(budget_nanousd=tenant.budget_nanousd))
    yield SpendScope("The tenant", tenant_scope(tenant.id), of_tenant)
    yield SpendScope("The API key", key_spend_scope(tenant.id, principal.caller_id), spend_limits(key.spend_limits))
    if user:
        name = user_spend_scope(tenant.id, principal.caller_id, user)
        yield SpendScope("The user", name, spend_limits(principal.user_spend_limits))
