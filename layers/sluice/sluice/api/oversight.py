"""A tenant's conversations and users' data, for its operators: /v1/tenants/{id}/conversations, /v1/users/{user}."""

import re
from datetime import date
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.conversations import (
    Conversation,
    DeletedConversation,
    Transcript,
    shown_summary,
    shown_transcript,
)
from sluice.api.route import Call, PathParameter, Routes
from sluice.api.tenant_names import TenantId
from sluice.conversations.conversation import Owner, check_id
from sluice.errors import InvalidRequestError
from sluice.tenants.api_key_token import KEY_ID_PATTERN
from sluice.tenants.audit import Act, Action
from sluice.tenants.directory import no_tenant
from sluice.tenants.tenant import TENANT_ID_PATTERN, Role
from sluice.tenants.visibility import reached

ROUTES = Routes("Oversight")

_TENANT = PathParameter("The id of a tenant.", "local")
_IN_TENANT = {"id": _TENANT, "conversation_id": PathParameter("The id that requests gave it.", "lesson-7")}
_USER = {"user": PathParameter("A user, as requests named it.", "student-7")}
_TENANT_ID = re.compile(TENANT_ID_PATTERN, re.ASCII)
_MOST_USER_CHARACTERS = 128


class TenantConversationsQuery(BaseModel):
    """The query of GET /v1/tenants/{id}/conversations: at most `limit`, the latest begun or those of `page`.

    `key` and `user` are whose: an API key's id, and the user that requests named in `metadata.sluice_user`.
    """

    # A misspelt filter must not silently be none.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    key: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    user: Annotated[str, Field(max_length=_MOST_USER_CHARACTERS)] | None = None
    page: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class TranscriptQuery(BaseModel):
    """The query of a tenant's conversation: at most `limit` turns, the latest or those `before` one."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    before: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class UserQuery(BaseModel):
    """The query of DELETE /v1/users/{user}: `tenant` is for admins, `page` a `next_page` of the answer before."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: TenantId | None = None
    page: date | None = None


class OwnedConversation(Conversation):
    """A conversation in a list, and whose it is: an API key's, and the user's that it named, if it named one."""

    key: str
    user: str | None


class TenantConversations(TypedDict):
    """A page of conversations, the latest begun first; `next_page`, if there may be more, is what asks for them."""

    object: Literal["list"]
    data: list[OwnedConversation]
    has_more: bool
    next_page: str | None


class DeletedUser(TypedDict):
    """What was deleted of a user, by this request."""

    object: Literal["user.deleted"]
    user: str
    tenant: str
    conversations_deleted: int
    comments_deleted: int
    usage_sums_merged: Annotated[int, Field(description="Hourly sums that name nobody now; totals are what they were.")]
    request_records_unnamed: Annotated[int, Field(description="Records of requests of the last week, now without it.")]
    reports_unnamed: Annotated[int, Field(description="Daily reports, now without it.")]
    is_finished: Annotated[bool, Field(description="false: there was no time for all. Send it again with next_page.")]
    next_page: str | None


@ROUTES.get("/v1/tenants/{id}/conversations", role=Role.OPERATOR, parameters={"id": _TENANT})
def list_tenant_conversations(call: Call[None, TenantConversationsQuery]) -> TenantConversations:
    """List a tenant's conversations, whosever they are.

    Of an operator's own tenant, or of any for an admin. There may be fewer on a page than asked for, though others
    follow: `has_more` says so.
    """
    tenant, query = _tenant(call), call.query
    found = call.app.oversight.listing(tenant, caller=query.key, user=query.user, page=query.page, limit=query.limit)
    return {
        "object": "list",
        "data": [
            {**shown_summary(each.summary), "key": each.owner.caller, "user": each.owner.user}
            for each in found.conversations
        ],
        "has_more": found.next_page is not None,
        "next_page": found.next_page,
    }


@ROUTES.get("/v1/tenants/{id}/conversations/{conversation_id}", role=Role.OPERATOR, parameters=_IN_TENANT)
def read_tenant_conversation(call: Call[None, TranscriptQuery]) -> Transcript:
    """Show what was said in a tenant's conversation, whosever it is.

    Who reads it is recorded in the audit log.
    """
    owner, conversation_id = _found(call)
    found = call.app.oversight.read(owner, conversation_id, before=call.query.before, limit=call.query.limit)
    call.app.audit_log.record(Act(Action.CONVERSATION_READ, conversation_id, owner.tenant), call.actor)
    return shown_transcript(found)


@ROUTES.delete("/v1/tenants/{id}/conversations/{conversation_id}", role=Role.OPERATOR, parameters=_IN_TENANT)
def delete_tenant_conversation(call: Call) -> DeletedConversation:
    """Delete a tenant's conversation, whosever it is.

    Also while a turn of it is under way: that one is answered, and not remembered.
    """
    owner, conversation_id = _found(call)
    with call.app.audit_log.recording(Act(Action.CONVERSATION_DELETED, conversation_id, owner.tenant), call.actor):
        call.app.oversight.delete(owner, conversation_id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


@ROUTES.delete("/v1/users/{user+}", role=Role.OPERATOR, parameters=_USER, errors={409})
def delete_user(call: Call[None, UserQuery]) -> DeletedUser:
    """Delete what there is of a user: conversations, its name in usage and records, comments on answers to it.

    In the caller's tenant, or the one that an admin names. What it used is counted on without its name. Files and
    batches are an API key's, and stay. Doing it again deletes what a first time left, or what came after it, and is no
    error if there is nothing.
    """
    user, query = call.path["user"], call.query
    if len(user) > _MOST_USER_CHARACTERS:
        raise InvalidRequestError(f"user: has more than {_MOST_USER_CHARACTERS} characters.", param="user")
    tenant = call.principal.tenant.id if query.tenant is None else reached(query.tenant, call.principal)
    deleted = call.app.user_deletion.delete(
        tenant, user, call.actor, resume_at=query.page, remaining_s=lambda: call.deadline.remaining_s
    )
    return {
        "object": "user.deleted",
        "user": user,
        "tenant": tenant,
        "conversations_deleted": deleted.conversations,
        "comments_deleted": deleted.comments,
        "usage_sums_merged": deleted.usage_sums,
        "request_records_unnamed": deleted.request_records,
        "reports_unnamed": deleted.reports,
        "is_finished": deleted.is_finished,
        "next_page": deleted.resumes_at.isoformat() if deleted.resumes_at else None,
    }


def _tenant[Body, Query](call: Call[Body, Query]) -> str:
    tenant = reached(call.path["id"], call.principal)
    if not _TENANT_ID.fullmatch(tenant):
        raise no_tenant(tenant)
    return tenant


def _found[Body, Query](call: Call[Body, Query]) -> tuple[Owner, str]:
    """Whose the conversation is that a request is about, and its id."""
    tenant, conversation_id = _tenant(call), call.path["conversation_id"]
    check_id(conversation_id, param="conversation_id")
    return call.app.oversight.owner(tenant, conversation_id), conversation_id
