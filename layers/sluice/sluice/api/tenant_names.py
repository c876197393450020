"""What tenants are called in requests, and what callers call things: apart from routes that change tenants."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sluice.api.route import Call
from sluice.tenants.directory import no_tenant
from sluice.tenants.tenant import TENANT_ID_PATTERN
from sluice.tenants.visibility import reached

type TenantId = Annotated[str, Field(pattern=f"^{TENANT_ID_PATTERN}$")]
type DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]


class NamedTenantQuery(BaseModel):
    """The query of routes of a tenant's own: an admin names another `tenant`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: TenantId | None = None


def tenant_of(call: Call[Any, NamedTenantQuery]) -> str:
    """The tenant that is asked for, if the principal reaches it. Raises NotFoundError."""
    named = call.query.tenant
    if named is None:
        return call.principal.tenant.id
    if call.app.directory.stored_tenant(reached(named, call.principal)) is None:
        raise no_tenant(named)
    return named
