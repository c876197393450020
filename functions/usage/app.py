"""Who used what: GET /api/v1/llm/usage/{user_id}."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.rest import RestApp
from sluice.api.usage_report import usage_report
from sluice.settings import settings
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import subject
from sluice.usage.period import UsageQuery

app = RestApp()
logger = Logger()


@app.get("/api/v1/llm/usage/<user_id>")
def show_usage(user_id: str) -> Response[str]:
    """What an API key, or a user that its requests named, has used."""
    principal = app.principal(Role.CALLER)
    query = app.query(UsageQuery)
    days = query.days(datetime.now(UTC).date())
    asked = subject(unquote(user_id), principal, query.tenant, Directory(settings().directory_table))
    return app.answer(usage_report(asked, days))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
