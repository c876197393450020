"""Every function in a container of Lambda's image, by `sam local invoke`: where a Docker engine and the image are."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.transformed import FUNCTIONS
from tools.events import EVENTS
from tools.invoke import function_for, invoke
from tools.stack import RunningStack

IMAGE = "public.ecr.aws/lambda/python:3.13"
# What a function is asked that asks nothing of a provider, where it can be asked so.
_GENTLE = ("list_models", "list_tasks", "list_conversations", "list_keys", "list_files", "list_providers", "show_usage")


def has_image() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0


def sample_of(function: str) -> Path:
    samples = sorted(EVENTS.glob("*.json"), key=lambda path: (path.stem not in _GENTLE, path.stem))
    return next(path for path in samples if function_for(path.read_text()) == function)


@pytest.mark.skipif(not has_image(), reason="takes a Docker engine with Lambda's image")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_answers_in_lambda_s_image(function: str, stack: RunningStack) -> None:
    with tempfile.TemporaryFile("w+") as written:
        done = invoke(sample_of(function).read_text(), stack.stack, ["--skip-pull-image"], stdout=written)
        assert done.returncode == 0
        written.seek(0)
        answer: dict[str, Any] = json.loads(written.read().strip().splitlines()[-1])
    assert answer.get("statusCode", 200) == 200, answer
    assert answer.get("batchItemFailures", []) == []
