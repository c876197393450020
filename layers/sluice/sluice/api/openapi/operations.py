"""Routes of the function operations."""

from typing import Literal

from pydantic import Field

from sluice.api.openapi.operation import Operation, Shown
from sluice.catalog import Tier
from sluice.operations.caches import CacheQuery
from sluice.tenants.tenant import Role


class Deployment(Shown):
    """A model on a credential."""

    deployment: str
    provider: str
    credential: str = Field(description="Its alias.")
    model: str
    tier: Tier
    is_enabled: bool


class LimitStanding(Shown):
    """How much of a limit is used."""

    name: str
    used: int
    limit: int
    remaining: int
    percentage: float
    resets_in_seconds: int = Field(description="Until all of it is free again.")
    warning: str | None


class DeploymentQuota(Deployment):
    """How much of a deployment's limits is used: `rpm`, `rpd`, `tpm`, `tpd`; null where there is no such limit."""

    limits: dict[str, LimitStanding | None]
    blocked_for_seconds: int = Field(description="How long its provider wants to be left alone.")
    warnings: list[str]


class Quotas(Shown):
    """How much of each deployment's limits is used, and what is nearly used up."""

    object: Literal["list"]
    data: list[DeploymentQuota]
    warnings: list[str]


class DeploymentHealth(Deployment):
    """How a deployment has done lately. Scores and rates are from 0 to 1."""

    is_healthy: bool
    health_score: float
    success_rate: float
    consecutive_failures: int
    response_time_ms: float | None
    circuit: str


class Healths(Shown):
    """How the deployments have done lately, and whether all, some or none of those switched on are fit for requests."""

    object: Literal["list"]
    status: Literal["healthy", "degraded", "unhealthy"]
    data: list[DeploymentHealth]


class CacheUse(Shown):
    """How much is cached, and how many of the day's requests were answered from it."""

    entries: int
    expired: int
    bytes: int
    hits: int
    misses: int
    hit_rate: float | None


class TenantCacheUse(CacheUse):
    """The same of one tenant."""

    tenant: str


class CacheStats(CacheUse):
    """The caches of all tenants in reach, together and one by one."""

    object: Literal["cache.stats"]
    day: str
    approximate: list[str] = Field(description="Which numbers are only nearly right.")
    tenants: list[TenantCacheUse]


class ClearedCaches(Shown):
    """Whose caches were cleared."""

    object: Literal["cache.cleared"]
    tenants: list[str]


class ServedModel(Shown):
    """A model on a credential."""

    id: str
    tier: Tier
    is_enabled: bool
    priority: int
    limits: dict[str, int]


class ListedCredential(Shown):
    """An API key of a provider, by its alias. The key itself is not shown."""

    alias: str
    base_url: str | None
    timeout_seconds: float
    models: list[ServedModel]


class Provider(Shown):
    """A company's API."""

    id: str
    object: Literal["provider"]
    adapter: str
    priority: int
    credentials: list[ListedCredential]


class Providers(Shown):
    """The providers there are credentials for."""

    object: Literal["list"]
    data: list[Provider]


OPERATIONS = (
    Operation(
        id="showQuota",
        method="GET",
        path="/api/groq/quota",
        tag="Operations",
        summary="Show how much of each deployment's limits is used",
        role=Role.OPERATOR,
        answer=Quotas,
    ),
    Operation(
        id="showHealth",
        method="GET",
        path="/api/groq/health",
        tag="Operations",
        summary="Show how each deployment has done lately",
        role=Role.OPERATOR,
        answer=Healths,
    ),
    Operation(
        id="showCache",
        method="GET",
        path="/api/groq/cache/stats",
        tag="Operations",
        summary="Show how much is cached, and how much was answered from it today",
        description="Of the key's own tenant; of all tenants, or the one named, for an admin.",
        role=Role.OPERATOR,
        query=CacheQuery,
        answer=CacheStats,
        errors=frozenset({404}),
    ),
    Operation(
        id="clearCache",
        method="POST",
        path="/api/groq/cache/clear",
        tag="Operations",
        summary="Let nothing that is cached be served any more",
        description="Of the key's own tenant; of all tenants, or the one named, for an admin.",
        role=Role.OPERATOR,
        query=CacheQuery,
        answer=ClearedCaches,
        errors=frozenset({404}),
    ),
    Operation(
        id="listProviders",
        method="GET",
        path="/v1/providers",
        tag="Operations",
        summary="List the providers and their credentials",
        role=Role.OPERATOR,
        answer=Providers,
    ),
)
