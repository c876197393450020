"""What is going on, for managers of a tenant, operators and admins: GET /v1/overview."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.requests import LoggedRequest, logged
from sluice.api.route import Call, Routes
from sluice.operations.summary import (
    MOST_TENANTS,
    CauseCounts,
    DayTotals,
    DeploymentSummary,
    KeySummary,
    TenantSummary,
)
from sluice.tenants.directory import no_tenant
from sluice.tenants.tenant import Role, Tenant
from sluice.tenants.verification import ADMIN_ID
from sluice.tenants.visibility import reached

ROUTES = Routes("Operations")


class OverviewQuery(BaseModel):
    """The query of GET /v1/overview. `tenant` is for admins, who are shown the first 25 tenants without it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: Annotated[str, Field(min_length=1, max_length=63)] | None = None


class WholeOverview(TypedDict):
    """Budgets, the last day's use, the last hour's requests, and how the deployments stand."""

    object: Literal["overview"]
    tenants: list[TenantSummary]
    has_more_tenants: bool
    last_day: DayTotals
    keys: Annotated[list[KeySummary], Field(description="Those that spent most in the last 24 hours.")]
    last_hour: CauseCounts
    deployments: Annotated[list[DeploymentSummary] | None, Field(description="null for who may not see them.")]
    notable: Annotated[list[LoggedRequest], Field(description="Requests of the last hour, one of each notable kind.")]


@ROUTES.get("/v1/overview", role=Role.MANAGER, errors={404})
def show_overview(call: Call[None, OverviewQuery]) -> WholeOverview:
    """Show what is going on, and what runs out when.

    At the key's own tenant; at all tenants, the first 25 of them, or the one named, for an admin. Operators and admins
    see the deployments too.
    """
    tenants, has_more = _tenants(call)
    sees_deployments = call.principal.role.includes(Role.OPERATOR)
    found = call.app.summaries.of(
        tenants,
        has_more=has_more,
        overview=call.app.overview if sees_deployments else None,
        now=datetime.now(UTC),
    )
    return {
        "object": "overview",
        "tenants": found.tenants,
        "has_more_tenants": found.has_more_tenants,
        "last_day": found.day,
        "keys": found.keys,
        "last_hour": found.causes,
        "deployments": found.deployments,
        "notable": [logged(each) for each in found.notable],
    }


def _tenants(call: Call[None, OverviewQuery]) -> tuple[Sequence[Tenant], bool]:
    """The tenants that are shown, and whether there are more. NotFoundError for one out of reach."""
    principal, directory = call.principal, call.app.directory
    named = call.query.tenant
    if named is None and principal.role is Role.ADMIN:
        page = directory.tenants(after=None, limit=MOST_TENANTS)
        return page.entries, page.has_more
    tenant_id = principal.tenant.id if named is None else reached(named, principal)
    tenant = None if tenant_id == ADMIN_ID else directory.tenant(tenant_id)
    if tenant is None:
        raise no_tenant(tenant_id)
    return (tenant,), False
