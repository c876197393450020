"""Conversations, their turns, and claims to a turn. Pure."""

import json
import re
import zlib
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from sluice.chat import JsonObject, Message
from sluice.errors import InvalidRequestError, NotFoundError
from sluice.loading.dataclass import dataclass

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
"""What an id is, from its beginning to its end."""

_ID = re.compile(ID_PATTERN)
_MESSAGES = TypeAdapter(list[Message])


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a conversation is: a tenant's API key, and the one of its users that requests name, if they name one."""

    tenant: str
    caller: str
    user: str | None = None

    @property
    def id(self) -> str:
        """As one string. Tenants and callers have no `#` in their ids."""
        return "#".join((self.tenant, self.caller) if self.user is None else (self.tenant, self.caller, self.user))

    @classmethod
    def parse(cls, owner_id: str) -> "Owner":
        """The owner of that `id`."""
        tenant, caller, *user = owner_id.split("#", 2)
        return cls(tenant, caller, *user)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to add the turn `sequence` to a conversation. `system` is the system prompt that it has so far."""

    owner: Owner
    conversation_id: str
    request_id: str
    sequence: int
    system: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What the question of a turn was made of, where a task made it: its name, and what was given to it."""

    task: str
    inputs: JsonObject


@dataclass(frozen=True, slots=True)
class Turn:
    """What was asked and answered at once. Times are in seconds since 1970."""

    sequence: int
    messages: tuple[Message, ...]
    request_id: str
    created_at: int
    expires_at: int
    made_of: TaskCall | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation in a list. Times are in seconds since 1970."""

    id: str
    turns: int
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation and some of its turns, oldest first; `has_more` says that there are turns before them."""

    summary: Summary
    system: tuple[Message, ...]
    turns: tuple[Turn, ...]
    has_more: bool


def check_id(conversation_id: str, param: str = "metadata.sluice_conversation_id") -> None:
    """InvalidRequestError unless it is 1 to 128 letters, digits and `.`, `_`, `:`, `-`, a letter or digit first."""
    if not _ID.fullmatch(conversation_id):
        raise InvalidRequestError(
            "A conversation's id is 1 to 128 letters, digits, dots, underscores, colons and hyphens, "
            "the first a letter or a digit.",
            param=param,
        )


def parse_page(page: str) -> tuple[int, str]:
    """When a list's last conversation expires, and its id. InvalidRequestError if `page` is no list's `next_page`."""
    expires_at, _, conversation_id = page.partition(":")
    if not re.fullmatch(r"\d{1,12}", expires_at, re.ASCII) or not _ID.fullmatch(conversation_id):
        raise InvalidRequestError("The page is not the next_page of a list of conversations.", param="page")
    return int(expires_at), conversation_id


def no_conversation(conversation_id: str, param: str = "conversation_id") -> NotFoundError:
    """The error for an id that is unknown, and for one that is somebody else's: they must look the same."""
    message = f"There is no conversation {conversation_id!r} of yours."
    return NotFoundError(message, param=param, code="conversation_not_found")


def pack(messages: Sequence[Message]) -> bytes:
    """Messages as they are stored."""
    return _packed([message.model_dump(exclude_unset=True) for message in messages])


def unpack(packed: bytes) -> tuple[Message, ...]:
    """Stored messages. ValueError if they are not what `pack` makes."""
    try:
        return tuple(_MESSAGES.validate_python(_unpacked(packed)))
    except ValueError:
        # What this says is not shown: it quotes what was said.
        raise ValueError("stored messages are corrupt") from None


def pack_call(call: TaskCall) -> bytes:
    """A task's call as it is stored."""
    return _packed([call.task, call.inputs])


def unpack_call(packed: bytes) -> TaskCall:
    """A stored call. ValueError if it is not what `pack_call` makes."""
    task, inputs = _unpacked(packed)
    return TaskCall(task, inputs)


_CORRUPT = "what is stored is corrupt"


def pack_object(value: JsonObject) -> bytes:
    """A JSON object as it is stored."""
    return _packed(value)


def unpack_object(packed: bytes) -> JsonObject:
    """A stored object. ValueError if it is not what `pack_object` makes."""
    value = _unpacked(packed)
    if isinstance(value, dict):
        return value
    raise ValueError(_CORRUPT)


def _packed(plain: object) -> bytes:
    # Not pydantic's own JSON: it does not take half a surrogate pair, which models do say.
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode("ascii"))


def _unpacked(packed: bytes) -> Any:
    try:
        return json.loads(zlib.decompress(packed))
    except (zlib.error, ValueError):
        raise ValueError(_CORRUPT) from None
