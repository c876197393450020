"""Requests on their way through the pipeline: what came in, and what was admitted."""

from collections.abc import Mapping
from dataclasses import field, replace
from decimal import Decimal
from functools import cached_property

from sluice.cache.store import CachedAnswer
from sluice.catalog.money import to_usd
from sluice.chat import ChatRequest, Message, ResponseFormat
from sluice.conversations.turns import Continued, OpenTurn
from sluice.gateway.counting import CountedRequest
from sluice.gateway.provenance import Provenance
from sluice.gateway.tenant_settings import TenantSettings
from sluice.guards.rules import Finding, Mode
from sluice.loading.dataclass import dataclass
from sluice.providers.registry import Registry
from sluice.quota.request_size import RequestSize
from sluice.request_log.trace import RequestTrace
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered
from sluice.routing.intent import Complexity
from sluice.routing.plan import Plan
from sluice.tenants.principal import Principal
from sluice.usage.records import Operation, UsageRecord


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What comes with a request but is not of it. `skip_cache`: answer anew, and cache that; `no_store`: cache nothing.

    `is_prompt_fixed`: a task or an older system's path made the request, and its temperature is not the caller's wish.
    `operation` is what its usage is counted as.

    `turn` is what was said before it, if that is known already: a task has claimed it for all that it asks, and a
    response goes on from it.

    The rest is what a task lays down: how hard its request is, how long its answer is cached (0: not at all), the
    format its answer is held against where that is more than all providers are asked for, and the one that those are
    asked for which take a JSON Schema. `trace` is where it is noted how the answer comes about.
    """

    request_id: str
    deadline: Deadline
    skip_cache: bool = False
    no_store: bool = False
    is_prompt_fixed: bool = False
    operation: Operation = "chat"
    complexity: Complexity | None = None
    cache_ttl_s: int | None = None
    answer_format: ResponseFormat | None = None
    preferred_format: ResponseFormat | None = None
    turn: Continued | None = None
    trace: RequestTrace = field(default_factory=RequestTrace)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request of an authenticated caller, before admission."""

    request: ChatRequest
    principal: Principal
    context: RequestContext


# Without slots, for what is worked out only once it is needed.
@dataclass(frozen=True, kw_only=True)
class AdmittedRequest:
    """A request that was admitted: judged, planned, counted for its caller, and looked up in the cache.

    `said` is what is new in it, without what a conversation adds. `settings` are those that hold for its tenant,
    `registry` has the deployments of its plan, and `turn` is the one that this request claimed and has to end.
    `shares_answers`: it may be served from the cache. `cache_generation` is None if the cache could not be asked: then
    the answer is not cached either. `is_leader`: identical requests wait for its answer. `failed_calls` are those that
    may be billed and are not recorded yet.
    """

    request: ChatRequest
    principal: Principal
    context: RequestContext
    settings: TenantSettings
    registry: Registry
    plan: Plan
    findings: tuple[Finding, ...]
    cache_key: str
    shares_answers: bool
    cache_generation: int | None
    cache_ttl_s: int
    counted: CountedRequest
    said: tuple[Message, ...]
    started_s: float  # monotonic
    turn: OpenTurn | None
    cached: CachedAnswer | None = None
    is_leader: bool = False
    failed_calls: list[UsageRecord] = field(default_factory=list)

    @cached_property
    def cached_provider(self) -> str | None:
        """The provider of the cached answer, None if its credential is gone."""
        if self.cached is None:
            return None
        found = (each for each in self.registry.deployments if each.id == self.cached.deployment)
        return next((each.provider.name for each in found), None)

    @cached_property
    def size(self) -> RequestSize:
        """What of it decides how many tokens it costs."""
        return RequestSize.of(self.request)

    @property
    def answer_format(self) -> ResponseFormat | None:
        """The format that the answer is held against."""
        return self.context.answer_format or self.request.response_format

    @property
    def guard_modes(self) -> Mapping[str, Mode]:
        """The tenant's modes by rule."""
        return self.settings.guard_modes

    @property
    def is_stored(self) -> bool:
        """Whether its answer is kept in the cache."""
        return self.cache_ttl_s > 0 and self.cache_generation is not None

    @property
    def user(self) -> str:
        """The user that the request is for, "" if nobody says."""
        return user_of(self.request, self.principal)

    @property
    def task(self) -> str:
        """The task that is run, or that the caller names, "" if it is none."""
        return self.request.labels.task or ""

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream asked for a chunk with the usage."""
        return bool(self.request.stream_options and self.request.stream_options.include_usage)

    def provenance(
        self,
        answered: Answered[object] | None = None,
        cost_nanousd: int | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> Provenance:
        """The provenance of the answer. Without `answered` it is the cached one's, or nobody has answered."""
        judged = self.context.trace.guard_models
        common = Provenance(
            request_id=self.context.request_id,
            complexity=self.plan.complexity and str(self.plan.complexity),
            flagged_rules=tuple(dict.fromkeys(finding.rule_id for finding in (*self.findings, *findings))),
            guard_cost_usd=to_usd(sum(each.cost_nanousd for each in judged)) if judged else None,
            guard_ms=sum(each.time_ms for each in judged) if judged else None,
            caller_limit=self.counted.limit,
        )
        if answered is None and self.cached is not None:
            return replace(
                common,
                deployment=self.cached.deployment,
                provider=self.cached_provider,
                model=self.cached.model,
                cache="hit",
                attempts=0,
                cost_usd=Decimal(0),
            )
        return replace(
            common,
            deployment=answered.deployment.id if answered else None,
            provider=answered.deployment.provider.name if answered else None,
            model=answered.deployment.model.id if answered else None,
            cache="miss" if self.shares_answers else "skipped",
            attempts=answered.attempts if answered else None,
            cost_usd=None if cost_nanousd is None else to_usd(cost_nanousd),
        )


def user_of(request: ChatRequest, principal: Principal) -> str:
    """The user that a request is for, "" if nobody says."""
    return principal.user_of(request.labels.user) or ""
