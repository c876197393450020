"""Guard models: what a tenant has chosen to judge its prompts and answers, asked as any model is.

Each question takes from its deployment's limits and the tenant's budget before it is sent, is settled afterwards, and
falls back and is repeated as the router does it. Texts that are longer than the model reads are cut into windows.
Nothing that could not be judged counts as judged: docs/decisions/0048-guard-models-judge-before-anything-leaves.md.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import field
from datetime import UTC, datetime
from functools import partial

from sluice.chat import ChatRequest, JsonObject, Usage
from sluice.errors import GuardUnavailableError, QuotaExceededError, SluiceError
from sluice.gateway.background import Task, settle_all
from sluice.gateway.budget import BudgetReservation, CallCost, SpendDemand, Spent, has_budget, spend_scopes
from sluice.gateway.guard_questions import MOST_WINDOWS, NotJudgedError, Questions, Room
from sluice.gateway.request import AdmittedRequest
from sluice.gateway.settlement import counted_usage, price_nanousd
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import (
    GUARD_MODEL_ANSWER,
    GUARD_MODEL_PROMPT,
    GUARD_MODEL_UNAVAILABLE,
    Finding,
    Mode,
)
from sluice.guards.spoken import spoken
from sluice.guards.verdicts import UnreadableVerdictError, Verdict, read_verdict
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderResponse
from sluice.providers.deployment import Deployment
from sluice.quota.estimate import TokenEstimate
from sluice.quota.ledger import Ledger
from sluice.quota.leftover import kept_free_percent
from sluice.quota.request_size import RequestSize
from sluice.request_log.reasons import reason_of
from sluice.request_log.record import GuardModelUse, Judgement
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered, DeploymentQuota
from sluice.routing.router import AttemptState, Router, Search
from sluice.tenants.tenant import GuardModel
from sluice.usage.records import UsageRecord, UsageRecords

# A guard model that hangs costs no request more than this, nor more than half of the time that is left to answer.
_LONGEST_S = 10.0
_PROMPT_SHARE = 0.5
_NO_USAGE = Usage(0, 0)
_JUDGED_ROLES = frozenset({"user", "tool", "function"})


@dataclass(slots=True, kw_only=True)
class _Judging:
    """The judging of one prompt or answer by the guard model that its tenant chose."""

    admitted: AdmittedRequest
    side: str
    guard: GuardModel
    deadline: Deadline
    started_s: float = field(default_factory=time.monotonic)
    answered: list[Answered[ProviderResponse]] = field(default_factory=list)
    lost: list[tuple[Deployment, Usage]] = field(default_factory=list)
    """What calls may have used that failed."""
    used: Usage = _NO_USAGE
    cost_nanousd: int = 0

    @property
    def rule(self) -> str:
        """The rule that what it catches is found by."""
        return GUARD_MODEL_PROMPT if self.side == "prompt" else GUARD_MODEL_ANSWER

    @property
    def elapsed_ms(self) -> int:
        """How long it takes by now; a call takes some time, and 0 stands for none."""
        return max(1, round((time.monotonic() - self.started_s) * 1000))


class GuardModels:
    """Asks guard models. Safe to share between threads.

    `executor` does at once what can be; `window_executor` asks about several windows at once.
    """

    def __init__(
        self,
        router: Router,
        ledger: Ledger,
        usage: UsageRecords,
        executor: Executor,
        window_executor: Executor,
    ) -> None:
        self._router = router
        self._quota: DeploymentQuota = router.quota
        self._ledger = ledger
        self._usage = usage
        self._executor = executor
        self._window_executor = window_executor

    def judge_prompt(self, admitted: AdmittedRequest, guard: GuardModel) -> tuple[Finding, ...]:
        """What a guard model finds in what users and tools say, the newest first.

        Raises GuardBlockedError, GuardUnavailableError, and QuotaExceededError where the budget does not allow it.
        """
        said = "\n\n".join(spoken(each) for each in reversed(admitted.said) if each.role in _JUDGED_ROLES).strip()
        if not said:
            return ()
        left_s = admitted.context.deadline.remaining_s
        deadline = Deadline.after(min(_LONGEST_S, left_s * _PROMPT_SHARE))
        judging = _Judging(admitted=admitted, side="prompt", guard=guard, deadline=deadline)

        return self._judge(judging, partial(Questions.about_prompt, said))

    def judge_answer(self, admitted: AdmittedRequest, guard: GuardModel, body: JsonObject) -> tuple[Finding, ...]:
        """The same of an answer, in all its choices, as an answer to what was asked last."""
        choices = body.get("choices") or []
        said = "\n\n".join(spoken(choice.get("message") or {}) for choice in choices).strip()
        if not said:
            return ()
        deadline = Deadline.after(min(_LONGEST_S, admitted.context.deadline.remaining_s))
        judging = _Judging(admitted=admitted, side="answer", guard=guard, deadline=deadline)
        asked = next((spoken(each) for each in reversed(admitted.said) if each.role in _JUDGED_ROLES), "")

        return self._judge(judging, partial(Questions.about_answer, said, asked))

    def _judge(self, judging: _Judging, questions: Callable[[Room], Questions]) -> tuple[Finding, ...]:
        """Ask, settle, and note it; what is found, unless it blocks."""
        guard, modes = judging.guard, judging.admitted.guard_modes
        not_judged: NotJudgedError | None = None
        worst: Verdict | None = None
        with self._settled(judging):
            try:
                worst, not_judged = self._verdict(judging, questions)
            except NotJudgedError as error:
                not_judged = error
        is_caught = worst is not None and worst.risk >= guard.threshold
        if is_caught or not_judged is None:
            judgement = Judgement.CAUGHT if is_caught else Judgement.PASSED
            self._note(judging, judgement, worst.shown if worst else "")
        else:
            self._note(judging, Judgement.UNAVAILABLE, not_judged.reason)
        if is_caught and worst is not None:
            mode = modes.get(judging.rule, Mode.BLOCK)
            what = "takes the prompt for an attack" if judging.side == "prompt" else "finds the answer unsafe"
            finding = Finding(judging.rule, mode, f"The guard model {guard.model} {what} ({worst.shown})")
            raise_if_blocked((finding,), param="messages" if judging.side == "prompt" else None)
            return (finding,)
        return () if not_judged is None else (_unavailable(judging, not_judged),)

    def _verdict(
        self, judging: _Judging, questions: Callable[[Room], Questions]
    ) -> tuple[Verdict, NotJudgedError | None]:
        """The worst verdict of all windows, and what kept one from being judged. Raises NotJudgedError."""
        deployments = self._deployments(judging)
        asked = questions(Room.of(deployments))
        ask = partial(self._ask, judging, deployments)
        with self._budget(judging, deployments, asked.requests) as budget:
            budget.wait()
            one = len(asked.requests) == 1
            results = [*(map if one else self._window_executor.map)(ask, asked.requests)]
        verdicts = [each for each in results if isinstance(each, Verdict)]
        failures = [each for each in results if isinstance(each, NotJudgedError)]
        if not asked.are_all:
            failures.append(NotJudgedError(f"It is longer than {MOST_WINDOWS} windows of the guard model."))
        if not verdicts:
            raise failures[0]
        return max(verdicts, key=lambda each: each.risk), failures[0] if failures else None

    def _deployments(self, judging: _Judging) -> tuple[Deployment, ...]:
        """Who may be asked; with a budget, only who has a price."""
        found = judging.admitted.registry.guards(judging.guard.model)
        if has_budget(judging.admitted.principal, judging.admitted.user):
            found = tuple(each for each in found if each.model.price.is_known)
        if not found:
            raise NotJudgedError("No credential serves it as a guard model with a price.")
        return found

    def _ask(
        self, judging: _Judging, deployments: tuple[Deployment, ...], request: ChatRequest
    ) -> Verdict | NotJudgedError:
        """Ask about one window. A call that may have cost something though it failed is not repeated."""
        search = Search(
            request=request,
            size=RequestSize.of(request),
            tenant=judging.admitted.principal.tenant.id,
            groups=(deployments,),
            deadline=judging.deadline,
            registry=judging.admitted.registry,
        )
        try:
            for attempt in self._router.attempts(search):
                deployment = attempt.deployment
                with attempt:
                    attempt.begin_call()
                    timeout_s = min(deployment.provider.timeout_s, judging.deadline.remaining_s)
                    answered = attempt.answered(attempt.provider.complete(request, deployment.model.id, timeout_s))
                if attempt.state is AttemptState.ANSWERED:
                    judging.answered.append(answered)
                    return read_verdict(deployment.model.verdict or "", answered.answer.chat.texts[0])
                if attempt.may_have_cost:
                    estimate = self._quota.estimate(deployment, search.size)
                    judging.lost.append((deployment, Usage(estimate.prompt_tokens, estimate.completion_tokens)))
                    break
        except (UnreadableVerdictError, IndexError):
            return NotJudgedError("Its answer was no verdict.")
        except SluiceError as error:
            return NotJudgedError(reason_of(error), error)
        verdict = search.verdict()
        return NotJudgedError(reason_of(verdict), verdict)

    @contextmanager
    def _budget(
        self, judging: _Judging, deployments: Sequence[Deployment], requests: Iterable[ChatRequest]
    ) -> Iterator[BudgetReservation]:
        """What all questions may cost, reserved of each budget that the request is counted against, and charged.

        Only dollars are: whose tokens are limited did not ask for them.
        """
        admitted = judging.admitted
        scopes = [scope for scope in spend_scopes(admitted.principal, admitted.user) if scope.budget]
        demands: list[SpendDemand] = []
        if scopes:
            sizes = [RequestSize.of(request) for request in requests]
            cost = CallCost(
                estimated_nanousd=sum(max(self._estimated(each, size) for each in deployments) for size in sizes),
                most_nanousd=sum(max(self._most(each, size) for each in deployments) for size in sizes),
                tokens=TokenEstimate(0, 0),
                is_guess=False,
            )
            demands = [SpendDemand(scope, cost) for scope in scopes if cost.most_nanousd]
        budget = BudgetReservation(self._ledger, demands, self._executor)
        try:
            yield budget
        except SluiceError as error:
            raise NotJudgedError(reason_of(error), error) from error
        finally:
            self._count(judging)
            budget.charge(Spent(judging.cost_nanousd))
            settle_all(budget.closing(), self._executor, admitted.context.deadline)

    def _count(self, judging: _Judging) -> None:
        """Add up what was used, or may have been."""
        calls = _calls(judging)
        judging.used = _sum(used for _, used in calls)
        judging.cost_nanousd = sum(price_nanousd(deployment, used) for deployment, used in calls)

    @contextmanager
    def _settled(self, judging: _Judging) -> Iterator[None]:
        """Settle with the deployments that answered, and record what was used, all at once."""
        try:
            yield
        finally:
            tasks: dict[str, Task] = {
                f"settling a guard model {number}": partial(self._settle, each)
                for number, each in enumerate(judging.answered)
            }
            for number, record in enumerate(_records(judging)):
                tasks[f"recording a guard model {number}"] = partial(self._usage.add, record, datetime.now(UTC))
            settle_all(tasks, self._executor, judging.admitted.context.deadline)

    def _settle(self, answered: Answered[ProviderResponse]) -> None:
        characters = sum(map(len, answered.answer.chat.texts))
        self._quota.settle(answered, _used(answered), characters, answered.answer.rate_limits)

    def _note(self, judging: _Judging, judgement: Judgement, verdict: str) -> None:
        answered = judging.answered
        judging.admitted.context.trace.judged(
            GuardModelUse(
                judged=judging.side,
                model=answered[0].deployment.model.id if answered else judging.guard.model,
                deployment=answered[0].deployment.id if answered else "",
                judgement=judgement,
                verdict=verdict,
                calls=len(answered) + len(judging.lost),
                tokens=judging.used.total_tokens,
                cost_nanousd=judging.cost_nanousd,
                time_ms=judging.elapsed_ms,
            )
        )

    def _estimated(self, deployment: Deployment, size: RequestSize) -> int:
        return price_nanousd(deployment, self._quota.estimate(deployment, size))

    def _most(self, deployment: Deployment, size: RequestSize) -> int:
        return price_nanousd(deployment, self._quota.upper_bound(deployment, size))


def _calls(judging: _Judging) -> list[tuple[Deployment, Usage]]:
    """Who was asked, and what each call used or, if it failed, may have."""
    return [*[(each.deployment, _used(each)) for each in judging.answered], *judging.lost]


def _records(judging: _Judging) -> Iterator[UsageRecord]:
    """What is recorded: a sum for each deployment that was asked."""
    admitted = judging.admitted
    by_deployment: dict[str, list[tuple[Deployment, Usage]]] = {}
    for call in _calls(judging):
        by_deployment.setdefault(call[0].id, []).append(call)
    for calls in by_deployment.values():
        deployment = calls[0][0]
        yield UsageRecord(
            tenant=admitted.principal.tenant.id,
            caller=admitted.principal.caller_id,
            provider=deployment.provider.name,
            model=deployment.model.id,
            usage=_sum(used for _, used in calls),
            cost_nanousd=sum(price_nanousd(deployment, used) for _, used in calls),
            response_time_ms=judging.elapsed_ms,
            user=admitted.user,
            operation="guard",
            credential=deployment.alias,
            task=admitted.task,
            requests=0,
            guard_calls=len(calls),
        )


def _sum(several: Iterable[Usage]) -> Usage:
    used = list(several)
    return Usage(sum(each.prompt_tokens for each in used), sum(each.completion_tokens for each in used))


def _used(answered: Answered[ProviderResponse]) -> Usage:
    chat = answered.answer.chat
    return counted_usage(answered, chat.body, chat.usage, choices=1)


def _unavailable(judging: _Judging, error: NotJudgedError) -> Finding:
    """What is found where nothing could be judged. Raises GuardUnavailableError where that must not pass."""
    if kept_free_percent() and isinstance(error.cause, QuotaExceededError) and error.cause.may_pass:
        raise error.cause  # nobody waits for the answer: it is asked for when it can be judged
    what = f"The guard model {judging.guard.model} could not judge the {judging.side}: {error.reason}"
    if judging.guard.when_unavailable == "allow":
        return Finding(GUARD_MODEL_UNAVAILABLE, Mode.FLAG, what)
    cause = error.cause
    if isinstance(cause, QuotaExceededError) and cause.code == "insufficient_quota":
        raise cause
    may_pass = cause is not None and cause.may_pass
    raise GuardUnavailableError(what, retry_after_s=getattr(cause, "retry_after_s", None), may_pass=may_pass) from cause
