"""The chat function in Lambda's layout, under AWS's runtime interface emulator: run.sh, both layers, and streaming.

AWS's emulator comes with SAM's wheel. It runs in a mount namespace of its own, where /opt holds the layers and
/var/task the function, which takes root and Linux. In place of the Lambda Web Adapter, whose binary is only in AWS's
layer, stands tests/web_adapter.py.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import FAKE_MODEL
from tests.fakes import FakeProcess
from tools import deployment
from tools.processes import ROOT, ChildProcess, free_port, is_listening
from tools.stack import RunningStack

BUILD = deployment.LOCAL / "build"
_EMULATORS = ROOT / ".tools/sam/lib/python3.13/site-packages/samcli/local/rapid"
_ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
_NAMESPACE = ["unshare", "--mount"]
# What starts a function in AWS's image: the handler's own starter, or what AWS_LAMBDA_EXEC_WRAPPER names.
_RUNTIME = '#!/bin/sh\nexec "$AWS_LAMBDA_EXEC_WRAPPER"\n'
# The adapter's layer starts the handler as a program.
_WRAPPER = '#!/bin/sh\nexec "$LAMBDA_TASK_ROOT/$_HANDLER"\n'
_MOUNT = """set -e
mount -t tmpfs tmpfs /var
mkdir /var/task /var/runtime
mount --bind "$1/opt" /opt
mount --bind "$1/runtime" /var/runtime
mount --bind "$2" /var/task
shift 2
exec "$@"
"""


def _can_make_namespaces() -> bool:
    command = [*_NAMESPACE, "true"]
    return sys.platform == "linux" and subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_make_namespaces(), reason="mounting /opt and /var/task takes root on Linux")


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@contextmanager
def emulated(variables: Mapping[str, str], directory: Path) -> Iterator[tuple[str, ChildProcess]]:
    """The chat function, invoked by POST to the URL; its log and the emulator's are the process's."""
    for layer in ("DependenciesLayer", "SluiceLayer"):
        shutil.copytree(BUILD / layer / "python", directory / "opt" / "python", dirs_exist_ok=True)
    _executable(directory / "opt" / "bootstrap", _WRAPPER)
    adapter = f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/web_adapter.py"\n'
    _executable(directory / "opt" / "extensions" / "lambda-adapter", adapter)
    _executable(directory / "runtime" / "bootstrap", _RUNTIME)
    port = free_port()
    emulator: list[str | Path] = [
        *(_EMULATORS / f"aws-lambda-rie-{_ARCHITECTURE}", "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}", "/var/runtime/bootstrap", "run.sh"),
    ]
    command = [*_NAMESPACE, "sh", "-c", _MOUNT, "sh", directory, BUILD / "ChatFunction", *emulator]
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_PORT": str(free_port()),
        "LAMBDA_TASK_ROOT": "/var/task",
        **variables,
    }
    with ChildProcess("the runtime emulator", command, environment, directory / "emulator.log") as process:
        process.wait_until(lambda: is_listening(port), 30)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", process


def _invoke(url: str, method: str, path: str, key: str, body: Any = None) -> tuple[dict[str, Any], str]:
    """What the function answers: status and headers, and the body."""
    event = {
        "httpMethod": method,
        "path": path,
        "headers": {"authorization": f"Bearer {key}", "content-type": "application/json"},
        "body": "" if body is None else json.dumps(body),
    }
    answer = httpx.post(url, json=event, timeout=120).content
    prelude, _, streamed = answer.partition(b"\0" * 8)
    head: dict[str, Any] = json.loads(prelude)
    return head, streamed.decode()


def test_chat_streams_in_lambda_s_layout(stack: RunningStack, fake_provider: FakeProcess, tmp_path: Path) -> None:
    variables = deployment.function_environment(stack.ministack, stack.deployment.outputs["ChatFunctionName"])
    fake_provider.configure(answer="One two three four five.", chunk_delay_s=0.05)
    key = stack.stack.api_key
    with emulated({**variables, **stack.ministack.environment}, tmp_path) as (url, process):
        head, body = _invoke(url, "GET", "/v1/models", key)
        assert (head["statusCode"], json.loads(body)["object"]) == (200, "list")
        asked = {"model": FAKE_MODEL, "stream": True, "messages": [{"role": "user", "content": "Count."}]}
        head, body = _invoke(url, "POST", "/v1/chat/completions", key, asked)
        assert head["statusCode"] == 200
        assert head["headers"]["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        chunks = [json.loads(event)["choices"] for event in events[:-1]]
        text = "".join(choice["delta"].get("content") or "" for choices in chunks for choice in choices)
        assert text == "One two three four five."
        passed_on = [line for line in process.log_tail(200).splitlines() if line.startswith("passed on")]
        assert int(passed_on[-1].split()[2]) > 2, "the answer came in one piece"
        head, body = _invoke(url, "POST", "/v1/chat/completions", "sl-nobody", asked)
        assert head["statusCode"] == 401
