"""What a response goes on from, in front of what it is asked. Pure."""

from collections.abc import Sequence

from sluice.api.responses.reasoning import of_this_turn
from sluice.chat import MAX_MESSAGES, ChatRequest, Message
from sluice.conversations.thread import Ancestry
from sluice.conversations.window import WindowLimits, remembered
from sluice.errors import ContextOverflowError
from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was said before, for a request whose first `instructions` messages are the response's instructions.

    `context_window` is that of the smallest model that may answer, if what does not fit is to be left out; None refuses
    a request that is too long. `keeps_thoughts`: what was thought in earlier turns goes to the model.
    """

    ancestry: Ancestry | None
    instructions: int
    context_window: int | None
    keeps_thoughts: bool

    def continued(self, request: ChatRequest) -> ChatRequest:
        """`request` with what was said before. Raises ContextOverflowError."""
        system = request.messages[: self.instructions]
        asked: Sequence[Message] = request.messages[self.instructions :]
        past: Sequence[Message] = ()
        if self.ancestry is not None:
            past = self.ancestry.messages
            if self.context_window is None and not self._fits(past, request.messages):
                raise ContextOverflowError(
                    "What this goes on from is longer than any model takes. With `truncation` auto, its beginning is "
                    "left out.",
                    param="previous_response_id",
                )
        if self.context_window is not None:
            past, asked = self._newest(past, asked, request)
        if not self.keeps_thoughts and past:
            plain = [message.model_dump(exclude_unset=True) for message in (*past, *asked)]
            told = [Message.model_validate(message) for message in of_this_turn(plain)]
        else:
            told = [*past, *asked]
        return request.model_copy(update={"messages": [*system, *told]})

    def _fits(self, past: Sequence[Message], asked: Sequence[Message]) -> bool:
        return self.ancestry is not None and self.ancestry.is_whole and len(past) + len(asked) <= MAX_MESSAGES

    def _newest(
        self, past: Sequence[Message], asked: Sequence[Message], request: ChatRequest
    ) -> tuple[Sequence[Message], Sequence[Message]]:
        """What of `past` and `asked` a model has room for: the newest, and all since the last question of a user."""
        whole = (*past, *asked)
        start = max((index for index, message in enumerate(whole) if message.role == "user"), default=0)
        window = self.context_window or 0
        limits = WindowLimits(messages=MAX_MESSAGES, tokens=window)
        limits = limits.for_model(window, request.messages[: self.instructions], request.completion_limit)
        return remembered(whole[:start], whole[start:], limits), whole[start:]
