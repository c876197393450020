"""Routes of the function conversations."""

from typing import Literal

from pydantic import Field

from sluice.api.openapi.operation import Operation, PathParameter, Shown
from sluice.chat import JsonObject, Message
from sluice.conversations.service import ListQuery, OwnerQuery, ReadQuery
from sluice.tenants.tenant import Role


class Conversation(Shown):
    """A conversation in a list. Times are in seconds since 1970."""

    id: str
    object: Literal["conversation"]
    turns: int
    created_at: int
    expires_at: int


class Conversations(Shown):
    """A page of conversations, the latest first; `next_page`, if there are more, is what asks for them."""

    object: Literal["list"]
    data: list[Conversation]
    has_more: bool
    next_page: str | None


class ConversationTurn(Shown):
    """What was asked and answered at once. `inputs` and `messages` are null if they are too large for any answer."""

    object: Literal["conversation.turn"]
    sequence: int
    request_id: str
    created_at: int = Field(description="Seconds since 1970.")
    task: str | None = Field(description="The task that made the question of its `inputs`, if one did.")
    inputs: JsonObject | None
    messages: list[Message] | None


class Transcript(Conversation):
    """A conversation and a page of its turns, oldest first; `has_more` says that there are turns before them.

    `system` is null if it is too large for any answer.
    """

    system: list[Message] | None
    data: list[ConversationTurn]
    has_more: bool


class DeletedConversation(Shown):
    """A conversation that is gone."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


_ID = {"conversation_id": PathParameter("The id that requests gave it.", "lesson-7")}

OPERATIONS = (
    Operation(
        id="listConversations",
        method="GET",
        path="/v1/conversations",
        tag="Conversations",
        summary="List the caller's conversations",
        role=Role.CALLER,
        query=ListQuery,
        answer=Conversations,
    ),
    Operation(
        id="readConversation",
        method="GET",
        path="/v1/conversations/{conversation_id}",
        tag="Conversations",
        summary="Show what was said in a conversation",
        role=Role.CALLER,
        parameters=_ID,
        query=ReadQuery,
        answer=Transcript,
    ),
    Operation(
        id="deleteConversation",
        method="DELETE",
        path="/v1/conversations/{conversation_id}",
        tag="Conversations",
        summary="Delete a conversation",
        description="Also while a turn of it is under way: that one is answered, and not remembered.",
        role=Role.CALLER,
        parameters=_ID,
        query=OwnerQuery,
        answer=DeletedConversation,
    ),
)
