"""Making, listing and revoking: what an admin sends, and what is shown in answer."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError
from sluice.money import NANOUSD_PER_USD
from sluice.settings import Settings
from sluice.tenants.api_key_token import KEY_ID_PATTERN, ApiKeyToken
from sluice.tenants.directory import Directory, Page
from sluice.tenants.tenant import ApiKey, GuardMode, Role, Tenant
from sluice.tenants.verification import ADMIN_ID

if TYPE_CHECKING:
    from sluice.chat import JsonObject

_YEAR_S = 366 * 86_400
# The last second of the year 9999. A time in milliseconds is beyond it.
_LAST_SECOND = 253_402_300_799

_KEY_ID = re.compile(KEY_ID_PATTERN, re.ASCII)

type _TenantId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
type _Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
type _RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
type _ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class _Request(BaseModel):
    # A misspelt limit must not silently be no limit. A request needs one of these models: the others need not be built.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NewTenant(_Request):
    """The body of POST /v1/tenants."""

    id: _TenantId
    name: _Name
    budget_usd_per_month: Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)] | None = None
    guard_modes: Annotated[dict[_RuleId, GuardMode], Field(max_length=200)] = {}
    allowed_models: Annotated[tuple[_ModelName, ...], Field(min_length=1, max_length=200)] | None = None
    cache_ttl_seconds: Annotated[int, Field(ge=0, le=_YEAR_S)] | None = None


class KeyLimits(_Request):
    """`limits` of a new key; what is left out is the deployment's default."""

    requests_per_minute: Annotated[int, Field(ge=1, le=10**6)] | None = None
    requests_per_day: Annotated[int, Field(ge=1, le=10**9)] | None = None


class NewKey(_Request):
    """The body of POST /v1/keys. `expires_at` is ISO 8601 with a time zone, or seconds since 1970."""

    tenant: _TenantId
    role: Role = Role.CALLER
    name: _Name
    expires_at: AwareDatetime | Annotated[int, Field(ge=0, le=_LAST_SECOND)] | None = None
    limits: Annotated[KeyLimits, Field(default_factory=KeyLimits)]


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class TenantQuery(_Query):
    """The query of GET /v1/tenants: at most `limit`, those whose ids follow `after`."""

    after: _TenantId | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class KeyQuery(_Query):
    """The query of GET /v1/keys: at most `limit` keys of `tenant`, those whose ids follow `after`."""

    tenant: _TenantId
    after: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Administration:
    """What the admin's routes do. `now` is in seconds since 1970."""

    def __init__(self, directory: Directory, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._settings = settings
        self._now = now

    def create_tenant(self, new: NewTenant) -> "JsonObject":
        """Store a tenant; ConflictError if its id is taken."""
        if new.id == ADMIN_ID:
            raise ConflictError(f"The id {ADMIN_ID!r} is taken by the admin key's own tenant.", param="id")
        budget = new.budget_usd_per_month
        tenant = Tenant(
            id=new.id,
            name=new.name,
            budget_nanousd=None if budget is None else int(budget * NANOUSD_PER_USD),
            guard_modes=new.guard_modes,
            allowed_models=new.allowed_models,
            cache_ttl_s=new.cache_ttl_seconds,
            created_at=int(self._now()),
        )
        self._directory.create_tenant(tenant)
        return _show_tenant(tenant)

    def tenants(self, query: TenantQuery) -> "JsonObject":
        """One page of the tenants."""
        page = self._directory.tenants(after=query.after, limit=query.limit)
        return _list(page, [_show_tenant(tenant) for tenant in page.entries])

    def create_key(self, new: NewKey) -> "JsonObject":
        """Make a key and show it, this once; NotFoundError if there is no such tenant."""
        now = int(self._now())
        expires_at = int(new.expires_at.timestamp()) if isinstance(new.expires_at, datetime) else new.expires_at
        if expires_at is not None and expires_at <= now:
            raise InvalidRequestError("expires_at: must be in the future.", param="expires_at")
        presented = ApiKeyToken.generate()
        key = ApiKey(
            id=presented.id,
            tenant_id=new.tenant,
            role=new.role,
            name=new.name,
            secret_hash=presented.secret_hash,
            requests_per_minute=new.limits.requests_per_minute,
            requests_per_day=new.limits.requests_per_day,
            expires_at=expires_at,
            created_at=now,
        )
        self._directory.create_key(key)
        return self._show_key(key) | {"api_key": presented.text}

    def keys(self, query: KeyQuery) -> "JsonObject":
        """One page of a tenant's keys, revoked and expired ones included; NotFoundError if there is no such tenant."""
        page = self._directory.keys(query.tenant, after=query.after, limit=query.limit)
        return _list(page, [self._show_key(key) for key in page.entries])

    def revoke_key(self, key_id: str) -> "JsonObject":
        """Revoke a key. Doing it again changes nothing and is no error: the first answer may have been lost.

        NotFoundError if there never was such a key.
        """
        if not _KEY_ID.fullmatch(key_id):
            raise NotFoundError("There is no API key with this id.", param="id")
        key = self._directory.revoke_key(key_id, now=int(self._now()))
        return {"id": key.id, "object": "key", "deleted": True}

    def _show_key(self, key: ApiKey) -> "JsonObject":
        return {
            "id": key.id,
            "object": "key",
            "tenant": key.tenant_id,
            "role": key.role,
            "name": key.name,
            "limits": {
                "requests_per_minute": key.requests_per_minute or self._settings.requests_per_minute,
                "requests_per_day": key.requests_per_day or self._settings.requests_per_day,
            },
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }


def _show_tenant(tenant: Tenant) -> "JsonObject":
    budget = tenant.budget_usd_per_month
    return {
        "id": tenant.id,
        "object": "tenant",
        "name": tenant.name,
        "budget_usd_per_month": None if budget is None else float(budget),
        "guard_modes": dict(tenant.guard_modes),
        "allowed_models": None if tenant.allowed_models is None else list(tenant.allowed_models),
        "cache_ttl_seconds": tenant.cache_ttl_s,
        "created_at": tenant.created_at,
    }


def _list[Entry](page: Page[Entry], shown: "Sequence[JsonObject]") -> "JsonObject":
    return {"object": "list", "data": shown, "has_more": page.has_more}
