"""Quotas, health and caches, for operators: /api/groq."""

import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.operations.caches import CacheStats, ClearedCaches
from sluice.operations.deployment_report import Healths, Quotas
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import tenants

ROUTES = Routes("Operations")


class CacheQuery(BaseModel):
    """The query of the cache's routes. `tenant` is for admins, whose reach is all tenants if they name none."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tenant: Annotated[str, Field(min_length=1, max_length=63)] | None = None


@ROUTES.get("/api/groq/quota", role=Role.OPERATOR)
def show_quota(call: Call) -> Quotas:
    """Show how much of each deployment's limits is used."""
    return call.app.overview.quota()


@ROUTES.get("/api/groq/health", role=None, fuller_for=Role.OPERATOR)
def show_health(call: Call) -> Healths:
    """Say whether all, some or none of the deployments are fit for requests.

    Without an API key, or with a caller's: the status alone, some seconds old. With an operator's, how each deployment
    has done lately.
    """
    if call.caller is None:
        return {"status": call.app.overview.status()}
    return call.app.overview.health()


@ROUTES.get("/api/groq/cache/stats", role=Role.OPERATOR, errors={404})
def show_cache(call: Call[None, CacheQuery]) -> CacheStats:
    """Show how much is cached, and how much was answered from it today.

    Of the key's own tenant; of all tenants, or the one named, for an admin.
    """
    return call.app.caches.report(_tenants(call), time.time())


@ROUTES.post("/api/groq/cache/clear", role=Role.OPERATOR, errors={404})
def clear_cache(call: Call[None, CacheQuery]) -> ClearedCaches:
    """Let nothing that is cached be served any more.

    Of the key's own tenant; of all tenants, or the one named, for an admin.
    """
    return call.app.caches.clear(_tenants(call), call.actor)


def _tenants(call: Call[None, CacheQuery]) -> Iterator[str]:
    return tenants(call.principal, call.query.tenant, call.app.directory)
