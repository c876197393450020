"""Chats and prompts for operations: /api/v1/genai."""

from functools import cache
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from sluice.api.compat.genai.answers import TaskAnswer
from sluice.api.compat.genai.requests import (
    Batch,
    CustomPrompt,
    GenaiChat,
    PromptCheck,
    SessionQuery,
    StatsQuery,
    TaskInputs,
)
from sluice.api.compat.genai.service import Genai
from sluice.api.rest import RestApp
from sluice.composition import breaker, registry, task_library, task_runner
from sluice.conversations.archive import ConversationArchive
from sluice.gateway.request import RequestContext
from sluice.settings import settings
from sluice.tenants.tenant import Role

app = RestApp()
logger = Logger()


@cache
def genai() -> Genai:
    """What this function's routes do."""
    archive = ConversationArchive(settings().conversations_table)
    most = settings().prompt_max_characters
    return Genai(task_runner(), task_library(), archive, registry, breaker(), prompt_max_characters=most)


def _context() -> RequestContext:
    return RequestContext(app.request_id, app.deadline(), skip_cache=app.skips_cache)


def _answer(answer: TaskAnswer) -> Response[str]:
    return app.answer(answer.body, headers=answer.provenance.headers())


def _run(task: str) -> Response[str]:
    principal = app.principal(Role.CALLER)
    return _answer(genai().task(task, app.body(TaskInputs), principal, _context()))


@app.post("/api/v1/genai/chat")
def chat() -> Response[str]:
    """Answer a message, in a session."""
    principal = app.principal(Role.CALLER)
    return _answer(genai().chat(app.body(GenaiChat), principal, _context()))


@app.post("/api/v1/genai/remediation")
def remediation() -> Response[str]:
    """Say how to repair what is broken."""
    return _run("remediation")


@app.post("/api/v1/genai/analysis")
def analysis() -> Response[str]:
    """Say what data shows."""
    return _run("analysis")


@app.post("/api/v1/genai/explanation")
def explanation() -> Response[str]:
    """Explain an issue."""
    return _run("explanation")


@app.post("/api/v1/genai/optimization")
def optimization() -> Response[str]:
    """Recommend what to change."""
    return _run("optimization")


@app.post("/api/v1/genai/troubleshooting")
def troubleshooting() -> Response[str]:
    """Narrow a problem down."""
    return _run("troubleshooting")


@app.post("/api/v1/genai/custom")
def custom() -> Response[str]:
    """Answer a prompt of some type, in a session."""
    principal = app.principal(Role.CALLER)
    return _answer(genai().custom(app.body(CustomPrompt), principal, _context()))


@app.post("/api/v1/genai/batch")
def batch() -> Response[str]:
    """Answer several at once."""
    principal = app.principal(Role.CALLER)
    return app.answer(genai().batch(app.body(Batch), principal, _context()))


@app.get("/api/v1/genai/context/<session_id>")
def show_session(session_id: str) -> Response[str]:
    """Show what was said in a session."""
    principal = app.principal(Role.CALLER)
    return app.answer(genai().session(unquote(session_id), app.query(SessionQuery), principal))


@app.delete("/api/v1/genai/context/<session_id>")
def delete_session(session_id: str) -> Response[str]:
    """Forget a session."""
    principal = app.principal(Role.CALLER)
    return app.answer(genai().forget_session(unquote(session_id), app.query(SessionQuery), principal))


@app.get("/api/v1/genai/prompts/types")
def list_prompt_types() -> Response[str]:
    """List the types of prompts."""
    app.principal(Role.CALLER)
    return app.answer(genai().prompt_types())


@app.post("/api/v1/genai/prompts/validate")
def validate_prompt() -> Response[str]:
    """Say what is wrong with a prompt."""
    principal = app.principal(Role.CALLER)
    return app.answer(genai().validate(app.body(PromptCheck), principal))


@app.get("/api/v1/genai/stats")
def show_stats() -> Response[str]:
    """Show what the tenant used."""
    principal = app.principal(Role.CALLER)
    return app.answer(genai().stats(app.query(StatsQuery), principal))


@app.get("/api/v1/genai/health")
def show_health() -> Response[str]:
    """Say whether there is somebody to ask; for load balancers, which have no API key."""
    return app.answer(genai().health())


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    return app.resolve(event, context)
