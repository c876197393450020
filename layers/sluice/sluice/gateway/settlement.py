"""What a request takes from its caller and its tenant, and what is written down when it is over."""

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import cast

from aws_lambda_powertools import Logger

from sluice.cache.key import cache_key
from sluice.cache.store import CachedAnswer, Found, ResponseCache, lifetime_s
from sluice.cache.sums import CacheSums
from sluice.chat import ChatRequest, JsonObject, ResponseFormat, Usage
from sluice.conversations.memory import OpenTurn
from sluice.errors import ProviderError, QuotaExceededError
from sluice.gateway.admission import Entry, Outcome
from sluice.gateway.budget import Purse
from sluice.gateway.provenance import Provenance, RequestLimit
from sluice.guards.rules import Finding
from sluice.providers.base import RateLimitHeaders
from sluice.providers.registry import Deployment
from sluice.quota.estimate import FIRST_CHARACTERS_PER_TOKEN, TokenEstimate, text_weight
from sluice.quota.item import Reservation
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import BUDGET, CALLER_WINDOWS, Limit, Standing, budget_limit, standing
from sluice.routing.deployment_quota import DeploymentQuota, Routed
from sluice.routing.plan import Plan
from sluice.settings import Settings
from sluice.telemetry import best_effort, emit_metric
from sluice.tenants.principal import Principal
from sluice.usage.price import cost_nanousd
from sluice.usage.records import UsageRecord, record

# One request sends at most four writes at a time; a process of the local stack serves many requests.
_THREADS = 32
_NO_USAGE = Usage(0, 0)

type _Task = Callable[[], object]

logger = Logger(child=True)


class Books:
    """Counts, settles and records. Safe to share between threads."""

    def __init__(self, ledger: Ledger, accounts: DeploymentQuota, cache: ResponseCache, settings: Settings) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._cache = cache
        self._settings = settings
        self._cache_sums = CacheSums(settings.usage_table)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="books")

    def open(
        self,
        request: ChatRequest,
        principal: Principal,
        request_id: str,
        plan: Plan,
        findings: tuple[Finding, ...],
        *,
        turn: OpenTurn | None,
        skip_cache: bool,
        cache_ttl_s: int | None,
        answer_format: ResponseFormat | None,
    ) -> Entry:
        """Count the request for its caller and look it up in the cache, both at once.

        Raises QuotaExceededError when the caller is out of requests, LedgerUnavailableError.
        """
        started_s = time.monotonic()
        tenant = principal.tenant
        key = cache_key(request, tenant=tenant.id, model=plan.model, answer_format=answer_format)
        looking = self._pool.submit(self._look_up, tenant.id, None if skip_cache else key)
        caller, left = self._count(principal)
        found = looking.result()
        return Entry(
            request,
            principal,
            request_id,
            plan,
            findings,
            key,
            found.answer if found else None,
            found.generation if found else None,
            caller,
            left,
            started_s,
            skip_cache,
            lifetime_s(tenant_s=tenant.cache_ttl_s, task_s=cache_ttl_s, default_s=self._settings.cache_ttl_s),
            answer_format,
            turn,
        )

    def admit(self, principal: Principal, *, source: str, user: str = "") -> dict[str, str]:
        """Count and record a request that `source` answers and no model; returns what is left, as headers.

        Raises QuotaExceededError when the caller is out of requests, LedgerUnavailableError.
        """
        _, left = self._count(principal)
        answered = UsageRecord(
            tenant=principal.tenant.id,
            caller=principal.caller_id,
            provider="sluice",
            model=source,
            usage=_NO_USAGE,
            cost_nanousd=0,
            response_time_ms=0,
            is_cache_hit=True,
            user=user,
        )
        with best_effort("recording usage"):
            record(answered, datetime.now(UTC))
        return RequestLimit(left.capacity, left.remaining, left.resets_in_ms / 1000).headers()

    def begin_budget(self, entry: Entry) -> Purse:
        """Begin to reserve what the dearest deployment that may answer could cost the tenant."""
        budget_nanousd = entry.principal.tenant.budget_nanousd
        most_nanousd = 0
        if budget_nanousd is not None:
            most_nanousd = max(self.estimated_nanousd(each, entry.request) for each in entry.plan.deployments)
        reserving = budget_nanousd is not None and most_nanousd > 0
        reserve = partial(self._reserve_budget, entry, budget_nanousd or 0, most_nanousd) if reserving else None
        return Purse(self._ledger, reserve, self._pool)

    def close_hit(self, entry: Entry) -> None:
        """Write down an answer that came from the cache."""
        cached = cast("CachedAnswer", entry.cached)
        deployment = next((each for each in entry.plan.deployments if each.id == cached.deployment), None)
        recording = partial(
            self._record, entry, deployment, cached.model, _NO_USAGE, 0, Outcome.ANSWERED, is_cache_hit=True
        )
        self._all_at_once([recording, *_turn_ending(entry, Outcome.ANSWERED, cached.body)])
        _log(entry, entry.provenance(None, 0, ()), _NO_USAGE, Outcome.ANSWERED)

    def close(
        self,
        entry: Entry,
        routed: Routed[object],
        purse: Purse,
        usage: Usage | None,
        rate_limits: RateLimitHeaders,
        body: JsonObject,
        *,
        findings: tuple[Finding, ...] = (),
        outcome: Outcome = Outcome.ANSWERED,
        error: ProviderError | None = None,
    ) -> int:
        """Settle with deployment and tenant, record, and cache an answer that was given, all at once.

        Without a usage, or with one that can't be, what was reserved counts as used, or what was seen if that is more.
        Returns the cost in billionths of a dollar. What fails here is survived, logged and counted. `error` is what a
        stream broke off with.
        """
        deployment = routed.deployment
        most_tokens = deployment.model.context_window * (entry.request.n or 1)
        believed = usage if usage and usage.prompt_tokens and usage.total_tokens <= most_tokens else None
        spent = believed or _at_least(routed.estimate, body)
        cost = price_nanousd(deployment, spent)
        purse.charge(cost)
        characters = sum(len(text) for text in _texts(body))
        tasks: list[_Task] = [
            lambda: self._accounts.settle(routed, entry.request, spent, characters, rate_limits, error),
            purse.close,
            lambda: self._record(entry, deployment, deployment.model.id, spent, cost, outcome),
        ]
        tasks += _turn_ending(entry, outcome, body)
        if outcome is Outcome.ANSWERED:
            tasks.append(lambda: self._store(entry, deployment, body))
        self._all_at_once(tasks)
        _log(entry, entry.provenance(routed, cost, findings), spent, outcome)
        return cost

    def close_refused(self, entry: Entry, purse: Purse | None, *, was_answered: bool) -> None:
        """Give back what the caller and the tenant were counted for a request that nobody answered.

        With `was_answered` it is the second question that nobody answered, and the caller's request was used.
        """
        tasks: list[_Task] = [] if was_answered else [lambda: self._give_back(entry.caller)]
        if purse is not None:
            tasks.append(purse.close)
        self._all_at_once([*tasks, *_turn_ending(entry, Outcome.REFUSED, {})])
        _log(entry, entry.provenance(None, None, ()), _NO_USAGE, Outcome.REFUSED)

    def estimated_nanousd(self, deployment: Deployment, request: ChatRequest) -> int:
        """What a call to `deployment` may cost, in billionths of a dollar."""
        return price_nanousd(deployment, self._accounts.estimate(deployment, request))

    def _count(self, principal: Principal) -> tuple[Reservation, Standing]:
        limits = self._caller_limits(principal)
        scope = f"caller#{principal.tenant.id}#{principal.caller_id}"
        try:
            caller = self._ledger.reserve(scope, limits, {limit.name: 1 for limit in limits}, hold=False)
        except QuotaDeniedError as refused:
            raise _denied(refused, "The API key", "rate_limit_exceeded") from refused
        return caller, standing(limits[0], caller.state, self._ledger.now_ms())

    def _look_up(self, tenant: str, key: str | None) -> Found | None:
        with best_effort("reading the cache"):
            return self._cache.look_up(tenant, key)
        return None

    def _store(self, entry: Entry, deployment: Deployment, body: JsonObject) -> None:
        if entry.cache_ttl_s > 0 and entry.cache_generation is not None:
            answer = CachedAnswer(body, deployment.model.id, deployment.id)
            with best_effort("writing the cache"):
                changes = self._cache.put(entry.cache_key, answer, entry.cache_ttl_s, entry.cache_generation)
                self._cache_sums.add(entry.principal.tenant.id, changes)

    def _record(
        self,
        entry: Entry,
        deployment: Deployment | None,
        model: str,
        usage: Usage,
        cost: int,
        outcome: Outcome,
        *,
        is_cache_hit: bool = False,
    ) -> None:
        metadata = entry.request.metadata
        usage_record = UsageRecord(
            tenant=entry.principal.tenant.id,
            caller=entry.principal.caller_id,
            provider=deployment.provider.name if deployment else "gone",
            model=model,
            usage=usage,
            cost_nanousd=cost,
            response_time_ms=int((time.monotonic() - entry.started_s) * 1000),
            is_cache_hit=is_cache_hit,
            is_error=outcome is not Outcome.ANSWERED,
            user=(metadata.user if metadata else None) or "",
        )
        with best_effort("recording usage"):
            record(usage_record, datetime.now(UTC))

    def _reserve_budget(self, entry: Entry, budget_nanousd: int, nanousd: int) -> Reservation:
        scope = f"tenant#{entry.principal.tenant.id}"
        try:
            return self._ledger.reserve(scope, (budget_limit(budget_nanousd),), {BUDGET: nanousd}, hold=True)
        except QuotaDeniedError as refused:
            raise _denied(refused, "The tenant", "insufficient_quota") from refused

    def _give_back(self, reservation: Reservation) -> None:
        with best_effort("giving back a reservation"):
            self._ledger.give_back(reservation)

    def _caller_limits(self, principal: Principal) -> tuple[Limit, ...]:
        key, defaults = principal.key, self._settings
        per_minute = defaults.requests_per_minute if key.requests_per_minute is None else key.requests_per_minute
        per_day = defaults.requests_per_day if key.requests_per_day is None else key.requests_per_day
        capacities = {"requests_per_minute": per_minute, "requests_per_day": per_day}
        return tuple(
            Limit(name, capacity, CALLER_WINDOWS[name], is_fixed=True) for name, capacity in capacities.items()
        )

    def _all_at_once(self, tasks: list[_Task]) -> None:
        running = [self._pool.submit(task) for task in tasks[1:]]
        for task in tasks[:1]:
            task()
        for each in running:
            each.result()


def price_nanousd(deployment: Deployment, tokens: Usage | TokenEstimate) -> int:
    """What `tokens` cost at `deployment`, in billionths of a dollar."""
    return cost_nanousd(Usage(tokens.prompt_tokens, tokens.completion_tokens), deployment.model.price)


def _log(entry: Entry, provenance: Provenance, usage: Usage, outcome: Outcome) -> None:
    metadata = entry.request.metadata
    logger.info(
        "request",
        extra={
            **provenance.fields(),
            "outcome": str(outcome),
            "tenant": entry.principal.tenant.id,
            "caller": entry.principal.caller_id,
            "task": metadata.task if metadata else None,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "response_time_ms": int((time.monotonic() - entry.started_s) * 1000),
        },
    )
    for rule_id in provenance.flagged_rules:
        emit_metric("GuardFlagged", rule=rule_id)


def _turn_ending(entry: Entry, outcome: Outcome, body: JsonObject) -> list[_Task]:
    """What ends the turn of a conversation, if the request is one: only an answer that was given is remembered."""
    turn = entry.turn
    if turn is None or outcome is Outcome.REPEATED:
        return []
    return [partial(turn.complete, body) if outcome is Outcome.ANSWERED else turn.abandon]


def _at_least(estimate: TokenEstimate, body: JsonObject) -> Usage:
    """The tokens of an answer that nobody counted: what was reserved, or what can be seen of it if that is more."""
    said = json.dumps([choice.get("message") for choice in body.get("choices") or []], ensure_ascii=False)
    seen = math.ceil(text_weight(said) / FIRST_CHARACTERS_PER_TOKEN)
    return Usage(estimate.prompt_tokens, max(estimate.completion_tokens, seen))


def _texts(body: JsonObject) -> list[str]:
    return [(choice.get("message") or {}).get("content") or "" for choice in body.get("choices") or []]


def _denied(refused: QuotaDeniedError, whose: str, code: str) -> QuotaExceededError:
    wait_ms = refused.denial.retry_after_ms
    limit = refused.denial.limit.replace("nanousd_per_month", "dollars per month").replace("_", " ")
    if wait_ms is None:
        return QuotaExceededError(f"{whose} has too small a limit of {limit} for this.", retry_after_s=None, code=code)
    wait_s = -(-wait_ms // 1000)
    return QuotaExceededError(f"{whose} is out of {limit}. Try again in {wait_s} s.", retry_after_s=wait_s, code=code)
