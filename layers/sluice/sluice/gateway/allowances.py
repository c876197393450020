"""Allowances: what is left of the limits of a tenant, of API keys and of users, and when it comes free.

What is shown is what the ledger counts, with what is reserved for requests under way.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.catalog.money import to_usd
from sluice.gateway.budget import spend_limits
from sluice.loading.dataclass import dataclass
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET, Limit, caller_limits
from sluice.quota.scopes import key_scope, key_spend_scope, tenant_scope, user_scope, user_spend_scope
from sluice.quota.status import NEVER_USED, QuotaSnapshot
from sluice.settings import Settings
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, SpendLimits, Tenant

type LimitName = Literal[
    "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "budget_usd_per_month"
]


_NAMES: Mapping[str, LimitName] = {
    "requests_per_minute": "requests_per_minute",
    "requests_per_day": "requests_per_day",
    "tokens_per_minute": "tokens_per_minute",
    "tokens_per_day": "tokens_per_day",
    BUDGET: "budget_usd_per_month",
}
"""What the API calls the ledger's limits of tenants, keys and users."""


class LimitLeft(TypedDict):
    """What is left of one limit: requests, tokens or dollars."""

    limit: LimitName
    capacity: float
    used: Annotated[float, Field(description="With what is reserved for requests under way.")]
    remaining: float
    resets_in_seconds: Annotated[
        int | None, Field(description="Until all that counts now has left; null if nothing does.")
    ]
    resets_at: Annotated[str | None, Field(description="When that is, in ISO 8601.")]


class Allowance(TypedDict):
    """What is left of somebody's limits. There is no entry for what is not limited."""

    of: Literal["tenant", "key", "user"]
    id: str
    limits: list[LimitLeft]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose limits: what they are counted in, by scope."""

    of: Literal["tenant", "key", "user"]
    id: str
    scopes: Mapping[str, tuple[Limit, ...]]


class Allowances:
    """Looks at what is left. Threads may share it."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings

    def of_tenant(self, tenant: Tenant) -> Owner:
        """A tenant's budget."""
        limits = spend_limits(SpendLimits(budget_nanousd=tenant.budget_nanousd))
        return Owner("tenant", tenant.id, {tenant_scope(tenant.id): limits})

    def of_key(self, key: ApiKey) -> Owner:
        """An API key's limits."""
        settings = self._settings
        per_minute = settings.requests_per_minute if key.requests_per_minute is None else key.requests_per_minute
        per_day = settings.requests_per_day if key.requests_per_day is None else key.requests_per_day
        return Owner(
            "key",
            key.id,
            {
                key_scope(key.tenant_id, key.id): caller_limits(per_minute, per_day),
                key_spend_scope(key.tenant_id, key.id): spend_limits(key.spend_limits),
            },
        )

    def of_user(self, principal: Principal, user: str) -> Owner:
        """The limits of a user whom requests of an API key name."""
        tenant, key, settings = principal.tenant.id, principal.key.id, self._settings
        requests = caller_limits(settings.user_requests_per_minute, settings.user_requests_per_day)
        return Owner(
            "user",
            user,
            {
                # A limit of 0 is none here, and the requests of a login are those of its user.
                user_scope(tenant, key, user): tuple(
                    limit for limit in requests if limit.capacity and principal.user is None
                ),
                user_spend_scope(tenant, key, user): spend_limits(principal.user_spend_limits),
            },
        )

    def left(self, owners: Sequence[Owner]) -> list[Allowance]:
        """What is left of each one's limits, all seen at once. Raises StorageUnavailableError."""
        asked = [scope for owner in owners for scope, limits in owner.scopes.items() if limits]
        seen, now_ms = self._ledger.look_at(asked), self._ledger.now_ms()
        return [{"of": owner.of, "id": owner.id, "limits": list(_limits(owner, seen, now_ms))} for owner in owners]


def _limits(owner: Owner, seen: Mapping[str, QuotaSnapshot], now_ms: int) -> Iterable[LimitLeft]:
    for scope, limits in owner.scopes.items():
        for limit in limits:
            status = seen.get(scope, NEVER_USED).status(limit, now_ms)
            resets_in_s = -(-status.resets_in_ms // 1000) if status.used else None
            resets_at = None if resets_in_s is None else _moment(now_ms + status.resets_in_ms)
            yield {
                "limit": _NAMES[limit.name],
                "capacity": _units(limit, status.capacity),
                "used": _units(limit, status.used),
                "remaining": _units(limit, status.remaining),
                "resets_in_seconds": resets_in_s,
                "resets_at": resets_at,
            }


def _units(limit: Limit, units: int) -> float:
    return float(to_usd(units)) if limit.name == BUDGET else units


def _moment(at_ms: int) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=-(-at_ms // 1000))
    return moment.isoformat().replace("+00:00", "Z")
