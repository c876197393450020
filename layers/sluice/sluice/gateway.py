"""The one path of a request, stage by stage. Read this first.

    authenticate -> prompt guard -> cache lookup -> classify intent -> route + reserve -> call provider
                 -> output guard -> settle, record, cache -> answer

`complete` answers whole and `stream` as the answer arrives; both take the same stages and end in `Books.close`.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from sluice.books import Books, Entry, Purse, guard_modes
from sluice.chat import ChatChunk, ChatRequest, JsonObject
from sluice.chat_stream import chunks_from_body
from sluice.deadline import Deadline
from sluice.errors import GuardBlockedError, InvalidAnswerError, ProviderError
from sluice.guards.answer import judge_answer
from sluice.guards.json_answer import InvalidJsonAnswerError, check_schema
from sluice.guards.prompt import check_prompt, raise_if_blocked
from sluice.http.authentication import Principal
from sluice.providers.base import Provider, ProviderResponse
from sluice.providers.registry import Deployment, Registry
from sluice.relay import OpenedStream, relay
from sluice.routing.accounts import Routed
from sluice.routing.plan import plan
from sluice.routing.router import Router


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What comes with a request but is not of it. `skip_cache`: answer anew, and cache that."""

    request_id: str
    deadline: Deadline
    skip_cache: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, OpenAI's `chat.completion`, and the response headers that say how it came about."""

    body: JsonObject
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer as it arrives. `chunks` may raise SluiceError half-way; close them, read to their end or not."""

    chunks: Generator[ChatChunk]
    headers: Mapping[str, str]


class Gateway:
    """Takes chat requests of authenticated callers to an answer. Safe to share between threads."""

    def __init__(
        self, registry: Callable[[], Registry], router: Router, books: Books, *, prompt_max_characters: int
    ) -> None:
        self._registry = registry
        self._router = router
        self._books = books
        self._prompt_max_characters = prompt_max_characters

    def complete(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Answer:
        """Answer whole. Raises SluiceError; what was reserved for a request that nobody answers is given back."""
        entry = self._enter(request, principal, context)
        if entry.cached is not None:
            self._books.close_hit(entry)
            return Answer(entry.cached.body, entry.headers())
        for may_ask_again in (True, False):
            routed, purse = self._route(entry, context.deadline, _complete)
            usage, rate_limits = routed.answer.chat.usage, routed.answer.rate_limits
            try:
                body, findings = judge_answer(routed.answer.chat.body, request.response_format, entry.guard_modes)
            except (GuardBlockedError, InvalidAnswerError, InvalidJsonAnswerError) as error:
                self._books.close(entry, routed, purse, usage, rate_limits, routed.answer.chat.body, is_good=False)
                if not isinstance(error, InvalidJsonAnswerError):
                    raise
                if not may_ask_again:
                    raise InvalidAnswerError(f"The answer is not the JSON that was asked for: {error}") from error
            else:
                cost_nanousd = self._books.close(entry, routed, purse, usage, rate_limits, body, findings=findings)
                return Answer(body, entry.headers(routed, cost_nanousd, findings))
        raise AssertionError("the second answer is the last")

    def stream(self, request: ChatRequest, principal: Principal, context: RequestContext) -> StreamedAnswer:
        """Begin to answer; the first chunk has arrived when this returns. Raises SluiceError as `complete` does."""
        entry = self._enter(request, principal, context)
        if entry.cached is not None:
            self._books.close_hit(entry)
            chunks = (chunk for chunk in chunks_from_body(entry.cached.body, entry.wants_usage))
            return StreamedAnswer(chunks, entry.headers())
        routed, purse = self._route(entry, context.deadline, OpenedStream)
        return StreamedAnswer(relay(entry, routed, purse, self._books), entry.headers(routed))

    def _enter(self, request: ChatRequest, principal: Principal, context: RequestContext) -> Entry:
        """Judge the prompt, find who may answer, then count the caller and look in the cache, both at once."""
        tenant = principal.tenant
        findings = check_prompt(request.messages, max_characters=self._prompt_max_characters, modes=guard_modes(tenant))
        raise_if_blocked(findings)
        check_schema(request.response_format)
        chosen = plan(request, self._registry(), tenant.allowed_models)
        return self._books.open(request, principal, context.request_id, chosen, findings, skip_cache=context.skip_cache)

    def _route[T](
        self, entry: Entry, deadline: Deadline, ask: Callable[[Provider, ChatRequest, str, float], T]
    ) -> tuple[Routed[T], Purse]:
        """Reserve the tenant's money and a deployment at once, then `ask` its provider; if nobody answers, undo all."""
        purse = self._books.purse(entry)

        def call(deployment: Deployment, timeout_s: float) -> T:
            purse.open()
            try:
                return ask(self._registry().provider(deployment), entry.request, deployment.model.id, timeout_s)
            except ProviderError as error:
                if error.was_counted:
                    purse.charge(self._books.estimated_nanousd(deployment, entry.request))
                raise

        try:
            return self._router.route(entry.request, entry.plan.groups, deadline, call), purse
        except BaseException:
            self._books.close_refused(entry, purse)
            raise


def _complete(provider: Provider, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
    return provider.complete(request, model, timeout_s)
