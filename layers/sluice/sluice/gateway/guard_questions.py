"""Questions to guard models: as many as it takes for a text to be read whole, and no more than are allowed. Pure."""

from collections.abc import Sequence
from typing import Literal

from sluice.chat import ChatRequest, Message
from sluice.errors import SluiceError
from sluice.guards.windows import windows
from sluice.loading.dataclass import dataclass
from sluice.providers.deployment import Deployment
from sluice.quota.tokens import tokens
from sluice.routing.deployment_quota import limits_of

MOST_WINDOWS = 16
"""How many questions may be asked about one prompt or one answer."""

# A verdict is a word or a number; "unsafe" and all categories are some forty tokens.
_VERDICT_TOKENS = 64
# Of markers around a message, and of what is reserved for them.
_FRAME_TOKENS = 48
_LONGEST_WINDOW_TOKENS = 4_000
_SHORTEST_WINDOW_TOKENS = 64
# Of a window, what was asked has so much, so that the answer is judged as an answer to it.
_QUESTION_SHARE = 4


class NotJudgedError(Exception):
    """The guard model could not judge, or not all of it."""

    def __init__(self, reason: str, cause: SluiceError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a text fits into one question to any of some deployments, in tokens of their tokenizer."""

    window: int
    tokenizer: str

    @classmethod
    def of(cls, deployments: Sequence[Deployment]) -> "Room":
        """The room that each of them has. Raises NotJudgedError for deployments that take no question at all."""
        limits = [
            limit.capacity for each in deployments for limit in limits_of(each) if limit.name.startswith("tokens")
        ]
        room = min([*(each.model.context_window for each in deployments), *limits]) - _FRAME_TOKENS - _VERDICT_TOKENS
        if room < _SHORTEST_WINDOW_TOKENS:
            raise NotJudgedError("Its context window, or its limit of tokens, is too small.")
        return cls(min(room, _LONGEST_WINDOW_TOKENS), deployments[0].model.tokenizer)

    def tokens(self, text: str) -> int:
        """How many tokens a text has."""
        return tokens(text, self.tokenizer)

    def less(self, taken: int) -> "Room":
        """The room that is left beside something."""
        return Room(self.window - taken, self.tokenizer)


@dataclass(frozen=True, slots=True)
class Questions:
    """What a guard model is asked, a question for each window. `are_all`: they are about all of the text."""

    requests: tuple[ChatRequest, ...]
    are_all: bool

    @classmethod
    def about_prompt(cls, said: str, room: Room) -> "Questions":
        """The questions about what users and tools say."""
        return cls._about(said, room, [])

    @classmethod
    def about_answer(cls, said: str, asked: str, room: Room) -> "Questions":
        """The questions about an answer to what was asked, of which the beginning goes with each."""
        share = room.window // _QUESTION_SHARE
        before = windows(asked, tokens=room.tokens, most_tokens=share, most_windows=1)
        opening = [Message(role="user", content=text) for text in before.texts]
        return cls._about(said, room.less(share), opening, role="assistant")

    @classmethod
    def _about(
        cls, text: str, room: Room, opening: list[Message], *, role: Literal["user", "assistant"] = "user"
    ) -> "Questions":
        found = windows(text, tokens=room.tokens, most_tokens=room.window, most_windows=MOST_WINDOWS)
        requests = [
            ChatRequest(
                model="guard", messages=[*opening, Message(role=role, content=each)], max_tokens=_VERDICT_TOKENS
            )
            for each in found.texts
        ]
        return cls(tuple(requests), found.is_whole)
