"""Admission of a request: judge its prompt, plan its route, claim its turn, count its caller, look in the cache."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

from sluice.cache.key import cache_key
from sluice.cache.policy import CachePolicy
from sluice.cache.store import CachedAnswer, lifetime_s
from sluice.catalog import Tier
from sluice.conversations.conversation import Owner, TaskCall
from sluice.conversations.turns import Conversations, OpenTurn, abandoned_on_failure
from sluice.errors import GuardBlockedError
from sluice.gateway.counting import CallerCounter, CountedRequest
from sluice.gateway.request import AdmittedRequest, Incoming, guard_modes, user_of
from sluice.gateway.shared_answers import SharedAnswers
from sluice.guards.answer import judge_answer
from sluice.guards.prompt import check_request, raise_if_blocked
from sluice.guards.rules import Finding
from sluice.guards.structured_output import check_schema
from sluice.providers.registry import Registry
from sluice.routing.plan import Plan, RoutingPolicy, has_images, plan
from sluice.settings import Settings
from sluice.tenants.principal import Principal


class Admission:
    """Admits requests. Safe to share between threads."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        callers: CallerCounter,
        answers: SharedAnswers,
        conversations: Conversations,
        settings: Settings,
        executor: Executor,
    ) -> None:
        self._registry = registry
        self._callers = callers
        self._answers = answers
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
        findings = check_request(request, max_characters=self._settings.prompt_max_characters, modes=modes)
        raise_if_blocked(findings)
        check_schema(request.response_format)
        return findings, self._plan(incoming)

    def count(self, principal: Principal, user: str) -> CountedRequest:
        """Count one request for its caller. Raises QuotaExceededError, LedgerUnavailableError."""
        return self._callers.count(principal, user)

    def claim_turn(
        self, conversation_id: str, incoming: Incoming, chosen: Plan, made_of: TaskCall | None = None
    ) -> OpenTurn:
        """Claim the next turn of a conversation: another at the same time is refused."""
        principal = incoming.principal
        return self._conversations.begin(
            incoming.request,
            # A user whose name is empty is not the same as none.
            Owner(principal.tenant.id, principal.caller_id, incoming.request.labels.user),
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
        tenant, settings = incoming.principal.tenant, self._settings
        policy = RoutingPolicy(
            allowed_models=tenant.allowed_models,
            chains=tenant.fallbacks,
            needs_price=tenant.budget_nanousd is not None,
            orders={Tier.FAST: settings.fast_models, Tier.SMART: settings.smart_models},
        )
        complexity = incoming.context.complexity
        return plan(incoming.request, self._registry(), policy, complexity, takes_images=takes_images)

    def _own_turn(self, incoming: Incoming, chosen: Plan) -> OpenTurn | None:
        conversation_id = incoming.request.labels.conversation_id
        if conversation_id is None:
            return None
        return self.claim_turn(conversation_id, incoming, chosen)

    def _count_and_look_up(
        self, incoming: Incoming, chosen: Plan, findings: tuple[Finding, ...], turn: OpenTurn | None
    ) -> AdmittedRequest:
        """Count the caller and look in the cache, both at once."""
        started_s = time.monotonic()
        context, tenant = incoming.context, incoming.principal.tenant
        answer_format = context.answer_format or incoming.request.response_format
        key = cache_key(incoming.request, tenant=tenant.id, model=chosen.model, answer_format=answer_format)
        policy = CachePolicy(tenant.cache_policy or self._settings.cache_policy)
        is_covered = policy.covers(incoming.request.temperature, is_prompt_fixed=context.is_prompt_fixed)
        shares_answers = is_covered and not context.skip_cache
        looking = self._executor.submit(self._answers.look_up, tenant.id, key if shares_answers else None)
        counted = self.count(incoming.principal, user_of(incoming.request))
        found = looking.result()
        admitted = AdmittedRequest(
            request=incoming.request,
            principal=incoming.principal,
            context=context,
            plan=chosen,
            findings=findings,
            cache_key=key,
            shares_answers=shares_answers,
            cached=None,
            cached_provider=None,
            cache_generation=found.generation if found else None,
            cache_ttl_s=self._lifetime_s(incoming) if is_covered else 0,
            counted=counted,
            started_s=started_s,
            turn=turn,
        )
        admitted = self._with_cached(admitted, found.answer if found else None)
        return admitted if admitted.cached else self._coalesced(admitted)

    def _with_cached(self, admitted: AdmittedRequest, answer: CachedAnswer | None) -> AdmittedRequest:
        """The request with a cached answer, if the tenant's rules of today let it through, and what they flag in it."""
        if answer is None:
            return admitted
        try:
            _, findings = judge_answer(answer.body, None, admitted.guard_modes)
        except GuardBlockedError:
            return admitted
        provider = self._provider_of(answer)
        return replace(admitted, cached=answer, cached_provider=provider, findings=(*admitted.findings, *findings))

    def _coalesced(self, admitted: AdmittedRequest) -> AdmittedRequest:
        """The request with the answer of an identical one that is under way, or as the one that others wait for."""
        if not admitted.shares_answers or not admitted.is_stored:
            return admitted
        answer, is_leader = self._answers.join(admitted)
        return self._with_cached(replace(admitted, is_leader=is_leader), answer)

    def _lifetime_s(self, incoming: Incoming) -> int:
        tenant_s, task_s = incoming.principal.tenant.cache_ttl_s, incoming.context.cache_ttl_s
        if incoming.context.no_store:
            return 0
        return lifetime_s(tenant_s=tenant_s, task_s=task_s, default_s=self._settings.cache_ttl_s)

    def _provider_of(self, cached: CachedAnswer) -> str | None:
        deployments = self._registry().deployments
        return next((each.provider.name for each in deployments if each.id == cached.deployment), None)
