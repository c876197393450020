"""For operators: quotas, health, caches and providers."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.rest import RestApp
from sluice.cache.store import ResponseCache
from sluice.cache.sums import CacheSums
from sluice.operations.caches import CacheQuery, Caches
from sluice.operations.deployments import Overview
from sluice.providers.registry import RegistryLoader
from sluice.quota.ledger import Ledger
from sluice.routing.breaker import Breaker
from sluice.settings import settings
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import tenants

app = RestApp()
logger = Logger()


@cache
def overview() -> Overview:
    """What this function shows of the deployments."""
    configured = settings()
    breaker = Breaker(configured.circuit_breakers_table)
    return Overview(RegistryLoader().get, Ledger(configured.quota_table), breaker)


@cache
def caches() -> Caches:
    """The caches that this function shows and clears."""
    return Caches(ResponseCache(settings().response_cache_table), CacheSums(settings().usage_table))


@app.get("/api/groq/quota")
def show_quota() -> Response[str]:
    """How much of each deployment's limits is used."""
    app.principal(Role.OPERATOR)
    return app.answer(overview().quota())


@app.get("/api/groq/health")
def show_health() -> Response[str]:
    """How each deployment has done lately."""
    app.principal(Role.OPERATOR)
    return app.answer(overview().health())


@app.get("/v1/providers")
def list_providers() -> Response[str]:
    """List the providers and their credentials."""
    app.principal(Role.OPERATOR)
    return app.answer(overview().providers())


@app.get("/api/groq/cache/stats")
def show_cache() -> Response[str]:
    """How much is cached, and how much was answered from it today."""
    return app.answer(caches().report(_tenants(), time.time()))


@app.post("/api/groq/cache/clear")
def clear_cache() -> Response[str]:
    """Let nothing that is cached be served any more."""
    return app.answer(caches().clear(_tenants()))


def _tenants() -> Iterator[str]:
    principal = app.principal(Role.OPERATOR)
    return tenants(principal, app.query(CacheQuery).tenant, Directory(settings().directory_table))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
