"""Quotas, health and caches, for operators: /api/groq."""

import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.providers import TAG
from sluice.api.route import Call, Route
from sluice.operations.caches import CacheStats, ClearedCaches
from sluice.operations.deployment_report import Healths, Quotas
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import tenants


class CacheQuery(BaseModel):
    """The query of the cache's routes. `tenant` is for admins, whose reach is all tenants if they name none."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tenant: Annotated[str, Field(min_length=1, max_length=63)] | None = None


def show_quota(call: Call) -> Quotas:
    """GET /api/groq/quota."""
    return call.app.overview.quota()


def show_health(call: Call) -> Healths:
    """GET /api/groq/health."""
    return call.app.overview.health()


def show_cache(call: Call[None, CacheQuery]) -> CacheStats:
    """GET /api/groq/cache/stats."""
    return call.app.caches.report(_tenants(call), time.time())


def clear_cache(call: Call[None, CacheQuery]) -> ClearedCaches:
    """POST /api/groq/cache/clear."""
    return call.app.caches.clear(_tenants(call))


def _tenants(call: Call[None, CacheQuery]) -> Iterator[str]:
    return tenants(call.principal, call.query.tenant, call.app.directory)


ROUTES = (
    Route(
        id="showQuota",
        method="GET",
        path="/api/groq/quota",
        tag=TAG,
        summary="Show how much of each deployment's limits is used",
        role=Role.OPERATOR,
        answer=Quotas,
        handler=show_quota,
    ),
    Route(
        id="showHealth",
        method="GET",
        path="/api/groq/health",
        tag=TAG,
        summary="Show how each deployment has done lately",
        role=Role.OPERATOR,
        answer=Healths,
        handler=show_health,
    ),
    Route(
        id="showCache",
        method="GET",
        path="/api/groq/cache/stats",
        tag=TAG,
        summary="Show how much is cached, and how much was answered from it today",
        description="Of the key's own tenant; of all tenants, or the one named, for an admin.",
        role=Role.OPERATOR,
        query=CacheQuery,
        answer=CacheStats,
        errors=frozenset({404}),
        handler=show_cache,
    ),
    Route(
        id="clearCache",
        method="POST",
        path="/api/groq/cache/clear",
        tag=TAG,
        summary="Let nothing that is cached be served any more",
        description="Of the key's own tenant; of all tenants, or the one named, for an admin.",
        role=Role.OPERATOR,
        query=CacheQuery,
        answer=ClearedCaches,
        errors=frozenset({404}),
        handler=clear_cache,
    ),
)
