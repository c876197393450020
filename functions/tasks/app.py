"""Prompt tasks: /v1/tasks, tenants' versions of them, and /v1/feedback."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.rest import RestApp
from sluice.composition import task_library, task_results, task_runner
from sluice.gateway.request import RequestContext
from sluice.tasks.running import TaskRequest
from sluice.tasks.service import Comparison, Feedback, NewVersion, ResultsQuery, TaskService
from sluice.tenants.tenant import Role

app = RestApp()
logger = Logger()


@cache
def service() -> TaskService:
    """What this function's routes do, but for running a task."""
    return TaskService(task_library(), task_results())


@app.get("/v1/tasks")
def list_tasks() -> Response[str]:
    """List the tasks."""
    app.principal(Role.CALLER)
    return app.answer(service().tasks())


@app.get("/v1/tasks/<name>")
def get_task(name: str) -> Response[str]:
    """Show a task as it answers now."""
    return app.answer(service().task(app.principal(Role.CALLER), name))


@app.post("/v1/tasks/<name>")
def run_task(name: str) -> Response[str]:
    """Run a task."""
    principal = app.principal(Role.CALLER)
    request = app.body(TaskRequest)
    context = RequestContext(app.request_id, app.deadline(), skip_cache=app.skips_cache)
    result = task_runner().run(name, request, principal, context)
    if request.stream:
        return app.events(result.events(), headers=result.provenance.headers())
    return app.answer(result.body, headers=result.provenance.headers())


@app.post("/v1/tasks/<name>/versions")
def store_version(name: str) -> Response[str]:
    """Store a version of the tenant's own."""
    principal = app.principal(Role.CALLER)
    return app.answer(service().store(principal, name, app.body(NewVersion)), status=201)


@app.get("/v1/tasks/<name>/versions")
def list_versions(name: str) -> Response[str]:
    """List the tenant's versions."""
    return app.answer(service().versions(app.principal(Role.CALLER), name))


@app.get("/v1/tasks/<name>/versions/<version>")
def get_version(name: str, version: str) -> Response[str]:
    """Show what a version says."""
    return app.answer(service().version(app.principal(Role.CALLER), name, version))


@app.post("/v1/tasks/<name>/versions/<version>/activate")
def activate_version(name: str, version: str) -> Response[str]:
    """Let a version answer all of the tenant's requests."""
    return app.answer(service().activate(app.principal(Role.CALLER), name, version))


@app.post("/v1/tasks/<name>/compare")
def compare_versions(name: str) -> Response[str]:
    """Split the tenant's requests between two versions."""
    principal = app.principal(Role.CALLER)
    return app.answer(service().compare(principal, name, app.body(Comparison)))


@app.get("/v1/tasks/<name>/results")
def get_results(name: str) -> Response[str]:
    """Show how each version did."""
    principal = app.principal(Role.CALLER)
    return app.answer(service().results(principal, name, app.query(ResultsQuery)))


@app.post("/v1/feedback")
def give_feedback() -> Response[str]:
    """Say what an answer was worth."""
    principal = app.principal(Role.CALLER)
    return app.answer(service().rate(principal, app.body(Feedback)))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
