"""What a function loads when it starts: what it answers with, and nothing of what others do."""

import os
import subprocess
import sys

import pytest

from tools.processes import ROOT

# What only those load whose subject it is, or that is loaded when a request needs it.
pytestmark = pytest.mark.slow

TASKS = {"sluice.tasks", "sluice.api.tasks", "sluice.api.compat.genai", "jinja2"}
GATEWAY = {"sluice.gateway.pipeline", "sluice.guards", "sluice.providers", "re2"}
DESCRIPTION = {"sluice.api.openapi", "sluice.api.routes"}
OPERATIONS = {"sluice.operations"}
# What these translate is translated in few requests of most.
TRANSLATORS = {
    "sluice.api.anthropic.request_models",
    "sluice.api.anthropic.chat_request",
    "sluice.api.anthropic.events",
    "sluice.api.completions.request_models",
    "sluice.api.completions.translation",
    "sluice.api.moderations.request_models",
    "sluice.api.moderations.judging",
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
NEVER = DESCRIPTION | TRANSLATORS | HEAVY


@pytest.mark.parametrize(
    ("function", "others"),
    [
        ("chat", NEVER | TASKS | OPERATIONS | {"sluice.embeddings.model", "sluice.gateway.embeddings"}),
        ("embeddings", NEVER | TASKS | OPERATIONS | {"sluice.embeddings.model", "sluice.gateway.pipeline"}),
        ("tasks", NEVER | OPERATIONS | {"jinja2", "starlette"}),
        ("operations", NEVER | TASKS | {"sluice.gateway.pipeline", "starlette"}),
        ("keys", NEVER | TASKS | OPERATIONS | GATEWAY | {"boto3", "starlette"}),
        ("usage", NEVER | TASKS | OPERATIONS | GATEWAY | {"boto3", "starlette"}),
        ("conversations", NEVER | TASKS | OPERATIONS | GATEWAY | {"boto3", "starlette"}),
    ],
)
def test_a_function_starts_without_what_others_need(function: str, others: set[str]) -> None:
    program = f"import sys, functions.{function}.app; print(*sys.modules)"
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": path, "AWS_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert others & set(ended.stdout.split()) == set()
