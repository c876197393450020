"""Settlement of an admitted request: correct what was reserved, record usage, cache the answer, end the turn, log."""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial

from sluice.cache.store import CachedAnswer
from sluice.catalog.money import to_nanousd
from sluice.chat import ChatRequest, JsonObject, Usage
from sluice.errors import ProviderError
from sluice.gateway.background import Task, settle_all
from sluice.gateway.budget import BudgetReservation, CallCost, SpendDemand, Spent, spend_scopes
from sluice.gateway.counting import CallerCounter
from sluice.gateway.provenance import Provenance
from sluice.gateway.recording import Reserved, note_settled, record_of_cached, record_of_call, record_without_model
from sluice.gateway.request import AdmittedRequest, Incoming
from sluice.gateway.shared_answers import SharedAnswers
from sluice.guards.rules import GUARD_MODEL_RULES, Finding
from sluice.loading.dataclass import dataclass
from sluice.providers.base import RateLimitHeaders
from sluice.providers.deployment import Deployment
from sluice.providers.message_fields import marks_cache
from sluice.providers.verdict import may_be_cached
from sluice.quota.estimate import TokenEstimate
from sluice.quota.ledger import Ledger
from sluice.quota.request_size import RequestSize
from sluice.quota.tokens import tokens
from sluice.request_log.record import RequestOutcome
from sluice.routing.deployment_quota import Answered, DeploymentQuota
from sluice.telemetry.best_effort import best_effort
from sluice.usage.price import cost_nanousd
from sluice.usage.records import UsageRecord, UsageRecords

_NO_USAGE = Usage(0, 0)


class Result(StrEnum):
    """What became of an admitted request."""

    ANSWERED = "answered"
    WITHHELD = "withheld"
    """The answer broke a rule."""
    REPEATED = "repeated"
    """The answer was not the JSON that was asked for; it is asked for once more."""
    BROKE_OFF = "broke off"
    """The provider failed in the middle of a stream."""
    ABANDONED = "abandoned"
    """The caller hung up in the middle of a stream."""
    REFUSED = "refused"
    """Nobody answered; nothing was spent."""


_OUTCOMES = {
    Result.ANSWERED: RequestOutcome.ANSWERED,
    Result.WITHHELD: RequestOutcome.WITHHELD,
    Result.BROKE_OFF: RequestOutcome.INTERRUPTED,
    Result.ABANDONED: RequestOutcome.ABANDONED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a deployment made of an admitted request. `error` is what a stream broke off with.

    `usage` is what the provider counted, None if it did not. `body` is a `chat.completion` object, what there is of it.
    `cost_usd` is what the provider says that it cost, where it was asked.
    """

    result: Result
    answered: Answered[object]
    budget: BudgetReservation
    body: JsonObject
    usage: Usage | None
    rate_limits: RateLimitHeaders
    findings: tuple[Finding, ...] = ()
    error: ProviderError | None = None
    cost_usd: Decimal | None = None

    @property
    def deployment(self) -> Deployment:
        """Who answered."""
        return self.answered.deployment


class Settlement:
    """Settles admitted requests. Safe to share between threads. What fails in it is survived, logged and counted."""

    def __init__(
        self,
        ledger: Ledger,
        callers: CallerCounter,
        deployments: DeploymentQuota,
        answers: SharedAnswers,
        usage: UsageRecords,
        executor: Executor,
    ) -> None:
        self._ledger = ledger
        self._callers = callers
        self._deployments = deployments
        self._answers = answers
        self._usage = usage
        self._executor = executor

    def reserve_budget(self, admitted: AdmittedRequest) -> BudgetReservation:
        """Begin to reserve what the dearest deployment that may answer could cost the tenant, the key and the user."""
        scopes = spend_scopes(admitted.principal, admitted.user)
        cost = self._call_cost(admitted) if scopes else None
        demands = [SpendDemand(scope, cost) for scope in scopes if cost and (scope.token_limits or cost.most_nanousd)]
        return BudgetReservation(self._ledger, demands, self._executor)

    def charge_failed(self, admitted: AdmittedRequest, deployment: Deployment, budget: BudgetReservation) -> None:
        """Count what a call that failed may have cost: its provider may bill it as it was estimated.

        It is recorded when the request is settled, so that the next call need not wait.
        """
        tokens = self._deployments.estimate(deployment, admitted.size)
        usage = Usage(tokens.prompt_tokens, tokens.completion_tokens)
        cost = price_nanousd(deployment, usage, _service_tier(admitted.request))
        budget.charge(Spent(cost, usage.total_tokens))
        admitted.failed_calls.append(record_of_call(admitted, deployment, usage, cost, is_error=True))

    def settle(self, admitted: AdmittedRequest, outcome: Outcome) -> Provenance:
        """Settle with deployment and tenant, record, and cache an answer that was given, all at once.

        Without a usage, or with one that can't be, what was reserved counts as used, or what was seen if that is more.
        """
        deployment, answered = outcome.deployment, outcome.answered
        # Whatever an answer looks like, it is settled.
        spent, characters = Usage(answered.estimate.prompt_tokens, answered.estimate.completion_tokens), 0
        with best_effort("counting an answer"):
            spent = counted_usage(answered, outcome.body, outcome.usage, admitted.request.n or 1)
            characters = sum(len(text) for text in _texts(outcome.body))
        tier = outcome.body.get("service_tier") or _service_tier(admitted.request)
        known_cost = known_nanousd(deployment, spent, outcome.cost_usd, tier)
        cost = known_cost or 0
        stored = None
        with best_effort("choosing what is cached"):
            stored = _to_store(admitted, outcome)
        if outcome.result is not Result.REPEATED:
            self._answers.finish(admitted, stored)
        reserved = Reserved(answered, outcome.budget.of_tenant(admitted.principal.tenant.id))
        outcome.budget.charge(Spent(cost, spent.total_tokens))
        tasks: dict[str, Task] = {
            "settling a deployment": lambda: self._deployments.settle(
                answered, spent, characters, outcome.rate_limits, outcome.error
            ),
            "recording usage": lambda: self._record(
                record_of_call(admitted, deployment, spent, cost, is_error=outcome.result is not Result.ANSWERED)
            ),
            **outcome.budget.closing(),
            **self._failures(admitted),
            **_turn_ending(admitted, outcome.result, outcome.body),
        }
        if stored is not None:
            tasks["writing the cache"] = partial(self._answers.store, admitted, stored)
        provenance = admitted.provenance(answered, known_cost, outcome.findings)
        with best_effort("noting a request"):
            tasks |= note_settled(admitted, provenance, spent, _OUTCOMES.get(outcome.result), reserved)
        self._settle_all(tasks, admitted)
        return provenance

    def settle_cached(self, admitted: AdmittedRequest, cached: CachedAnswer) -> Provenance:
        """Record an answer that came from the cache."""
        provenance = admitted.provenance()
        noted = note_settled(admitted, provenance, _NO_USAGE, RequestOutcome.ANSWERED)
        recording: dict[str, Task] = {"recording usage": partial(self._record, record_of_cached(admitted, cached))}
        self._settle_all(recording | _turn_ending(admitted, Result.ANSWERED, cached.body) | noted, admitted)
        return provenance

    def settle_refused(self, admitted: AdmittedRequest, budget: BudgetReservation | None, *, was_asked: bool) -> None:
        """Give back what the caller, its user and the tenant were counted for a request that nobody answered.

        With `was_asked` a provider was asked for it, and the caller's request is used.
        """
        self._answers.finish(admitted, None)
        tasks: dict[str, Task] = _turn_ending(admitted, Result.REFUSED, {})
        if not was_asked:
            tasks["giving back a request"] = lambda: self._callers.give_back(*admitted.counted.reservations)
        if budget is not None:
            tasks |= budget.closing()
        tasks |= self._failures(admitted)
        self._settle_all(tasks, admitted)
        provenance = admitted.provenance()
        note_settled(admitted, provenance, _NO_USAGE, None)

    def record_without_model(self, incoming: Incoming, source: str) -> None:
        """Record a request that `source` answered and no model."""
        self._record(record_without_model(incoming, source))

    def foreseen_nanousd(self, deployment: Deployment, request: ChatRequest) -> int:
        """What a request that was not admitted yet may cost there, in billionths of a dollar."""
        return price_nanousd(deployment, self.foreseen_tokens(deployment, request), _service_tier(request))

    def foreseen_tokens(self, deployment: Deployment, request: ChatRequest) -> TokenEstimate:
        """The tokens that a request that was not admitted yet is estimated to have there."""
        return self._deployments.estimate(deployment, RequestSize.of(request))

    def _record(self, usage_record: UsageRecord) -> None:
        with best_effort("recording usage"):
            self._usage.add(usage_record, datetime.now(UTC))

    def _failures(self, admitted: AdmittedRequest) -> dict[str, Task]:
        """What records the calls that failed, by name."""
        failed = admitted.failed_calls[:]
        admitted.failed_calls.clear()
        return {f"recording a failed call: {number}": partial(self._record, each) for number, each in enumerate(failed)}

    def _call_cost(self, admitted: AdmittedRequest) -> CallCost:
        """What the dearest deployment may cost."""
        size, tier = admitted.size, _service_tier(admitted.request)
        is_marked = marks_cache(admitted.request)
        deployments = admitted.plan.deployments
        expected = [(each, self._deployments.estimate(each, size)) for each in deployments]
        most = [(each, _dearest(self._deployments.upper_bound(each, size), is_marked)) for each in deployments]
        return CallCost(
            estimated_nanousd=max(price_nanousd(each, tokens, tier) for each, tokens in expected),
            most_nanousd=max(price_nanousd(each, usage, tier) for each, usage in most),
            tokens=max((tokens for _, tokens in expected), key=_total_tokens),
            is_guess=size.completion_limit is None,
        )

    def _settle_all(self, tasks: Mapping[str, Task], admitted: AdmittedRequest) -> None:
        settle_all(tasks, self._executor, admitted.context.deadline)


def price_nanousd(deployment: Deployment, tokens: Usage | TokenEstimate, service_tier: object = None) -> int:
    """What `tokens` cost at `deployment` in a service tier, in billionths of a dollar."""
    usage = tokens if isinstance(tokens, Usage) else Usage(tokens.prompt_tokens, tokens.completion_tokens)
    return cost_nanousd(usage, deployment.model.price.of_tier(service_tier))


def _dearest(most: TokenEstimate, is_marked: bool) -> Usage:
    """Usage that costs the most of so many tokens: to be taken into a cache, if the request asks for that."""
    written = most.prompt_tokens if is_marked else 0
    return Usage(
        most.prompt_tokens, most.completion_tokens, cache_write_tokens=written, long_cache_write_tokens=written
    )


def known_nanousd(
    deployment: Deployment, usage: Usage, said_usd: Decimal | None, service_tier: object = None
) -> int | None:
    """What an answer cost, in billionths of a dollar: by its model's price, or as its provider says.

    None where a provider that can say it was asked and did not; what has no price counts as nothing elsewhere.
    """
    if deployment.model.id not in deployment.config.unpriced_models:
        return price_nanousd(deployment, usage, service_tier)
    return None if said_usd is None else to_nanousd(said_usd)


def _total_tokens(tokens: TokenEstimate) -> int:
    return tokens.total_tokens


def _service_tier(request: ChatRequest) -> object:
    return (request.model_extra or {}).get("service_tier")


def _to_store(admitted: AdmittedRequest, outcome: Outcome) -> CachedAnswer | None:
    """The answer to keep: a whole one that was given, by who was meant to give it and not by who stood in."""
    deployment = outcome.deployment
    is_kept = outcome.result is Result.ANSWERED and admitted.is_stored and admitted.plan.prefers(deployment)
    is_kept = is_kept and may_be_cached(outcome.body)
    # A hit is not judged again by guard models: what they flagged, or could not judge, is not kept.
    found = {finding.rule_id for finding in (*admitted.findings, *outcome.findings)}
    is_kept = is_kept and found.isdisjoint(GUARD_MODEL_RULES)
    return CachedAnswer(outcome.body, deployment.model.id, deployment.id) if is_kept else None


def counted_usage(answered: Answered[object], body: JsonObject, usage: Usage | None, choices: int) -> Usage:
    """The tokens of an answer: the provider's count, unless it can't be, or else what was reserved or can be seen."""
    most_tokens = answered.deployment.model.context_window * choices
    is_believed = usage is not None and usage.prompt_tokens and usage.total_tokens <= most_tokens
    return usage if is_believed and usage is not None else _at_least(answered, body)


def _at_least(answered: Answered[object], body: JsonObject) -> Usage:
    """The tokens of an answer that nobody counted: what was reserved, or what can be seen of it if that is more."""
    said = json.dumps([choice.get("message") for choice in body.get("choices") or []], ensure_ascii=False)
    estimate, seen = answered.estimate, tokens(said, answered.deployment.model.tokenizer)
    return Usage(estimate.prompt_tokens, max(estimate.completion_tokens, seen))


def _texts(body: JsonObject) -> list[str]:
    return [(choice.get("message") or {}).get("content") or "" for choice in body.get("choices") or []]


def _turn_ending(admitted: AdmittedRequest, result: Result, body: JsonObject) -> dict[str, Task]:
    """What ends the turn of a conversation, if the request is one: only an answer that was given is remembered."""
    turn = admitted.turn
    if turn is None or result is Result.REPEATED:
        return {}
    return {"ending a turn": partial(turn.complete, body) if result is Result.ANSWERED else turn.abandon}
