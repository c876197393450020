"""`make run`: what it writes, what it says when it can't start, and that it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.processes import ROOT, free_port, is_listening

START_TIMEOUT_S = 120


def _environment(port: int) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "SLUICE_PORT": str(port), "SLUICE_MODEL": "off"}


@contextmanager
def _running(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The local stack, with stack.json in `directory`, once it is up."""
    program = f"from pathlib import Path; from tools import stack; stack.main(Path({str(directory)!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=_environment(port),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (directory / "stack.json").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate()


def _ports(stack: dict[str, str]) -> list[int]:
    return [int(stack[name].split("/")[2].split(":")[1]) for name in ("base_url", "aws_endpoint_url")]


def _wait_until_nobody_listens(ports: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(map(is_listening, ports)):
        assert time.monotonic() < deadline, f"still listening on one of {ports}"
        time.sleep(0.1)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda ending: ending.name)
def test_the_stack_ends_with_all_it_started(ending: signal.Signals, tmp_path: Path) -> None:
    directory = tmp_path / "local"
    with _running(directory, free_port()) as process:
        file = directory / "stack.json"
        assert file.stat().st_mode & 0o777 == 0o600
        stack = json.loads(file.read_text())
        assert stack.keys() == {
            "base_url",
            "api_key",
            "operator_key",
            "admin_key",
            "aws_endpoint_url",
            "aws_access_key_id",
            "aws_secret_access_key",
        }
        assert stack["base_url"].startswith("http://localhost:")
        assert stack["base_url"].endswith("/v1")
        assert all(map(is_listening, _ports(stack)))
        process.send_signal(ending)
        process.wait(30)
        if ending is not signal.SIGKILL:
            assert process.returncode == 0
            assert not file.exists()
            assert {path.suffix for path in directory.iterdir()} == {".log"}
        _wait_until_nobody_listens(_ports(stack))


@pytest.mark.parametrize(
    ("port", "message"),
    [("80800", "SLUICE_PORT must be a port, got '80800'"), ("web", "SLUICE_PORT must be a port, got 'web'")],
)
def test_a_port_that_is_none_is_named(port: str, message: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tools.stack"],
        env={**_environment(0), "SLUICE_PORT": port},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 1
    assert result.stderr.strip() == message


def test_a_taken_port_is_said_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "tools.stack"],
            env=_environment(port),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"port {port} is taken" in result.stderr
