"""Admission of a request: count its caller, judge its prompt, plan its route, claim its turn, look in the cache."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace

from sluice.cache.key import cache_key
from sluice.cache.store import CachedAnswer, CacheLookup
from sluice.catalog.model import Tier
from sluice.chat import AUTO
from sluice.conversations.conversation import Owner, TaskCall
from sluice.conversations.turns import Conversations, OpenTurn, WantedTurn, abandoned_on_failure
from sluice.conversations.window import Window
from sluice.errors import GuardBlockedError
from sluice.gateway.budget import has_budget
from sluice.gateway.counting import CallerCounter, CountedRequest
from sluice.gateway.judged_answers import JudgedAnswers
from sluice.gateway.request import AdmittedRequest, Incoming, user_of
from sluice.gateway.shared_answers import SharedAnswers
from sluice.gateway.tenant_settings import TenantSettings, smart_share
from sluice.guards.prompt import check_request, raise_if_blocked
from sluice.guards.rules import Finding, Mode
from sluice.guards.structured_output import check_schema
from sluice.loading.dataclass import dataclass
from sluice.providers.registry import Registry
from sluice.routing.plan import Plan, RoutingPolicy, has_images, plan
from sluice.routing.shares import TenantShares
from sluice.settings import Settings
from sluice.tenants.choices import check_enabled
from sluice.tenants.tenant import GuardModels, Tenant


@dataclass(frozen=True, slots=True)
class _LookedUp:
    """What the cache has for a request. `shares_answers`: an answer there may serve; without `found` none is kept."""

    key: str
    shares_answers: bool
    found: CacheLookup | None

    @property
    def answer(self) -> CachedAnswer | None:
        """The answer that is kept there."""
        return self.found.answer if self.found else None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is known of a request before anything is claimed for it; `looked_up` is None if that has to wait."""

    findings: tuple[Finding, ...]
    registry: Registry
    plan: Plan
    looked_up: _LookedUp | None


class Admission:
    """Admits requests. Safe to share between threads."""

    def __init__(
        self,
        registry: Callable[[Tenant], Registry],
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
        self._shares = TenantShares()
        self._judged = JudgedAnswers()
        self._last_settings: tuple[Tenant | None, TenantSettings | None] = (None, None)

    def admit(self, incoming: Incoming) -> AdmittedRequest:
        """Admit a request. Raises SluiceError, and then no more is spent than the caller's request.

        The caller is counted first, so that nobody has the guards work for nothing: see `CallerCounter.kept`. How hard
        a request is, and who may answer it, is found from what is new in it, not from what was said before; only
        images in that need a model that can see.
        """
        started_s = time.monotonic()
        settings = self._settings_for(incoming)
        incoming = self._bounded(incoming)
        said = tuple(incoming.request.messages)
        principal, turn = incoming.principal, incoming.context.turn
        user = user_of(incoming.request, principal)
        continues = turn is not None or incoming.request.labels.conversation_id is not None
        scopes = self._callers.check(principal, user)
        judging = self._executor.submit(self._judge_and_look_up, incoming, looks_up=not continues)
        counted = self._callers.take(scopes)
        with self._callers.kept(counted):
            judged = judging.result()
            registry, chosen = judged.registry, judged.plan
            own_turn = self._own_turn(incoming, chosen)
            with abandoned_on_failure(own_turn):
                if turn := own_turn or turn:
                    continued = turn.continued(incoming.request)
                    if has_images(continued):
                        chosen = self._plan(incoming, registry, takes_images=True)
                    incoming = replace(incoming, request=continued)
                looked_up = judged.looked_up or self._look_up(incoming, chosen)
                cached, flagged = self._passed(looked_up.answer, settings.guard_modes)
                admitted = AdmittedRequest(
                    request=incoming.request,
                    principal=principal,
                    context=incoming.context,
                    settings=settings,
                    registry=registry,
                    plan=chosen,
                    findings=(*judged.findings, *flagged),
                    cached=cached,
                    cache_key=looked_up.key,
                    shares_answers=looked_up.shares_answers,
                    cache_generation=looked_up.found.generation if looked_up.found else None,
                    cache_ttl_s=self._lifetime_s(incoming),
                    counted=counted,
                    said=said,
                    started_s=started_s,
                    turn=own_turn,
                )
                return admitted if admitted.cached else self._coalesced(admitted)

    def count(self, incoming: Incoming) -> CountedRequest:
        """Count a request that asks no model, and judge it. Raises as `admit`."""
        counted = self._callers.count(incoming.principal, user_of(incoming.request, incoming.principal))
        with self._callers.kept(counted):
            self._judge(incoming)
            self.plan(incoming)
        return counted

    def check(self, incoming: Incoming) -> tuple[Incoming, Plan]:
        """Judge a request and find who may answer it, without counting it. Returns it as it would be asked.

        Raises as `admit`, but for want of quota.
        """
        incoming = self._bounded(incoming)
        self._judge(incoming)
        return incoming, self.plan(incoming)

    def plan(self, incoming: Incoming) -> Plan:
        """Find who may answer a request. Raises as `admit` where nobody may."""
        return self._plan(incoming, self._registry(incoming.principal.tenant))

    def note_answer(self, admitted: AdmittedRequest, model: str) -> None:
        """Note which model has answered, for the shares of those that `auto` chooses from."""
        if admitted.request.model == AUTO:
            tenant = admitted.principal.tenant
            _, is_own = smart_share(tenant, self._settings)
            self._shares.note(model, tenant.id if is_own else None)

    def claim_turn(
        self, conversation_id: str, incoming: Incoming, made_of: TaskCall | None = None, chosen: Plan | None = None
    ) -> OpenTurn:
        """Claim the next turn of a conversation: another at the same time is refused.

        `chosen` is who may answer, found here if it is not known.
        """
        principal, chosen = incoming.principal, chosen or self.plan(incoming)
        check_enabled("conversations", principal.tenant)
        wanted = WantedTurn(
            # A user whose name is empty is not the same as none.
            owner=Owner(principal.tenant.id, principal.caller_id, principal.user_of(incoming.request.labels.user)),
            conversation_id=conversation_id,
            request_id=incoming.context.request_id,
            remaining_s=incoming.context.deadline.remaining_s,
            window=Window(
                self._settings_for(incoming).conversation,
                context_window=min(each.model.context_window for each in chosen.deployments),
            ),
            made_of=made_of,
        )
        return self._conversations.begin(incoming.request, wanted)

    def _bounded(self, incoming: Incoming) -> Incoming:
        request, settings = incoming.request, self._settings_for(incoming)
        if not settings.default_max_tokens or request.completion_limit is not None:
            return incoming
        # A default must not be more than the model can, which who states it would be told.
        most = (
            self._registry(incoming.principal.tenant).most_completion_tokens(request.model)
            or settings.default_max_tokens
        )
        bounded = request.model_copy(update={"max_tokens": min(settings.default_max_tokens, most)})
        return replace(incoming, request=bounded)

    def _settings_for(self, incoming: Incoming) -> TenantSettings:
        """The settings of the tenant. Asked several times of one: those of the last are kept."""
        tenant, (kept_of, kept) = incoming.principal.tenant, self._last_settings
        if kept is None or kept_of is not tenant:
            kept = TenantSettings.of(tenant, self._settings)
            # One assignment: a thread sees the pair before, or this one.
            self._last_settings = tenant, kept
        return kept

    def _plan(self, incoming: Incoming, registry: Registry, *, takes_images: bool = False) -> Plan:
        tenant, settings = incoming.principal.tenant, self._settings
        policy = RoutingPolicy(
            allowed_models=tenant.allowed_models,
            chains=tenant.fallbacks,
            needs_price=has_budget(incoming.principal, user_of(incoming.request, incoming.principal)),
            orders={Tier.FAST: settings.fast_models, Tier.SMART: settings.smart_models},
            over_share=self._over_share(tenant),
            by_priority=not self._settings_for(incoming).is_routing_enabled,
        )
        complexity = incoming.context.complexity
        return plan(incoming.request, registry, policy, complexity, takes_images=takes_images)

    def _over_share(self, tenant: Tenant) -> tuple[str, ...]:
        """The models that have answered more than their share: of the tenant's requests, where it has a share set."""
        percent, is_own = smart_share(tenant, self._settings)
        return self._shares.above(percent / 100, tenant.id) if is_own else self._shares.above(percent / 100)

    def _own_turn(self, incoming: Incoming, chosen: Plan) -> OpenTurn | None:
        conversation_id = incoming.request.labels.conversation_id
        if conversation_id is None:
            return None
        return self.claim_turn(conversation_id, incoming, chosen=chosen)

    def _judge_and_look_up(self, incoming: Incoming, *, looks_up: bool) -> _Judged:
        """What the guards find, who may answer, and with `looks_up` what the cache has."""
        findings = self._judge(incoming)
        registry = self._registry(incoming.principal.tenant)
        chosen = self._plan(incoming, registry)
        return _Judged(findings, registry, chosen, self._look_up(incoming, chosen) if looks_up else None)

    def _judge(self, incoming: Incoming) -> tuple[Finding, ...]:
        request, modes = incoming.request, self._settings_for(incoming).guard_modes
        findings = check_request(request, max_characters=self._settings.prompt_max_characters, modes=modes)
        raise_if_blocked(findings)
        check_schema(request.response_format)
        return findings

    def _look_up(self, incoming: Incoming, chosen: Plan) -> _LookedUp:
        context, tenant, settings = incoming.context, incoming.principal.tenant, self._settings_for(incoming)
        answer_format = context.answer_format or incoming.request.response_format
        key = cache_key(
            settings.tempered(incoming.request),
            tenant=tenant.id,
            model=chosen.model,
            answer_format=answer_format,
            judged_by=_judged_by(settings.guard_models),
        )
        # Whether variety is asked for is said by the caller's temperature, and not by a setting's.
        stated = incoming.request.temperature
        is_covered = settings.is_caching and settings.cache_policy.covers(
            stated, is_prompt_fixed=context.is_prompt_fixed
        )
        shares_answers = is_covered and not context.skip_cache
        # Who neither is served from the cache nor adds to it does not ask it.
        found = self._answers.look_up(tenant.id, key if shares_answers else None) if is_covered else None
        return _LookedUp(key, shares_answers, found)

    def _passed(
        self, answer: CachedAnswer | None, modes: Mapping[str, Mode]
    ) -> tuple[CachedAnswer | None, tuple[Finding, ...]]:
        """A cached answer, if the tenant's rules of today let it through, and what they flag in it."""
        if answer is None:
            return None, ()
        try:
            return answer, self._judged.findings(answer, modes)
        except GuardBlockedError:
            return None, ()

    def _coalesced(self, admitted: AdmittedRequest) -> AdmittedRequest:
        """The request with the answer of an identical one that is under way, or as the one that others wait for."""
        if not admitted.shares_answers or not admitted.is_stored:
            return admitted
        answer, is_leader = self._answers.join(admitted)
        cached, flagged = self._passed(answer, admitted.guard_modes)
        return replace(admitted, is_leader=is_leader, cached=cached, findings=(*admitted.findings, *flagged))

    def _lifetime_s(self, incoming: Incoming) -> int:
        if incoming.context.no_store:
            return 0
        return self._settings_for(incoming).answer_lifetime_s(incoming.context.cache_ttl_s)


def _judged_by(guards: GuardModels) -> tuple[str, ...]:
    """What has judged an answer that is kept, and its prompt: another model, or another threshold, judges anew."""
    sides = {"prompt": guards.prompt, "answer": guards.answer}
    return tuple(f"{side} {guard.model} {guard.threshold}" for side, guard in sides.items() if guard is not None)
