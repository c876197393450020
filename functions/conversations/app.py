"""Conversations as their owners see them: /v1/conversations."""

from functools import cache
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.rest import RestApp
from sluice.conversations.archive import ConversationArchive
from sluice.conversations.conversation import Owner
from sluice.conversations.service import ConversationService, ListQuery, OwnerQuery, ReadQuery
from sluice.settings import settings
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

app = RestApp()
logger = Logger()


@cache
def service() -> ConversationService:
    """What this function's routes do."""
    return ConversationService(ConversationArchive(settings().conversations_table))


def _owner(principal: Principal, query: OwnerQuery) -> Owner:
    return Owner(principal.tenant.id, principal.caller_id, query.user)


@app.get("/v1/conversations")
def list_conversations() -> Response[str]:
    """List the caller's conversations."""
    principal = app.principal(Role.CALLER)
    query = app.query(ListQuery)
    return app.answer(service().conversations(_owner(principal, query), query))


@app.get("/v1/conversations/<conversation_id>")
def read_conversation(conversation_id: str) -> Response[str]:
    """Show what was said in a conversation."""
    principal = app.principal(Role.CALLER)
    query = app.query(ReadQuery)
    return app.answer(service().conversation(_owner(principal, query), unquote(conversation_id), query))


@app.delete("/v1/conversations/<conversation_id>")
def delete_conversation(conversation_id: str) -> Response[str]:
    """Delete a conversation."""
    principal = app.principal(Role.CALLER)
    query = app.query(OwnerQuery)
    return app.answer(service().delete(_owner(principal, query), unquote(conversation_id)))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
