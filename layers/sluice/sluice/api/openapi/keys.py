"""Routes of the function keys."""

from http import HTTPStatus
from typing import Literal

from pydantic import Field

from sluice.api.openapi.operation import Operation, PathParameter, Shown
from sluice.tenants.administration import KeyQuery, NewKey, NewTenant, TenantQuery
from sluice.tenants.tenant import GuardMode, Role


class Tenant(Shown):
    """Who owns API keys, policies and a budget. null is no limit of its own."""

    id: str
    object: Literal["tenant"]
    name: str
    budget_usd_per_month: float | None
    guard_modes: dict[str, GuardMode] = Field(description="Modes of guard rules that differ from the rule's own.")
    allowed_models: list[str] | None
    cache_ttl_seconds: int | None
    created_at: int = Field(description="Seconds since 1970.")


class Tenants(Shown):
    """A page of tenants; if it `has_more`, the last one's id as `after` asks for the next."""

    object: Literal["list"]
    data: list[Tenant]
    has_more: bool


class RequestLimits(Shown):
    """What an API key may ask for."""

    requests_per_minute: int
    requests_per_day: int


class Key(Shown):
    """An API key, without its secret. Times are in seconds since 1970."""

    id: str
    object: Literal["key"]
    tenant: str
    role: Role
    name: str
    limits: RequestLimits
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class CreatedKey(Key):
    """A new API key. `api_key` is shown in this answer and nowhere else."""

    api_key: str


class Keys(Shown):
    """A page of keys; if it `has_more`, the last one's id as `after` asks for the next."""

    object: Literal["list"]
    data: list[Key]
    has_more: bool


class RevokedKey(Shown):
    """A key that is not accepted any more, within 60 s everywhere."""

    id: str
    object: Literal["key"]
    deleted: Literal[True]


OPERATIONS = (
    Operation(
        id="createTenant",
        method="POST",
        path="/v1/tenants",
        tag="Tenants and keys",
        summary="Make a tenant",
        role=Role.ADMIN,
        body=NewTenant,
        example={"id": "school", "name": "The school", "budget_usd_per_month": 25},
        answer=Tenant,
        status=HTTPStatus.CREATED,
        errors=frozenset({409}),
    ),
    Operation(
        id="listTenants",
        method="GET",
        path="/v1/tenants",
        tag="Tenants and keys",
        summary="List the tenants",
        role=Role.ADMIN,
        query=TenantQuery,
        answer=Tenants,
    ),
    Operation(
        id="createKey",
        method="POST",
        path="/v1/keys",
        tag="Tenants and keys",
        summary="Make an API key",
        role=Role.ADMIN,
        body=NewKey,
        example={"tenant": "school", "name": "Tutor bot", "limits": {"requests_per_minute": 30}},
        answer=CreatedKey,
        status=HTTPStatus.CREATED,
        errors=frozenset({404, 409}),
    ),
    Operation(
        id="listKeys",
        method="GET",
        path="/v1/keys",
        tag="Tenants and keys",
        summary="List a tenant's API keys",
        role=Role.ADMIN,
        query=KeyQuery,
        answer=Keys,
        errors=frozenset({404}),
    ),
    Operation(
        id="revokeKey",
        method="DELETE",
        path="/v1/keys/{id}",
        tag="Tenants and keys",
        summary="Revoke an API key",
        description="Doing it again changes nothing.",
        role=Role.ADMIN,
        parameters={"id": PathParameter("The id of a key: what stands in it after `sl-`.", "k0a1b2c3d4e5")},
        answer=RevokedKey,
    ),
)
