"""The one path of a request, stage by stage. Read this first.

    prompt guard -> classify intent, plan -> claim the conversation's turn -> count the caller, look in the cache
                 -> reserve money and a deployment -> call its provider -> output guard -> settle, record, cache

A handler has authenticated the caller before. `complete` answers whole and `stream` as the answer arrives: both enter,
route and settle alike, the latter through `Relay`, which closes the books when the stream ends, however it ends.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from sluice.chat import ChatChunk, ChatRequest, JsonObject, ResponseFormat
from sluice.chat_stream import chunks_from_body
from sluice.conversations.conversation import Owner, TaskCall
from sluice.conversations.memory import Conversations, OpenTurn, abandoned_on_failure
from sluice.errors import InvalidAnswerError, ProviderError
from sluice.gateway.admission import Entry, Outcome, guard_modes
from sluice.gateway.budget import Purse
from sluice.gateway.settlement import Books
from sluice.gateway.stream import OpenedStream, Relay
from sluice.guards.answer import judge_answer
from sluice.guards.json_answer import InvalidJsonAnswerError, check_schema
from sluice.guards.prompt import check_prompt, raise_if_blocked
from sluice.guards.rules import Finding
from sluice.providers.base import Provider, ProviderResponse
from sluice.providers.registry import Deployment, Registry
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import Routed
from sluice.routing.intent import Complexity
from sluice.routing.plan import Plan, has_images, plan
from sluice.routing.router import Router
from sluice.tenants.principal import Principal

type _AskProvider[T] = Callable[[Provider, ChatRequest, Deployment, Deadline], T]
"""How a provider is asked."""


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
class Answer:
    """A whole answer, OpenAI's `chat.completion`, and the response headers that say how it came about."""

    body: JsonObject
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer as it arrives. `chunks` may raise SluiceError half-way; close them, read to their end or not."""

    chunks: Relay | Generator[ChatChunk]
    headers: Mapping[str, str]


class Gateway:
    """Takes chat requests of authenticated callers to an answer. Safe to share between threads."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        router: Router,
        books: Books,
        conversations: Conversations,
        *,
        prompt_max_characters: int,
        default_max_tokens: int = 0,
    ) -> None:
        self._registry = registry
        self._router = router
        self._books = books
        self._conversations = conversations
        self._prompt_max_characters = prompt_max_characters
        self._default_max_tokens = default_max_tokens

    def complete(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Answer:
        """Answer whole. Raises SluiceError; what was reserved for a request that nobody answers is given back."""
        entry = self._enter(request, principal, context)
        if entry.cached is not None:
            self._books.close_hit(entry)
            return Answer(entry.cached.body, entry.headers())
        try:
            return self._ask(entry, context, was_answered=False)
        except InvalidJsonAnswerError:
            pass  # models often get it right the second time
        try:
            return self._ask(entry, context, was_answered=True)
        except InvalidJsonAnswerError as error:
            raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error

    def stream(self, request: ChatRequest, principal: Principal, context: RequestContext) -> StreamedAnswer:
        """Begin to answer; the first chunk has arrived when this returns. Raises SluiceError as `complete` does."""
        entry = self._enter(request, principal, context)
        if entry.cached is not None:
            self._books.close_hit(entry)
            chunks = (chunk for chunk in chunks_from_body(entry.cached.body, entry.wants_usage))
            return StreamedAnswer(chunks, entry.headers())
        routed, purse = self._route(entry, context, _open_stream, was_answered=False)
        return StreamedAnswer(Relay(entry, routed, purse, self._books), entry.headers(routed))

    def admit(
        self, request: ChatRequest, principal: Principal, context: RequestContext, *, source: str
    ) -> Mapping[str, str]:
        """Count a request that is answered from `source`, without a model. Returns headers; raises as `complete`."""
        self._judge(request, principal, context)
        user = request.metadata.user if request.metadata else None
        return self._books.admit(principal, source=source, user=user or "")

    def claim_turn(
        self,
        conversation_id: str,
        request: ChatRequest,
        principal: Principal,
        context: RequestContext,
        made_of: TaskCall,
    ) -> OpenTurn:
        """Claim the turn of a conversation for a task, which may ask several times, or no model at all.

        `request` is its first question. Raises as `complete`, and nothing is spent before.
        """
        _, chosen = self._judge(request, principal, context)
        return self._begin_turn(conversation_id, request, principal, context, chosen, made_of)

    def _enter(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Entry:
        """Judge the prompt, find who may answer, then count the caller and look in the cache, both at once.

        How hard a request is, and who may answer it, is found from what is new in it, not from what was said before;
        only images in that need a model that can see.
        """
        if self._default_max_tokens and request.completion_limit is None:
            request = request.model_copy(update={"max_tokens": self._default_max_tokens})
        findings, chosen = self._judge(request, principal, context)
        own_turn = None
        if request.metadata is not None and request.metadata.conversation_id is not None:
            conversation_id = request.metadata.conversation_id
            own_turn = self._begin_turn(conversation_id, request, principal, context, chosen)
        turn = own_turn or context.turn
        with abandoned_on_failure(own_turn):
            whole = turn.continued(request) if turn else request
            if turn and has_images(whole):
                chosen = self._plan(request, principal, context, takes_images=True)
            return self._books.open(
                whole,
                principal,
                context.request_id,
                chosen,
                findings,
                turn=own_turn,
                skip_cache=context.skip_cache,
                cache_ttl_s=context.cache_ttl_s,
                answer_format=context.answer_format or request.response_format,
            )

    def _judge(
        self, request: ChatRequest, principal: Principal, context: RequestContext
    ) -> tuple[tuple[Finding, ...], Plan]:
        """What the guards find in the prompt, and who may answer it. Raises what refuses a request at once."""
        tenant = principal.tenant
        findings = check_prompt(request.messages, max_characters=self._prompt_max_characters, modes=guard_modes(tenant))
        raise_if_blocked(findings)
        check_schema(request.response_format)
        return findings, self._plan(request, principal, context)

    def _plan(
        self, request: ChatRequest, principal: Principal, context: RequestContext, *, takes_images: bool = False
    ) -> Plan:
        allowed = principal.tenant.allowed_models
        return plan(request, self._registry(), allowed, context.complexity, takes_images=takes_images)

    def _begin_turn(
        self,
        conversation_id: str,
        request: ChatRequest,
        principal: Principal,
        context: RequestContext,
        chosen: Plan,
        made_of: TaskCall | None = None,
    ) -> OpenTurn:
        """Claim the next turn of a conversation: another at the same time is refused."""
        return self._conversations.begin(
            request,
            Owner(principal.tenant.id, principal.caller_id, request.metadata.user if request.metadata else None),
            conversation_id,
            context.request_id,
            context_window=min(each.model.context_window for each in chosen.deployments),
            remaining_s=context.deadline.remaining_s,
            made_of=made_of,
        )

    def _ask(self, entry: Entry, context: RequestContext, *, was_answered: bool) -> Answer:
        """Get a whole answer, judge and settle it. `was_answered`: this is the second time, and the last.

        Raises InvalidJsonAnswerError for an answer that is not the JSON that was asked for.
        """
        routed, purse = self._route(entry, context, _complete, was_answered=was_answered)
        usage, rate_limits, body = routed.answer.chat.usage, routed.answer.rate_limits, routed.answer.chat.body
        outcome, findings = Outcome.WITHHELD, tuple[Finding, ...]()
        try:
            body, findings = judge_answer(body, entry.answer_format, entry.guard_modes)
            outcome = Outcome.ANSWERED
        except InvalidJsonAnswerError:
            outcome = Outcome.WITHHELD if was_answered else Outcome.REPEATED
            raise
        finally:
            cost_nanousd = self._books.close(
                entry, routed, purse, usage, rate_limits, body, findings=findings, outcome=outcome
            )
        return Answer(body, entry.headers(routed, cost_nanousd, findings))

    def _route[T](
        self, entry: Entry, context: RequestContext, ask: _AskProvider[T], *, was_answered: bool
    ) -> tuple[Routed[T], Purse]:
        """Reserve the tenant's money and a deployment at once, then `ask` its provider; if nobody answers, undo all."""
        purse = None
        try:
            purse = self._books.begin_budget(entry)
            errand = _Errand(entry, purse, self._books, self._registry(), context, ask)
            return self._router.route(entry.request, entry.plan.groups, context.deadline, errand), purse
        except BaseException:
            self._books.close_refused(entry, purse, was_answered=was_answered)
            raise


class _Errand[T]:
    """Asks a provider the question of `entry`, once the tenant can afford it.

    A call that failed, but that the provider may bill, is charged as it was estimated; the next is reserved anew.
    """

    def __init__(
        self,
        entry: Entry,
        purse: Purse,
        books: Books,
        registry: Registry,
        context: RequestContext,
        ask: _AskProvider[T],
    ) -> None:
        self._request = entry.request
        self._purse = purse
        self._books = books
        self._registry = registry
        self._context = context
        self._ask = ask

    def prepare(self, deployment: Deployment) -> None:
        self._registry.provider(deployment).warm_up()

    def afford(self) -> None:
        self._purse.wait()

    def call(self, deployment: Deployment) -> T:
        try:
            return self._ask(
                self._registry.provider(deployment), self._fitted(deployment), deployment, self._context.deadline
            )
        except ProviderError as error:
            if error.was_counted:
                self._purse.charge(self._books.estimated_nanousd(deployment, self._request))
            raise

    def _fitted(self, deployment: Deployment) -> ChatRequest:
        preferred = self._context.preferred_format
        if preferred is None or not deployment.provider.takes_json_schema:
            return self._request
        return self._request.model_copy(update={"response_format": preferred})


def _complete(provider: Provider, request: ChatRequest, deployment: Deployment, deadline: Deadline) -> ProviderResponse:
    timeout_s = min(deployment.provider.timeout_s, deadline.remaining_s)
    return provider.complete(request, deployment.model.id, timeout_s)


def _open_stream(provider: Provider, request: ChatRequest, deployment: Deployment, deadline: Deadline) -> OpenedStream:
    # A provider's time-out is for a pause: a long answer may take as long as the request has.
    return OpenedStream(provider, request, deployment.model.id, deadline.remaining_s, deployment.provider.timeout_s)
