"""Who a request comes from: GET /v1/me."""

from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.api.route import Call, Routes
from sluice.tenants.tenant import Role

ROUTES = Routes("Usage")


class NamedKey(TypedDict):
    """An API key, by what it is called."""

    id: str
    name: str
    expires_at: Annotated[int | None, Field(description="Seconds since 1970; null: it does not expire.")]


class NamedTenant(TypedDict):
    """A tenant, by what it is called."""

    id: str
    name: str


class Me(TypedDict):
    """Who asks: its API key or login, its tenant, and what it may do."""

    object: Literal["principal"]
    key: NamedKey
    tenant: NamedTenant
    role: Role
    is_login: Annotated[bool, Field(description="Whether it is a login of a school's or a company's own.")]
    user: Annotated[str | None, Field(description="Who a login says that it is.")]


@ROUTES.get("/v1/me", role=Role.CALLER)
def show_me(call: Call) -> Me:
    """Show whose API key, or login, this is, and what it may do."""
    principal = call.principal
    key, tenant = principal.key, principal.tenant
    return {
        "object": "principal",
        "key": {"id": key.id, "name": key.name, "expires_at": key.expires_at},
        "tenant": {"id": tenant.id, "name": tenant.name},
        "role": principal.role,
        "is_login": principal.is_login,
        "user": principal.user,
    }
