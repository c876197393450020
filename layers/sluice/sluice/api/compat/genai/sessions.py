"""Sessions, as /api/v1/genai calls conversations: /api/v1/genai/context/{session_id}."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.answer_size import latest_fitting
from sluice.api.compat.genai.prompts import types_by_name
from sluice.api.route import Call, PathParameter, Routes
from sluice.conversations.conversation import ID_PATTERN, Owner, Turn
from sluice.errors import NotFoundError
from sluice.tasks.running import as_text
from sluice.tasks.spotlighting import without_tags
from sluice.tasks.task import Task
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

ROUTES = Routes("Operations assistant")

# A session's id is its conversation's.
SESSION_PATTERN = f"^{ID_PATTERN}$"
_SHOWN_TURNS = 50
_ID = {"session_id": PathParameter("The id that an answer named.", "session_0123456789abcdef0123456789abcdef")}

type User = Annotated[str, Field(min_length=1, max_length=128)]


class SessionQuery(BaseModel):
    """The query of GET and DELETE context/{session_id}: the user that the session was begun with."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    user: User | None = None


class SessionMessage(TypedDict):
    """What was said. A prompt of a custom type is shown as it came."""

    role: str
    content: str


class Session(TypedDict):
    """What was said in a session, the latest turns of it. Times are in seconds since 1970."""

    session_id: str
    messages: list[SessionMessage]
    turns: int
    has_more: Annotated[bool, Field(description="Whether there are earlier messages, which are not shown.")]
    created_at: int
    expires_at: int


class DeletedSession(TypedDict):
    """A session that is gone."""

    session_id: str
    deleted: Literal[True]


@ROUTES.get("/api/v1/genai/context/{session_id}", role=Role.CALLER, parameters=_ID)
def genai_show_session(call: Call[None, SessionQuery]) -> Session:
    """Show what was said in a session."""
    session_id = call.path["session_id"]
    with session_errors(session_id):
        whose = owner(call.principal, call.query.user)
        found = call.app.conversations.read(whose, session_id, before=None, limit=_SHOWN_TURNS)
    types = types_by_name(call.app.task_library)
    turns = latest_fitting([_said(turn, types) for turn in found.turns])
    return {
        "session_id": session_id,
        "messages": [message for turn in turns for message in turn],
        "turns": found.summary.turns,
        "has_more": found.has_more or len(turns) < len(found.turns),
        "created_at": found.summary.created_at,
        "expires_at": found.summary.expires_at,
    }


@ROUTES.delete("/api/v1/genai/context/{session_id}", role=Role.CALLER, parameters=_ID)
def genai_delete_session(call: Call[None, SessionQuery]) -> DeletedSession:
    """Forget a session."""
    session_id = call.path["session_id"]
    with session_errors(session_id):
        call.app.conversations.delete(owner(call.principal, call.query.user), session_id)
    return {"session_id": session_id, "deleted": True}


def owner(principal: Principal, user: str | None) -> Owner:
    """Whose sessions a request is about."""
    return Owner(principal.tenant.id, principal.caller_id, principal.user_of(user))


@contextmanager
def session_errors(session_id: str) -> Iterator[None]:
    """Call a conversation a session. What can be no session's id names none."""
    message = f"There is no session {session_id[:128]!r} of yours. Without a session_id, one is begun."
    error = NotFoundError(message, param="session_id", code="session_not_found")
    if not re.fullmatch(ID_PATTERN, session_id):
        raise error
    try:
        yield
    except NotFoundError:
        raise error from None


def _said(turn: Turn, types: Mapping[str, tuple[Task, str]]) -> list[SessionMessage]:
    """What was said in a turn: by the user what came in, not the prompt that a task made of it."""
    said: list[SessionMessage] = [
        {"role": message.role, "content": without_tags(message.text)} for message in turn.messages
    ]
    if said and turn.made_of is not None and turn.made_of.task in types:
        _, main = types[turn.made_of.task]
        said[0]["content"] = as_text(turn.made_of.inputs.get(main, ""))
    return said
