"""`make run`: what it writes, what it says when it can't start, and that it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tools import run
from tools.processes import ROOT, free_port, is_listening

START_TIMEOUT_S = 240


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)])
    inherited = {name: value for name, value in os.environ.items() if name != "SLUICE_PORT"}
    return {**inherited, "PYTHONPATH": path, "SLUICE_MODEL": "off"}


def _command(directory: Path, *arguments: str) -> list[str]:
    program = (
        # As from a terminal: what runs in the background of a script is started with Ctrl-C ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from tools import run; "
        f"run.main(directory=Path({str(directory)!r}), root=Path({str(directory)!r}))"
    )
    return [sys.executable, "-c", program, *arguments]


type Failure = Callable[..., str]


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Failure]:
    """What a run that can't start says, on its error output alone. In this process: another takes seconds to start."""
    handler = signal.getsignal(signal.SIGTERM)

    def run_in_vain(*arguments: str, **variables: str) -> str:
        with monkeypatch.context() as patch:
            patch.delenv("SLUICE_PORT", raising=False)
            for name, value in {"SLUICE_MODEL": "off", **variables}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                run.main(arguments, directory=tmp_path, root=tmp_path)
        printed = capsys.readouterr()
        assert printed.out == ""
        # What a process that ends with a text prints last.
        said = ended.value.code if isinstance(ended.value.code, str) else ""
        assert said or ended.value.code == 2
        return (printed.err + said).strip()

    yield run_in_vain
    signal.signal(signal.SIGTERM, handler)


@contextmanager
def _running(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The local stack, with stack.json in `directory`, once it is up."""
    process = subprocess.Popen(
        _command(directory, "--port", str(free_port()), *arguments),
        env=_environment(),
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


def _stack(directory: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((directory / "stack.json").read_text())
    return found


def test_the_stack_ends_with_all_it_started(tmp_path: Path) -> None:
    directory = tmp_path / "local"
    with _running(directory) as process:
        file = directory / "stack.json"
        assert file.stat().st_mode & 0o777 == 0o600
        stack = _stack(directory)
        assert stack.keys() == {
            *("base_url", "api_key", "operator_key", "admin_key"),
            *("aws_endpoint_url", "aws_access_key_id", "aws_secret_access_key"),
        }
        assert stack["base_url"].startswith("http://localhost:")
        assert stack["base_url"].endswith("/v1")
        assert all(map(is_listening, _ports(stack)))
        process.terminate()
        process.wait(30)
        assert process.returncode == 0
        assert not file.exists()
        assert {path.suffix for path in directory.iterdir()} == {".lock", ".log"}
        _wait_until_nobody_listens(_ports(stack))


def test_a_second_run_leaves_the_first_alone_and_a_later_one_finds_what_was_kept(
    failure: Failure, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEY=gsk_secret_0123456789\n")
    unreachable = {"provider": "gateway", "alias": "gw-1", "api_key": "gw-secret", "models": {"m": {"tier": "fast"}}}
    (tmp_path / "credentials.json").write_text(
        json.dumps({"credentials": [{**unreachable, "base_url": f"http://127.0.0.1:{free_port()}/v1"}]})
    )
    with _running(tmp_path, "--keep") as process:
        first = _stack(tmp_path)
        said = failure("--port", str(free_port()))
        assert f"Sluice runs from this folder already, at {first['base_url']}, as process {process.pid}" in said
        assert _stack(tmp_path) == first
        admin = {"authorization": f"Bearer {first['admin_key']}"}
        for path, body in {
            "/tenants": {"id": "physics", "name": "P"},
            "/keys": {"tenant": "physics", "name": "k"},
        }.items():
            made = httpx.post(first["base_url"] + path, headers=admin, json=body, timeout=60)
            assert made.status_code == 201, made.text
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        _wait_until_nobody_listens(_ports(first))
        assert ".env, line 1: GROQ_API_KEY is not a name that is read here. Call it GROQ_API_KEYS" in printed
        assert "gw-1 (gateway): unreachable, no connection to 127.0.0.1" in printed
        assert "secret" not in printed
    assert {path.stat().st_mode & 0o77 for path in (tmp_path / "kept").rglob("*")} == {0}, "it is its owner's alone"
    with _running(tmp_path, "--keep") as process:
        second = _stack(tmp_path)
        for name in ("api_key", "operator_key", "admin_key", "aws_access_key_id"):
            assert second[name] == first[name]
        assert second["aws_secret_access_key"] != first["aws_secret_access_key"]
        headers = {"authorization": f"Bearer {made.json()['api_key']}"}
        assert httpx.get(second["base_url"] + "/models", headers=headers, timeout=60).status_code == 200
        process.kill()
        process.wait(30)
        _wait_until_nobody_listens(_ports(second))


def test_what_was_kept_and_can_t_be_read_is_left_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "kept.json").write_text(json.dumps({"account_id": "123456789012", "api_keys": {}}))
    (kept / "state").mkdir()
    unreadable = kept / "state" / "dynamodb.json"
    unreadable.write_text("of a MiniStack to come")
    result = subprocess.run(
        _command(tmp_path, "--keep", "--port", str(free_port())),
        env=_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert f"what earlier runs kept in {kept} can't be used" in result.stderr
    assert unreadable.read_text() == "of a MiniStack to come"


@pytest.mark.parametrize("port", ["80800", "web", "0"])
def test_a_port_that_is_none_is_named(port: str, failure: Failure) -> None:
    assert f"must be a port, got '{port}'" in failure("--port", port)
    assert f"SLUICE_PORT must be a port, got '{port}'" in failure(SLUICE_PORT=port)


def test_the_former_name_of_the_port_is_still_read_and_said_to_go(failure: Failure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failure(SLUICE_PORT=str(port))
    assert "SLUICE_PORT is called PORT now" in said
    assert f"port {port} is taken" in said


def test_a_taken_port_is_said_before_anything_is_started(failure: Failure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in failure("--port", str(port))


def test_an_address_of_another_machine_is_said_before_anything_is_started(failure: Failure) -> None:
    said = failure("--port", str(free_port()), "--host", "192.0.2.1")
    assert said == "192.0.2.1 is none of this machine's addresses"
