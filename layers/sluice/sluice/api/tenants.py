"""Tenants, for admins: /v1/tenants."""

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sluice.api.route import Call, Routes
from sluice.money import NANOUSD_PER_USD
from sluice.tenants.tenant import CachePolicyName, GuardMode, Role
from sluice.tenants.tenant import Tenant as TenantRecord
from sluice.text import IN_ANY_CASE

ROUTES = Routes("Tenants and keys")

_YEAR_S = 366 * 86_400

type TenantId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
type DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
type _RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
type _ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class NewTenant(BaseModel):
    """The body of POST /v1/tenants."""

    # A misspelt limit must not silently be no limit.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: TenantId
    name: DisplayName
    budget_usd_per_month: Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)] | None = None
    guard_modes: Annotated[dict[_RuleId, Annotated[GuardMode, IN_ANY_CASE]], Field(max_length=200)] = {}
    allowed_models: Annotated[tuple[_ModelName, ...], Field(min_length=1, max_length=200)] | None = None
    cache_ttl_seconds: Annotated[int, Field(ge=0, le=_YEAR_S)] | None = None
    cache_policy: Annotated[CachePolicyName, IN_ANY_CASE] | None = None
    fallbacks: Annotated[
        dict[_ModelName, Annotated[tuple[_ModelName, ...], Field(max_length=20)]], Field(max_length=200)
    ] = {}

    def to_record(self) -> TenantRecord:
        """The tenant as it is stored."""
        budget = self.budget_usd_per_month
        return TenantRecord(
            id=self.id,
            name=self.name,
            budget_nanousd=None if budget is None else int(budget * NANOUSD_PER_USD),
            guard_modes=self.guard_modes,
            allowed_models=self.allowed_models,
            cache_ttl_s=self.cache_ttl_seconds,
            cache_policy=self.cache_policy,
            fallbacks=self.fallbacks,
        )


class TenantQuery(BaseModel):
    """The query of GET /v1/tenants: at most `limit`, those whose ids follow `after`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    after: TenantId | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Tenant(TypedDict):
    """Who owns API keys, policies and a budget. null is no limit of its own."""

    id: str
    object: Literal["tenant"]
    name: str
    budget_usd_per_month: float | None
    guard_modes: Annotated[
        dict[str, GuardMode], Field(description="Modes of guard rules that differ from the rule's own.")
    ]
    allowed_models: list[str] | None
    cache_ttl_seconds: int | None
    cache_policy: Annotated[CachePolicyName | None, Field(description="Who shares answers; null: as the stack says.")]
    fallbacks: Annotated[dict[str, list[str]], Field(description="Models that stand in for a model, best first.")]
    created_at: Annotated[int, Field(description="Seconds since 1970.")]


class Tenants(TypedDict):
    """A page of tenants; if it `has_more`, the last one's id as `after` asks for the next."""

    object: Literal["list"]
    data: list[Tenant]
    has_more: bool


@ROUTES.post(
    "/v1/tenants",
    role=Role.ADMIN,
    example={"id": "school", "name": "The school", "budget_usd_per_month": 25},
    errors={409},
    status=HTTPStatus.CREATED,
)
def create_tenant(call: Call[NewTenant]) -> Tenant:
    """Make a tenant."""
    if call.body.guard_modes:
        # Imported when a request gives one: no other route of this function needs the rules.
        from sluice.guards.rules import check_rule_ids

        check_rule_ids(call.body.guard_modes, "guard_modes")
    return _shown(call.app.administration.create_tenant(call.body.to_record()))


@ROUTES.get("/v1/tenants", role=Role.ADMIN)
def list_tenants(call: Call[None, TenantQuery]) -> Tenants:
    """List the tenants."""
    page = call.app.directory.tenants(after=call.query.after, limit=call.query.limit)
    return {"object": "list", "data": [_shown(tenant) for tenant in page.entries], "has_more": page.has_more}


def _shown(tenant: TenantRecord) -> Tenant:
    budget = tenant.budget_usd_per_month
    return {
        "id": tenant.id,
        "object": "tenant",
        "name": tenant.name,
        "budget_usd_per_month": None if budget is None else float(budget),
        "guard_modes": dict(tenant.guard_modes),
        "allowed_models": None if tenant.allowed_models is None else list(tenant.allowed_models),
        "cache_ttl_seconds": tenant.cache_ttl_s,
        "cache_policy": tenant.cache_policy,
        "fallbacks": {model: list(names) for model, names in tenant.fallbacks.items()},
        "created_at": tenant.created_at,
    }
