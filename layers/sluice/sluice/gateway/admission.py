"""Admission of a request: judge its prompt, plan its route, claim its turn, count its caller, look in the cache."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal

from sluice.cache.key import cache_key
from sluice.cache.store import CachedAnswer, CacheLookup, ResponseCache, lifetime_s
from sluice.chat import ChatRequest, ResponseFormat
from sluice.conversations.conversation import Owner, TaskCall
from sluice.conversations.memory import Conversations, OpenTurn, abandoned_on_failure
from sluice.errors import QuotaExceededError
from sluice.gateway.provenance import Provenance, RequestLimit
from sluice.guards.json_answer import check_schema
from sluice.guards.prompt import check_prompt, raise_if_blocked
from sluice.guards.rules import Finding, Mode
from sluice.money import to_usd
from sluice.providers.registry import Registry
from sluice.quota.item import Reservation
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import CALLER_WINDOWS, Limit, standing
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered
from sluice.routing.intent import Complexity
from sluice.routing.plan import Plan, has_images, plan
from sluice.settings import Settings
from sluice.telemetry import best_effort
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What comes with a request but is not of it. `skip_cache`: answer anew, and cache that.

    The rest is what a task lays down: how hard its request is, how long its answer is cached (0: not at all), the
    format its answer is held against where that is more than all providers are asked for, the one that those are
    asked for which take a JSON Schema, and the `turn` of a conversation that it has claimed for all it asks.
    """

    request_id: str
    deadline: Deadline
    skip_cache: bool = False
    complexity: Complexity | None = None
    cache_ttl_s: int | None = None
    answer_format: ResponseFormat | None = None
    preferred_format: ResponseFormat | None = None
    turn: OpenTurn | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request of an authenticated caller, before admission."""

    request: ChatRequest
    principal: Principal
    context: RequestContext


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedRequest:
    """A request that was admitted: judged, planned, counted for its caller, and looked up in the cache.

    `turn` is the one that this request claimed and has to end. `cache_generation` is None if the cache could not be
    asked: then the answer is not cached either. `cached_provider` is None if the cached answer's credential is gone.
    """

    request: ChatRequest
    principal: Principal
    context: RequestContext
    plan: Plan
    findings: tuple[Finding, ...]
    cache_key: str
    cached: CachedAnswer | None
    cached_provider: str | None
    cache_generation: int | None
    cache_ttl_s: int
    caller: Reservation
    caller_limit: RequestLimit
    started_s: float  # monotonic
    turn: OpenTurn | None

    @property
    def answer_format(self) -> ResponseFormat | None:
        """The format that the answer is held against."""
        return self.context.answer_format or self.request.response_format

    @property
    def guard_modes(self) -> Mapping[str, Mode]:
        """The tenant's modes by rule."""
        return guard_modes(self.principal.tenant)

    @property
    def user(self) -> str:
        """The user that the caller names, "" if it names none."""
        return user_of(self.request)

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream asked for a chunk with the usage."""
        return self.request.stream_options is not None and self.request.stream_options.include_usage

    def provenance(
        self,
        answered: Answered[object] | None = None,
        cost_nanousd: int | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> Provenance:
        """The provenance of the answer. Without `answered` it is the cached one's, or nobody has answered."""
        common = Provenance(
            request_id=self.context.request_id,
            complexity=str(self.plan.complexity),
            flagged_rules=tuple(dict.fromkeys(finding.rule_id for finding in (*self.findings, *findings))),
            caller_limit=self.caller_limit,
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
            cache="skipped" if self.context.skip_cache else "miss",
            attempts=answered.attempts if answered else None,
            cost_usd=None if cost_nanousd is None else to_usd(cost_nanousd),
        )


class Admission:
    """Admits requests. Safe to share between threads."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        ledger: Ledger,
        cache: ResponseCache,
        conversations: Conversations,
        settings: Settings,
        executor: Executor,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._cache = cache
        self._conversations = conversations
        self._settings = settings
        self._executor = executor

    def admit(self, incoming: Incoming) -> AdmittedRequest:
        """Admit a request. Raises SluiceError, and then nothing is spent.

        How hard a request is, and who may answer it, is found from what is new in it, not from what was said before;
        only images in that need a model that can see.
        """
        incoming = self._bounded(incoming)
        findings, chosen = self.judge(incoming)
        own_turn = self._own_turn(incoming, chosen)
        with abandoned_on_failure(own_turn):
            turn = own_turn or incoming.context.turn
            whole = turn.continued(incoming.request) if turn else incoming.request
            if turn and has_images(whole):
                chosen = self._plan(incoming, takes_images=True)
            return self._count_and_look_up(replace(incoming, request=whole), chosen, findings, own_turn)

    def judge(self, incoming: Incoming) -> tuple[tuple[Finding, ...], Plan]:
        """What the guards find in the prompt, and who may answer it. Raises what refuses a request at once."""
        request, modes = incoming.request, guard_modes(incoming.principal.tenant)
        findings = check_prompt(request.messages, max_characters=self._settings.prompt_max_characters, modes=modes)
        raise_if_blocked(findings)
        check_schema(request.response_format)
        return findings, self._plan(incoming)

    def count(self, principal: Principal) -> tuple[Reservation, RequestLimit]:
        """Count one request for its caller. Raises QuotaExceededError, LedgerUnavailableError."""
        limits = self._caller_limits(principal)
        scope = f"caller#{principal.tenant.id}#{principal.caller_id}"
        try:
            caller = self._ledger.reserve(scope, limits, {limit.name: 1 for limit in limits}, hold=False)
        except QuotaDeniedError as refused:
            raise denied(refused, "The API key", "rate_limit_exceeded") from refused
        left = standing(limits[0], caller.state, self._ledger.now_ms())
        return caller, RequestLimit(left.capacity, left.remaining, left.resets_in_ms / 1000)

    def claim_turn(
        self, conversation_id: str, incoming: Incoming, chosen: Plan, made_of: TaskCall | None = None
    ) -> OpenTurn:
        """Claim the next turn of a conversation: another at the same time is refused."""
        principal = incoming.principal
        return self._conversations.begin(
            incoming.request,
            Owner(principal.tenant.id, principal.caller_id, user_of(incoming.request) or None),
            conversation_id,
            incoming.context.request_id,
            context_window=min(each.model.context_window for each in chosen.deployments),
            remaining_s=incoming.context.deadline.remaining_s,
            made_of=made_of,
        )

    def _bounded(self, incoming: Incoming) -> Incoming:
        most = self._settings.default_max_tokens
        if not most or incoming.request.completion_limit is not None:
            return incoming
        return replace(incoming, request=incoming.request.model_copy(update={"max_tokens": most}))

    def _plan(self, incoming: Incoming, *, takes_images: bool = False) -> Plan:
        allowed = incoming.principal.tenant.allowed_models
        complexity = incoming.context.complexity
        return plan(incoming.request, self._registry(), allowed, complexity, takes_images=takes_images)

    def _own_turn(self, incoming: Incoming, chosen: Plan) -> OpenTurn | None:
        metadata = incoming.request.metadata
        if metadata is None or metadata.conversation_id is None:
            return None
        return self.claim_turn(metadata.conversation_id, incoming, chosen)

    def _count_and_look_up(
        self, incoming: Incoming, chosen: Plan, findings: tuple[Finding, ...], turn: OpenTurn | None
    ) -> AdmittedRequest:
        """Count the caller and look in the cache, both at once."""
        started_s = time.monotonic()
        context, tenant = incoming.context, incoming.principal.tenant
        answer_format = context.answer_format or incoming.request.response_format
        key = cache_key(incoming.request, tenant=tenant.id, model=chosen.model, answer_format=answer_format)
        looking = self._executor.submit(self._look_up, tenant.id, None if context.skip_cache else key)
        caller, left = self.count(incoming.principal)
        found = looking.result()
        cached = found.answer if found else None
        return AdmittedRequest(
            request=incoming.request,
            principal=incoming.principal,
            context=context,
            plan=chosen,
            findings=findings,
            cache_key=key,
            cached=cached,
            cached_provider=self._provider_of(cached) if cached else None,
            cache_generation=found.generation if found else None,
            cache_ttl_s=lifetime_s(
                tenant_s=tenant.cache_ttl_s, task_s=context.cache_ttl_s, default_s=self._settings.cache_ttl_s
            ),
            caller=caller,
            caller_limit=left,
            started_s=started_s,
            turn=turn,
        )

    def _look_up(self, tenant: str, key: str | None) -> CacheLookup | None:
        with best_effort("reading the cache"):
            return self._cache.look_up(tenant, key)
        return None

    def _provider_of(self, cached: CachedAnswer) -> str | None:
        deployments = self._registry().deployments
        return next((each.provider.name for each in deployments if each.id == cached.deployment), None)

    def _caller_limits(self, principal: Principal) -> tuple[Limit, ...]:
        key, defaults = principal.key, self._settings
        per_minute = defaults.requests_per_minute if key.requests_per_minute is None else key.requests_per_minute
        per_day = defaults.requests_per_day if key.requests_per_day is None else key.requests_per_day
        capacities = {"requests_per_minute": per_minute, "requests_per_day": per_day}
        return tuple(
            Limit(name, capacity, CALLER_WINDOWS[name], is_fixed=True) for name, capacity in capacities.items()
        )


def guard_modes(tenant: Tenant) -> Mapping[str, Mode]:
    """The tenant's modes by rule id."""
    return {rule_id: Mode(mode) for rule_id, mode in tenant.guard_modes.items()}


def user_of(request: ChatRequest) -> str:
    """The user that a request names, "" if it names none."""
    return (request.metadata.user if request.metadata else None) or ""


def denied(refused: QuotaDeniedError, whose: str, code: str) -> QuotaExceededError:
    """The 429 that a denied reservation becomes; `whose` limit it is begins its message."""
    wait_ms = refused.denial.retry_after_ms
    limit = refused.denial.limit.replace("nanousd_per_month", "dollars per month").replace("_", " ")
    if wait_ms is None:
        return QuotaExceededError(f"{whose} has too small a limit of {limit} for this.", retry_after_s=None, code=code)
    wait_s = -(-wait_ms // 1000)
    return QuotaExceededError(f"{whose} is out of {limit}. Try again in {wait_s} s.", retry_after_s=wait_s, code=code)
