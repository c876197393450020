"""Conversations, for the callers who had them: /v1/conversations."""

from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.answer_size import MOST_SHOWN_BYTES, latest_fitting, shown_bytes
from sluice.api.route import Call, PathParameter, Routes
from sluice.chat import JsonObject, Message
from sluice.conversations.conversation import Owner, Summary, Turn, check_id
from sluice.conversations.conversation import Transcript as TranscriptRecord
from sluice.tenants.tenant import Role

ROUTES = Routes("Conversations")

_ID = {"conversation_id": PathParameter("The id that requests gave it.", "lesson-7")}


class OwnerQuery(BaseModel):
    """What all queries have: the `user` that requests named in `metadata.sluice_user`, if they named one."""

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


class Conversation(TypedDict):
    """A conversation in a list. Times are in seconds since 1970."""

    id: str
    object: Literal["conversation"]
    turns: int
    created_at: int
    expires_at: int


class Conversations(TypedDict):
    """A page of conversations, the latest first; `next_page`, if there are more, is what asks for them."""

    object: Literal["list"]
    data: list[Conversation]
    has_more: bool
    next_page: str | None


class ConversationTurn(TypedDict):
    """What was asked and answered at once. `inputs` and `messages` are null if they are too large for any answer."""

    object: Literal["conversation.turn"]
    sequence: int
    request_id: str
    created_at: Annotated[int, Field(description="Seconds since 1970.")]
    task: Annotated[str | None, Field(description="The task that made the question of its `inputs`, if one did.")]
    inputs: JsonObject | None
    messages: list[Message] | None


class Transcript(Conversation):
    """A conversation and a page of its turns, oldest first; `has_more` says that there are turns before them.

    `system` is null if it is too large for any answer.
    """

    system: list[Message] | None
    data: list[ConversationTurn]
    has_more: bool


class DeletedConversation(TypedDict):
    """A conversation that is gone."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


@ROUTES.get("/v1/conversations", role=Role.CALLER)
def list_conversations(call: Call[None, ListQuery]) -> Conversations:
    """List the caller's conversations."""
    found = call.app.conversations.listing(_owner(call), page=call.query.page, limit=call.query.limit)
    return {
        "object": "list",
        "data": [shown_summary(each) for each in found.conversations],
        "has_more": found.next_page is not None,
        "next_page": found.next_page,
    }


@ROUTES.get("/v1/conversations/{conversation_id}", role=Role.CALLER, parameters=_ID)
def read_conversation(call: Call[None, ReadQuery]) -> Transcript:
    """Show what was said in a conversation."""
    conversation_id, query = call.path["conversation_id"], call.query
    check_id(conversation_id, param="conversation_id")
    found = call.app.conversations.read(_owner(call), conversation_id, before=query.before, limit=query.limit)
    return shown_transcript(found)


@ROUTES.delete("/v1/conversations/{conversation_id}", role=Role.CALLER, parameters=_ID)
def delete_conversation(call: Call[None, OwnerQuery]) -> DeletedConversation:
    """Delete a conversation.

    Also while a turn of it is under way: that one is answered, and not remembered.
    """
    conversation_id = call.path["conversation_id"]
    check_id(conversation_id, param="conversation_id")
    call.app.conversations.delete(_owner(call), conversation_id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def _owner[Query: OwnerQuery](call: Call[None, Query]) -> Owner:
    return Owner(call.principal.tenant.id, call.principal.caller_id, call.principal.user_of(call.query.user))


def shown_transcript(found: TranscriptRecord) -> Transcript:
    """A conversation as the API shows it.

    Fewer turns than there are where they are large; what alone is too large for an answer is null.
    """
    system: list[Message] | None = list(found.system)
    left = MOST_SHOWN_BYTES - shown_bytes(found.system)
    if left < 0:
        system, left = None, MOST_SHOWN_BYTES
    whole = [_turn(turn) for turn in found.turns]
    turns = latest_fitting(whole, left) or [_too_large(turn) for turn in whole[-1:]]
    return {
        **shown_summary(found.summary),
        "system": system,
        "data": turns,
        "has_more": found.has_more or len(turns) < len(found.turns),
    }


def shown_summary(summary: Summary) -> Conversation:
    """A conversation in a list, as the API shows it."""
    return {
        "id": summary.id,
        "object": "conversation",
        "turns": summary.turns,
        "created_at": summary.created_at,
        "expires_at": summary.expires_at,
    }


def _turn(turn: Turn) -> ConversationTurn:
    return {
        "object": "conversation.turn",
        "sequence": turn.sequence,
        "request_id": turn.request_id,
        "created_at": turn.created_at,
        "task": turn.made_of.task if turn.made_of else None,
        "inputs": turn.made_of.inputs if turn.made_of else None,
        "messages": list(turn.messages),
    }


def _too_large(turn: ConversationTurn) -> ConversationTurn:
    return {**turn, "inputs": None, "messages": None}
