"""What a function loads when it starts: what it answers with, and nothing of what others do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.processes import ROOT

# What only those load whose subject it is, or that is loaded when a request needs it.
pytestmark = pytest.mark.slow

TASKS = {"sluice.tasks", "sluice.api.tasks", "sluice.api.compat.genai", "jinja2"}
GATEWAY = {"sluice.gateway.pipeline", "sluice.guards", "sluice.providers", "re2"}
DESCRIPTION = {"sluice.api.openapi", "sluice.api.routes"}
OPERATIONS = {"sluice.operations"}
TENANTS = {"sluice.api.tenants", "sluice.api.ai_configuration"}
# What these translate is translated in few requests of most.
TRANSLATORS = {
    "sluice.api.anthropic.request_models",
    "sluice.api.anthropic.chat_request",
    "sluice.api.anthropic.events",
    "sluice.api.completions.request_models",
    "sluice.api.completions.translation",
    "sluice.api.moderations.request_models",
    "sluice.api.moderations.judging",
    "sluice.api.compat.llm_models",
    "sluice.api.responses.body",
    "sluice.guards.json_reader",
}
HEAVY = {
    "aws_lambda_powertools.event_handler",
    "mangum",
    "groq",
    "huggingface_hub",
    "httpx",
    "jsonschema",
    "jwt",
    "cryptography",
}
# What an ASGI app takes: functions that stream are served by one, and no other loads it.
ASGI = {"sluice.api.asgi", "starlette", "anyio", "asyncio"}
NEVER = DESCRIPTION | TRANSLATORS | HEAVY | ASGI


@pytest.mark.parametrize(
    ("function", "others"),
    [
        ("chat", NEVER | TASKS | OPERATIONS | {"sluice.embeddings.model", "sluice.gateway.embeddings"}),
        ("embeddings", NEVER | TASKS | OPERATIONS | {"sluice.embeddings.model", "sluice.gateway.pipeline"}),
        ("tasks", NEVER | OPERATIONS | TENANTS | {"jinja2"}),
        ("operations", NEVER | TASKS | {"sluice.gateway.pipeline"}),
        ("keys", NEVER | TASKS | OPERATIONS | GATEWAY | {"boto3"}),
        ("usage", NEVER | TASKS | OPERATIONS | GATEWAY | TENANTS | {"boto3"}),
        ("vector_stores", NEVER | TASKS | OPERATIONS | {"boto3"}),
        ("files", NEVER | TASKS | OPERATIONS | {"boto3"}),
        ("conversations", NEVER | TASKS | OPERATIONS | GATEWAY | TENANTS | {"boto3"}),
    ],
)
def test_a_function_starts_without_what_others_need(function: str, others: set[str]) -> None:
    assert others & set(_said_by(f"import sys, functions.{function}.app; print(*sys.modules)").split()) == set()


def test_little_garbage_is_looked_for_while_a_function_starts_and_all_is_afterwards() -> None:
    program = """
import gc
collections = []
gc.callbacks.append(lambda phase, _: collections.append(phase))
import functions.chat.app
print(collections.count("start") <= 5, gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
    assert _said_by(program).split() == ["True", "True", "True"]


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*/app.py")), ids=lambda path: path.parent.name)
def test_functions_of_routes_look_for_no_garbage_before_they_have_started(path: Path) -> None:
    imports = [line for line in path.read_text().splitlines() if "import sluice" in line or "from sluice" in line]
    if any("lambda_handler" in line for line in imports):
        assert imports[0].startswith("import sluice.loading.starting")


def _said_by(program: str) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": path, "AWS_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout
