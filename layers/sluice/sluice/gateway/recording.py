"""What is recorded of a request: its usage, and in its trace how it fares."""

import time
from collections.abc import Callable
from typing import Protocol

from sluice.cache.store import CachedAnswer
from sluice.catalog.money import to_nanousd
from sluice.chat import ChatRequest, Usage
from sluice.gateway.provenance import Provenance
from sluice.gateway.request import AdmittedRequest, Incoming, RequestContext, user_of
from sluice.loading.dataclass import dataclass
from sluice.providers.deployment import Deployment
from sluice.quota.reservation import Reservation
from sluice.quota.status import free_share
from sluice.request_log.record import RequestOutcome
from sluice.request_log.trace import RequestTrace, Settled
from sluice.routing.deployment_quota import Answered, limits_of
from sluice.tenants.principal import Principal
from sluice.usage.records import UsageRecord

_NO_USAGE = Usage(0, 0)
WITHOUT_MODEL = "sluice"
"""In the place of a provider where no model was asked."""


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


def note_question(trace: RequestTrace, request: ChatRequest, principal: Principal) -> None:
    """Note who asks, before anything can refuse it."""
    trace.user = user_of(request, principal)
    trace.task = request.labels.task or ""
    trace.is_streamed = bool(request.stream)


def note_without_model(trace: RequestTrace, source: str) -> None:
    """Note that `source` has answered, and no model."""
    trace.settle(
        Settled(outcome=RequestOutcome.ANSWERED, complexity="", cache="hit", provider=WITHOUT_MODEL, model=source)
    )


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was reserved for a call that answered: its deployment's quota, and its tenant's budget if it has one."""

    answered: Answered[object]
    of_tenant: Reservation | None

    def quota_used(self, now_ms: int) -> float:
        """The share of the deployment's scarcest limit that is used."""
        return 1 - free_share(limits_of(self.answered.deployment), self.answered.reservation.snapshot, now_ms)

    def budget_used(self, now_ms: int) -> float | None:
        """The share of the tenant's budget that is used or reserved, None without one."""
        if self.of_tenant is None:
            return None
        return 1 - free_share(self.of_tenant.limits.values(), self.of_tenant.snapshot, now_ms)


def note_settled(
    admitted: AdmittedRequest,
    provenance: Provenance,
    usage: Usage,
    outcome: RequestOutcome | None,
    reserved: Reserved | None = None,
) -> dict[str, Callable[[], None]]:
    """Note what a question came to; returns what is to be done at once with its settlement: its record's write."""
    trace = admitted.context.trace
    trace.asked_model = admitted.plan.model
    tier = "" if reserved is None else str(reserved.answered.deployment.model.tier)
    now_ms = time.time_ns() // 1_000_000
    return trace.settle(
        Settled(
            outcome=outcome,
            complexity=provenance.complexity or "",
            cache=provenance.cache or "",
            guard_rules=provenance.flagged_rules,
            model=provenance.model or "",
            deployment=provenance.deployment or "",
            provider=provenance.provider or "",
            tier=tier,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_nanousd=0 if provenance.cost_usd is None else to_nanousd(provenance.cost_usd),
            quota_used=reserved.quota_used(now_ms) if reserved else None,
            budget_used=reserved.budget_used(now_ms) if reserved else None,
        )
    )
