"""Threads: conversations of responses, each of which goes on from another one, or begins a thread. Pure.

Several may go on from the same one, so the turns of a thread are a tree. The id of a response says where in it it is.
"""

import re
import secrets
from collections.abc import Iterable, Sequence

from sluice.chat import JsonObject, Message
from sluice.conversations.conversation import Owner
from sluice.errors import NotFoundError
from sluice.loading.dataclass import dataclass

_THREAD = r"resp_[0-9a-f]{32}"
_IS_THREAD = re.compile(_THREAD)
_RESPONSE = re.compile(rf"({_THREAD})_([1-9][0-9]{{0,8}})", re.ASCII)

FIRST = 1
"""The sequence of the response that begins a thread."""
NONE = 0
"""What is in place of the sequence before the first one."""


@dataclass(frozen=True, slots=True)
class ThreadPlace:
    """Where a response is: its thread, and its sequence in there."""

    thread: str
    sequence: int

    @property
    def response_id(self) -> str:
        """The id of the response."""
        return f"{self.thread}_{self.sequence}"

    @classmethod
    def new(cls) -> "ThreadPlace":
        """The place of a response that begins a thread."""
        return cls(f"resp_{secrets.token_hex(16)}", FIRST)

    @classmethod
    def parse(cls, response_id: str, param: str = "response_id") -> "ThreadPlace":
        """The place that an id names. NotFoundError if it is none: such a response can't be there."""
        found = _RESPONSE.fullmatch(response_id)
        if not found:
            raise no_response(response_id, param)
        return cls(found[1], int(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTurn:
    """A response that is kept: what was asked and answered as `messages` of a chat, and all else in its `record`.

    `parent` is the sequence of the response that it goes on from, NONE if it begins the thread. Times are in seconds
    since 1970. `size` is the length of the messages' JSON. Of what a response goes on from, `record` is read of the
    latest alone.
    """

    owner: Owner
    place: ThreadPlace
    parent: int
    request_id: str
    created_at: int
    expires_at: int
    messages: tuple[Message, ...]
    size: int
    record: JsonObject


@dataclass(frozen=True, slots=True)
class Ancestry:
    """A response and those before it, oldest first. `is_whole` is not so if there are more than were to be read."""

    turns: tuple[ThreadTurn, ...]
    is_whole: bool

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said in them."""
        return tuple(message for turn in self.turns for message in turn.messages)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much of a thread a response may go on from: messages, and bytes of their JSON."""

    messages: int
    size: int

    def allow(self, turns: Sequence[ThreadTurn]) -> bool:
        """Whether so much may be read."""
        return sum(len(turn.messages) for turn in turns) <= self.messages and sum(t.size for t in turns) <= self.size


def is_thread(conversation_id: str) -> bool:
    """Whether a conversation is a thread of responses, whose turns are no row."""
    return _IS_THREAD.fullmatch(conversation_id) is not None


def no_response(response_id: str, param: str = "response_id") -> NotFoundError:
    """The error for an id that is unknown, deleted, or somebody else's: they must look the same."""
    message = f"There is no response {response_id[:128]!r} of yours. It may have been deleted, or not been stored."
    return NotFoundError(message, param=param, code="response_not_found")


def ancestors_among(turns: Iterable[ThreadTurn], wanted: int) -> tuple[list[ThreadTurn], int]:
    """Those of `turns`, newest first, that lead to the one of sequence `wanted`; and which is wanted next.

    NONE is wanted next when the beginning is reached; one that is larger than the oldest of `turns` is not there.
    """
    found = []
    for turn in turns:
        if turn.place.sequence == wanted:
            found.append(turn)
            wanted = turn.parent
    return found, wanted
