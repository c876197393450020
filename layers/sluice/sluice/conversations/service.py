"""What the conversations' routes do: what their owners send, and what is shown in answer."""

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.chat import JsonObject, Message
from sluice.conversations.archive import ConversationArchive
from sluice.conversations.conversation import Owner, Summary, Turn, check_id

# A function answers with at most 6 MiB (AWS Lambda, quotas: invocation payload, synchronous). The rest is for what
# stands around what was said.
MOST_SHOWN_BYTES = 6 * 1024 * 1024 - 64 * 1024


class OwnerQuery(BaseModel):
    """What all queries have: the `user` that requests named in `metadata.user`, if they named one."""

    # A misspelt user must not silently be none.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    user: Annotated[str, Field(max_length=128)] | None = None


class ListQuery(OwnerQuery):
    """The query of GET /v1/conversations: at most `limit` of them, the latest or those of `page`."""

    page: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ReadQuery(OwnerQuery):
    """The query of GET /v1/conversations/{conversation_id}: at most `limit` turns, the latest or those `before` one."""

    before: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class ConversationService:
    """What the routes do. All methods raise StorageUnavailableError when DynamoDB does not answer."""

    def __init__(self, archive: ConversationArchive) -> None:
        self._archive = archive

    def conversations(self, owner: Owner, query: ListQuery) -> JsonObject:
        """One page of the owner's conversations, the latest first."""
        found = self._archive.listing(owner, page=query.page, limit=query.limit)
        return {
            "object": "list",
            "data": [_show_summary(each) for each in found.conversations],
            "has_more": found.next_page is not None,
            "next_page": found.next_page,
        }

    def conversation(self, owner: Owner, conversation_id: str, query: ReadQuery) -> JsonObject:
        """A conversation with one page of its turns, oldest first; fewer than asked for where they are large.

        What alone is too large for an answer is null: a turn's `messages`, or the `system` prompt.
        InvalidRequestError for an id that can't be, NotFoundError if there is no such conversation of the owner's.
        """
        check_id(conversation_id, param="conversation_id")
        found = self._archive.read(owner, conversation_id, before=query.before, limit=query.limit)
        shown = _show_messages(found.system)
        size = _size(shown)
        system, left = (shown, MOST_SHOWN_BYTES - size) if size <= MOST_SHOWN_BYTES else (None, MOST_SHOWN_BYTES)
        whole = [_show_turn(turn) for turn in found.turns]
        turns = latest_fitting(whole, left) or [{**turn, "inputs": None, "messages": None} for turn in whole[-1:]]
        return {
            **_show_summary(found.summary),
            "system": system,
            "data": turns,
            "has_more": found.has_more or len(turns) < len(found.turns),
        }

    def delete(self, owner: Owner, conversation_id: str) -> JsonObject:
        """Delete a conversation, also while a turn of it is under way. Errors as for `conversation`."""
        check_id(conversation_id, param="conversation_id")
        self._archive.delete(owner, conversation_id)
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def _show_summary(summary: Summary) -> JsonObject:
    return {
        "id": summary.id,
        "object": "conversation",
        "turns": summary.turns,
        "created_at": summary.created_at,
        "expires_at": summary.expires_at,
    }


def _show_turn(turn: Turn) -> JsonObject:
    return {
        "object": "conversation.turn",
        "sequence": turn.sequence,
        "request_id": turn.request_id,
        "created_at": turn.created_at,
        "task": turn.made_of.task if turn.made_of else None,
        "inputs": turn.made_of.inputs if turn.made_of else None,
        "messages": _show_messages(turn.messages),
    }


def _show_messages(messages: Sequence[Message]) -> list[JsonObject]:
    return [message.model_dump(exclude_unset=True) for message in messages]


def latest_fitting[Part: JsonObject | list[JsonObject]](
    parts: Sequence[Part], most_bytes: int = MOST_SHOWN_BYTES
) -> list[Part]:
    """The last of the parts of an answer, as many as fit into it; perhaps none."""
    sizes = accumulate(_size(part) for part in reversed(parts))
    fitting = sum(size <= most_bytes for size in sizes)
    return list(parts[len(parts) - fitting :])


def _size(shown: JsonObject | list[JsonObject]) -> int:
    """Bytes in the answer of a function, which is JSON in JSON, at most: it may come without escapes."""
    return len(json.dumps(json.dumps(shown)))
