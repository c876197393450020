"""What is recorded of a request's usage: an answer, one from the cache, one without a model."""

import time
from typing import Protocol

from sluice.cache.store import CachedAnswer
from sluice.chat import Usage
from sluice.gateway.request import AdmittedRequest, Incoming, RequestContext, user_of
from sluice.gateway.tracing import WITHOUT_MODEL
from sluice.providers.deployment import Deployment
from sluice.tenants.principal import Principal
from sluice.usage.records import UsageRecord

_NO_USAGE = Usage(0, 0)


class Admitted(Protocol):
    """A request that was admitted, whatever it asks for."""

    @property
    def principal(self) -> Principal:
        """Who asks."""
        ...

    @property
    def context(self) -> RequestContext:
        """What is known of the request beside its body."""
        ...

    @property
    def user(self) -> str:
        """The user that it is for, "" if nobody says."""
        ...

    @property
    def task(self) -> str:
        """The task that the caller names, "" if it is none."""
        ...

    @property
    def started_s(self) -> float:
        """When it began, on the monotonic clock."""
        ...


def record_of_call(
    admitted: Admitted, deployment: Deployment, usage: Usage, cost_nanousd: int, *, is_error: bool
) -> UsageRecord:
    """A call of a provider, which is an error unless its answer was given."""
    return UsageRecord(
        tenant=admitted.principal.tenant.id,
        caller=admitted.principal.caller_id,
        provider=deployment.provider.name,
        model=deployment.model.id,
        usage=usage,
        cost_nanousd=cost_nanousd,
        response_time_ms=_elapsed_ms(admitted),
        is_error=is_error,
        user=admitted.user,
        infra_nanousd=admitted.context.trace.take_infra_nanousd(),
        operation=admitted.context.operation,
        credential=deployment.alias,
        task=admitted.task,
    )


def record_of_cached(admitted: AdmittedRequest, cached: CachedAnswer) -> UsageRecord:
    """An answer that came from the cache."""
    return UsageRecord(
        tenant=admitted.principal.tenant.id,
        caller=admitted.principal.caller_id,
        provider=admitted.cached_provider or "gone",
        model=cached.model,
        usage=_NO_USAGE,
        cost_nanousd=0,
        response_time_ms=_elapsed_ms(admitted),
        is_cache_hit=True,
        user=admitted.user,
        infra_nanousd=admitted.context.trace.take_infra_nanousd(),
        operation=admitted.context.operation,
        credential=cached.deployment.partition("#")[0] if admitted.cached_provider else "",
        task=admitted.task,
    )


def record_without_model(incoming: Incoming, source: str) -> UsageRecord:
    """A request that `source` answered and no model."""
    return UsageRecord(
        tenant=incoming.principal.tenant.id,
        caller=incoming.principal.caller_id,
        provider=WITHOUT_MODEL,
        model=source,
        usage=_NO_USAGE,
        cost_nanousd=0,
        response_time_ms=0,
        is_cache_hit=True,
        user=user_of(incoming.request, incoming.principal),
        operation=incoming.context.operation,
        task=incoming.request.labels.task or "",
    )


def _elapsed_ms(admitted: Admitted) -> int:
    return int((time.monotonic() - admitted.started_s) * 1000)
