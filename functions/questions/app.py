"""Interview questions: POST /api/v1/questions/generate."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.compat.genai.requests import TaskInputs
from sluice.api.compat.questions import generated
from sluice.api.rest import RestApp
from sluice.composition import task_runner
from sluice.gateway.request import RequestContext
from sluice.tenants.tenant import Role

app = RestApp()
logger = Logger()


@app.post("/api/v1/questions/generate")
def generate() -> Response[str]:
    """Find or write interview questions."""
    principal = app.principal(Role.CALLER)
    context = RequestContext(app.request_id, app.deadline(), skip_cache=app.skips_cache)
    answer = generated(task_runner(), app.body(TaskInputs), principal, context)
    return app.answer(answer.body, headers=answer.provenance.headers())


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
