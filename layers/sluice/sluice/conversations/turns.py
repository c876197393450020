"""Turns of conversations: what was said before is put in front of a request, and its answer is added."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from aws_lambda_powertools import Logger

from sluice.chat import ChatRequest, JsonObject, Message
from sluice.conversations.conversation import Claim, Owner, TaskCall, Turn, check_id, pack, pack_call
from sluice.conversations.repeated import Said, brings_answers, told_apart
from sluice.conversations.store import ConversationStore
from sluice.conversations.thread import is_thread
from sluice.conversations.window import Window, remembered, split_system
from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass
from sluice.telemetry.best_effort import best_effort
from sluice.telemetry.metrics import emit_metric

# Compressed. DynamoDB takes 400 KB an item: what is left is the answer's.
_MOST_QUESTION_BYTES = 200 * 1024
_MOST_TURN_BYTES = 390 * 1024
# The head is written twice a turn, and paid for by its size.
_MOST_SYSTEM_BYTES = 32 * 1024

# To settle and write down what a request that ran into its deadline has done.
_HOLD_AFTER_DEADLINE_S = 10

# What providers add to a message beside these, others do not take back.
_ANSWER_FIELDS = ("content", "tool_calls", "function_call")

logger = Logger(child=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTurn:
    """The turn that a request wants of a conversation, for as long as the request has: `remaining_s`.

    `window` bounds what is put in front of the question, which may be `made_of` a task.
    """

    owner: Owner
    conversation_id: str
    request_id: str
    remaining_s: float
    window: Window
    made_of: TaskCall | None = None


class Conversations:
    """The conversations of one table. Threads may share it."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    def begin(self, request: ChatRequest, wanted: WantedTurn) -> "OpenTurn":
        """Claim the conversation's next turn for `request`.

        A request need only say what is new; see `repeated` for one that says more.

        Raises InvalidRequestError for an id or a question that can't be, NotFoundError for another's conversation,
        ConflictError while another request has the turn, StorageUnavailableError.
        """
        window, made_of = wanted.window, wanted.made_of
        check_id(wanted.conversation_id)
        if is_thread(wanted.conversation_id):
            reason = "A thread of responses goes on by the `previous_response_id` of one of them."
            raise InvalidRequestError(reason, param="metadata.sluice_conversation_id")
        system, asked = split_system(request.messages)
        if not asked:
            reason = "A turn of a conversation needs a message beside the system prompt."
            raise InvalidRequestError(reason, param="messages")
        if not brings_answers(asked):
            _check_size(system, asked, made_of)
        hold_s = wanted.remaining_s + _HOLD_AFTER_DEADLINE_S
        claim = self._store.claim(wanted.owner, wanted.conversation_id, wanted.request_id, hold_s)
        try:
            # A turn has a question and an answer, if not more.
            history = self._store.history(claim, -(-window.limits.messages // 2))
            system = system or claim.system
            limits = window.beside(system, request.completion_limit)
            said = told_apart(asked, history)
            _check_size(system, said.new, made_of)
            said = Said(said.new, remembered(said.past, asked, limits))
        except BaseException:
            with best_effort("giving up a turn"):
                self._store.abandon(claim)
            raise
        # What a task is told is for its run alone.
        kept = system if made_of is None else claim.system
        return OpenTurn(self._store, claim, kept, said, history, made_of)


class Continued(Protocol):
    """What was said before a request, and goes in front of it."""

    def continued(self, request: ChatRequest) -> ChatRequest:
        """`request` with it."""


@contextmanager
def abandoned_on_failure(turn: "OpenTurn | None") -> Iterator[None]:
    """Abandon `turn`, if there is one, when what follows is not to be."""
    try:
        yield
    except BaseException:
        if turn is not None:
            turn.abandon()
        raise


class OpenTurn:
    """A claimed turn. Complete it or abandon it; only the first counts."""

    def __init__(
        self,
        store: ConversationStore,
        claim: Claim,
        system: Sequence[Message],
        said: Said,
        history: Sequence[Turn],
        made_of: TaskCall | None,
    ) -> None:
        self._store = store
        self._claim = claim
        self._system = system
        self._said = said
        self._history = history
        self._made_of = made_of
        self._is_over = False

    def continued(self, request: ChatRequest) -> ChatRequest:
        """`request` with the conversation in front, and its system prompt if it has none of its own."""
        system, asked = split_system(request.messages)
        return request.model_copy(update={"messages": [*(system or self._system), *self._said.past, *asked]})

    def complete(self, body: JsonObject) -> None:
        """Add what was asked and the first choice of `body`, a `chat.completion` object. What fails is survived."""
        if self._is_over:
            return
        answer = _answer(body)
        if answer is None or len(pack([*self._said.new, answer])) + _size(self._made_of) > _MOST_TURN_BYTES:
            self._forget("there is no answer" if answer is None else "the answer is too large")
            self.abandon()
            return
        self._is_over = True
        with best_effort("adding a turn"):
            added = [*self._said.new, answer]
            if not self._store.complete(self._claim, added, self._system, self._history, self._made_of):
                self._forget("the claim was lost")

    def abandon(self) -> None:
        """Leave the conversation as it was. What fails is survived: the claim runs out."""
        if not self._is_over:
            self._is_over = True
            with best_effort("giving up a turn"):
                self._store.abandon(self._claim)

    def _forget(self, reason: str) -> None:
        # A request may be several turns, each with an id of its own; the line has the request's like all others.
        logger.warning("turn not remembered", extra={"turn": self._claim.request_id, "reason": reason})
        emit_metric("TurnForgotten", reason=reason)


def _size(made_of: TaskCall | None) -> int:
    return 0 if made_of is None else len(pack_call(made_of))


def _check_size(system: Sequence[Message], asked: Sequence[Message], made_of: TaskCall | None) -> None:
    for what, size, most in (
        ("What is said in one turn of a conversation", len(pack(asked)) + _size(made_of), _MOST_QUESTION_BYTES),
        ("The system prompt of a conversation", len(pack(system)), _MOST_SYSTEM_BYTES),
    ):
        if size > most:
            raise InvalidRequestError(
                f"{what} has {size} bytes when compressed; at most {most} are kept.",
                param="messages",
                code="conversation_turn_too_large",
            )


def _answer(body: JsonObject) -> Message | None:
    """The message of the first choice, as it can be sent to any provider; None if it says nothing."""
    choices = body.get("choices") or []
    message = choices[0].get("message") if choices else None
    if not isinstance(message, dict):
        return None
    said = {name: message[name] for name in _ANSWER_FIELDS if message.get(name)}
    return Message.model_validate({"role": "assistant", "content": None, **said}) if said else None
