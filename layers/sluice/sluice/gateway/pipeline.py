"""Pipeline of a request: admit -> reserve -> call -> guard -> settle. Read this first.

    admit     count the caller, judge the prompt, plan the route, claim the conversation's turn, look in the cache
    reserve   the tenant's, key's and user's budgets, and the best deployment's quota; when that fails, the next one's
    call      the deployment's provider
    guard     the answer, whole or as it arrives; where the tenant has guard models, these are asked before and after
    settle    correct what was reserved to what was used; record, cache, end the turn

A handler has authenticated the caller before. `complete` answers whole and `stream` as the answer arrives; both are
admitted, routed and settled alike, the latter by GuardedStream, when the stream ends, however it ends.
"""

from collections.abc import Callable, Generator
from dataclasses import replace

from sluice.chat import ChatChunk, ChatRequest, JsonObject
from sluice.chat_stream import chunks_from_body
from sluice.conversations.conversation import TaskCall
from sluice.conversations.turns import OpenTurn
from sluice.errors import ContextOverflowError, InvalidAnswerError
from sluice.gateway.admission import Admission
from sluice.gateway.budget import BudgetReservation
from sluice.gateway.guard_models import GuardModels
from sluice.gateway.provenance import Provenance
from sluice.gateway.recording import note_question, note_without_model
from sluice.gateway.request import AdmittedRequest, Incoming, RequestContext
from sluice.gateway.settlement import Outcome, Result, Settlement
from sluice.gateway.stream import GuardedStream
from sluice.guards.answer import judge_answer
from sluice.guards.rules import Finding
from sluice.guards.structured_output import InvalidJsonAnswerError
from sluice.loading.dataclass import dataclass
from sluice.providers.base import Provider, ProviderResponse, ProviderStream
from sluice.providers.deployment import Deployment
from sluice.quota.request_size import ModelBounds, RequestSize
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Answered
from sluice.routing.router import Router, Search
from sluice.tenants.principal import Principal

type _CallProvider[Reply] = Callable[[Provider, ChatRequest, Deployment, Deadline], Reply]
"""A way to call a provider: for the whole answer, or for a stream."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, OpenAI's `chat.completion`, and how it came about."""

    body: JsonObject
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer as it arrives. `chunks` may raise SluiceError half-way; close them, read to their end or not."""

    chunks: GuardedStream | Generator[ChatChunk]
    provenance: Provenance


class Gateway:
    """Takes requests of authenticated callers to an answer. Safe to share between threads."""

    def __init__(
        self,
        admission: Admission,
        router: Router,
        settlement: Settlement,
        guard_models: GuardModels,
    ) -> None:
        self._admission = admission
        self._router = router
        self._settlement = settlement
        self._guard_models = guard_models

    def complete(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Answer:
        """Answer whole. Raises SluiceError; what was reserved for a request that nobody answers is given back."""
        return self._whole_answer(self._admit(request, principal, context))

    def stream(self, request: ChatRequest, principal: Principal, context: RequestContext) -> StreamedAnswer:
        """Begin to answer; the first chunk has arrived when this returns. Raises SluiceError as `complete` does.

        An answer that a guard model is to judge is asked for whole, for nothing of it may leave before.
        """
        admitted = self._admit(request, principal, context)
        if admitted.cached is not None or admitted.settings.guard_models.answer is not None:
            answer = self._whole_answer(admitted)
            chunks = (chunk for chunk in chunks_from_body(answer.body, admitted.wants_usage))
            return StreamedAnswer(chunks, answer.provenance)
        answered, budget = self._call(admitted, _open_stream, was_answered=False)
        context.trace.streams()
        stream = GuardedStream(admitted, answered, budget, self._settlement)
        return StreamedAnswer(stream, admitted.provenance(answered))

    def record_without_model(
        self, request: ChatRequest, principal: Principal, context: RequestContext, *, source: str
    ) -> Provenance:
        """Count, judge and record a request that `source` answers, and no model. Raises as `complete`."""
        note_question(context.trace, request, principal)
        incoming = Incoming(request, principal, context)
        counted = self._admission.count(incoming)
        self._settlement.record_without_model(incoming, source)
        note_without_model(context.trace, source)
        return Provenance(request_id=context.request_id, cache="hit", caller_limit=counted.limit)

    def check(self, request: ChatRequest, principal: Principal, context: RequestContext) -> int:
        """Refuse what `complete` would refuse whatever is left of quotas, and spend nothing. Raises SluiceError.

        Returns what the request is estimated to cost, in billionths of a dollar, where it would be sent first.
        """
        incoming, chosen = self._admission.check(Incoming(request, principal, context))
        return self._settlement.foreseen_nanousd(chosen.deployments[0], incoming.request)

    def prompt_tokens(self, request: ChatRequest, principal: Principal, context: RequestContext) -> int:
        """The tokens that the prompt of a request is estimated to have where it would be sent first.

        Nothing is judged, counted or spent. Raises SluiceError for a model that could not be asked.
        """
        try:
            chosen = self._admission.plan(Incoming(request, principal, context))
        except ContextOverflowError:
            # How much too long it is is what the caller wants to know.
            return RequestSize.of(request).prompt_tokens(ModelBounds(context_window=0, max_completion_tokens=0))
        return self._settlement.foreseen_tokens(chosen.deployments[0], request).prompt_tokens

    def claim_turn(
        self, conversation_id: str, request: ChatRequest, principal: Principal, context: RequestContext, call: TaskCall
    ) -> OpenTurn:
        """Claim the turn of a conversation for the `call` of a task, which may ask several times, or no model at all.

        `request` is its first question. Raises as `complete`, and nothing is spent before.
        """
        return self._admission.claim_turn(conversation_id, Incoming(request, principal, context), call)

    def _admit(self, request: ChatRequest, principal: Principal, context: RequestContext) -> AdmittedRequest:
        """Admit a request, with what the tenant's guard model finds in its prompt. Raises SluiceError."""
        note_question(context.trace, request, principal)
        admitted = self._admission.admit(Incoming(request, principal, context))
        guard = admitted.settings.guard_models.prompt
        if guard is None or admitted.cached is not None:
            return admitted
        try:
            findings = self._guard_models.judge_prompt(admitted, guard)
        except BaseException:
            self._settlement.settle_refused(admitted, None, was_asked=_was_judged(admitted))
            raise
        return replace(admitted, findings=(*admitted.findings, *findings))

    def _whole_answer(self, admitted: AdmittedRequest) -> Answer:
        """The cached answer, or a provider's; another if that is not the JSON asked for. Raises SluiceError."""
        if admitted.cached is not None:
            return Answer(admitted.cached.body, self._settlement.settle_cached(admitted, admitted.cached))
        try:
            return self._answer(admitted, was_answered=False)
        except InvalidJsonAnswerError:
            pass  # models often get it right the second time
        try:
            return self._answer(admitted, was_answered=True)
        except InvalidJsonAnswerError as error:
            raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error

    def _answer(self, admitted: AdmittedRequest, *, was_answered: bool) -> Answer:
        """Get a whole answer, guard and settle it. `was_answered`: this is the second time, and the last.

        Raises InvalidJsonAnswerError for an answer that is not the JSON that was asked for.
        """
        answered, budget = self._call(admitted, _complete, was_answered=was_answered)
        chat, rate_limits = answered.answer.chat, answered.answer.rate_limits
        body, findings, result = chat.body, tuple[Finding, ...](), Result.WITHHELD
        try:
            body, findings = judge_answer(body, admitted.answer_format, admitted.guard_modes)
            if (guard := admitted.settings.guard_models.answer) is not None:
                findings = (*findings, *self._guard_models.judge_answer(admitted, guard, body))
            result = Result.ANSWERED
        except InvalidJsonAnswerError:
            result = Result.WITHHELD if was_answered else Result.REPEATED
            raise
        finally:
            outcome = Outcome(
                result=result,
                answered=answered,
                budget=budget,
                body=body,
                usage=chat.usage,
                rate_limits=rate_limits,
                findings=findings,
                cost_usd=answered.answer.cost_usd,
            )
            provenance = self._settlement.settle(admitted, outcome)
        return Answer(body, provenance)

    def _call[Reply](
        self, admitted: AdmittedRequest, call: _CallProvider[Reply], *, was_answered: bool
    ) -> tuple[Answered[Reply], BudgetReservation]:
        """Reserve budget and deployments until a provider has answered; if nobody does, undo what was reserved."""
        budget = None
        search = Search(
            request=admitted.request,
            size=admitted.size,
            tenant=admitted.principal.tenant.id,
            groups=admitted.plan.groups,
            deadline=admitted.context.deadline,
            registry=admitted.registry,
        )
        try:
            budget = self._settlement.reserve_budget(admitted)
            return self._first_answer(admitted, search, budget, call), budget
        except BaseException:
            # A guard model that was asked was paid for: nobody has it asked for nothing again and again.
            was_asked = was_answered or search.was_asked or _was_judged(admitted)
            self._settlement.settle_refused(admitted, budget, was_asked=was_asked)
            raise
        finally:
            admitted.context.trace.skipped(search.reasons)

    def _first_answer[Reply](
        self, admitted: AdmittedRequest, search: Search, budget: BudgetReservation, call: _CallProvider[Reply]
    ) -> Answered[Reply]:
        """The answer of the first deployment that gives one. Raises SluiceError, which says why none did."""
        deadline, trace = admitted.context.deadline, admitted.context.trace
        for attempt in self._router.attempts(search):
            trace.skipped(search.reasons)
            deployment = attempt.deployment
            request = _fitted(admitted, deployment)
            with attempt:
                budget.wait()
                attempt.begin_call()
                with trace.calling(deployment.id):
                    reply = call(attempt.provider, request, deployment, deadline)
                answered = attempt.answered(reply)
                self._admission.note_answer(admitted, deployment.model.id)
                return answered
            if attempt.may_have_cost:
                # The next call is reserved anew.
                self._settlement.charge_failed(admitted, deployment, budget)
        raise search.verdict()


def _was_judged(admitted: AdmittedRequest) -> bool:
    """Whether a guard model was asked about a request."""
    return any(each.calls for each in admitted.context.trace.guard_models)


def _fitted(admitted: AdmittedRequest, deployment: Deployment) -> ChatRequest:
    """The request as the deployment is asked it.

    With the default temperature and the format that a task prefers where its provider takes them, and an answer no
    longer than its model has time for.
    """
    request, provider = admitted.request, deployment.provider
    if "temperature" not in provider.unsupported_fields | deployment.model.unsupported_fields:
        request = admitted.settings.tempered(request)
    fitted: dict[str, object] = {}
    preferred = admitted.context.preferred_format
    limit, longest = request.completion_limit, deployment.model.longest_answer
    if preferred is not None and provider.takes_json_schema:
        fitted["response_format"] = preferred
    if limit is not None and longest is not None and limit > longest:
        fitted |= {"max_tokens": longest, "max_completion_tokens": None}
    return request.model_copy(update=fitted) if fitted else request


def _complete(provider: Provider, request: ChatRequest, deployment: Deployment, deadline: Deadline) -> ProviderResponse:
    timeout_s = min(deployment.provider.timeout_s, deadline.remaining_s)
    return provider.complete(request, deployment.model.id, timeout_s)


def _open_stream(
    provider: Provider, request: ChatRequest, deployment: Deployment, deadline: Deadline
) -> ProviderStream:
    # A provider's time-out is for a pause: a long answer may take as long as the request has.
    return provider.stream(request, deployment.model.id, deadline.remaining_s, deployment.provider.timeout_s)
