"""`make run`: the local stack until Ctrl-C. `python -m tools.run [--port 8080] [--host ADDRESS] [--keep]`.

SLUICE_MODEL=off leaves the local model out.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools import credentials, deployment, parameters, template
from tools.accounts import AccountsError
from tools.credentials import FoundCredentials
from tools.door import Door, DoorError, door_at, network_address
from tools.kept import KeptError
from tools.key_check import KeyCheck, check_keys
from tools.processes import ROOT, ProcessFailedError
from tools.stack import RunningStack, Settings, Stack, running_stack, say, write

_DEFAULT_PORT = 8080


class AlreadyRunningError(Exception):
    """A stack runs from this folder already. The message says where."""


def main(arguments: Sequence[str] | None = None, directory: Path = deployment.LOCAL, root: Path = ROOT) -> None:
    """Run the stack until Ctrl-C, SIGTERM, or the end of one of its processes.

    `directory` takes stack.json; `.env` and credentials.json are looked for in `root`.
    """
    signal.signal(signal.SIGTERM, _end)
    settings = _settings(arguments, directory)
    try:
        door = door_at(settings.port, settings.host)
        with _alone(settings):
            door.check()
            found = credentials.from_files(root)
            checks = _check(found)
            with running_stack(settings, found.credentials) as running:
                write(running.stack, directory / "stack.json")
                _introduce(running.stack, door, found, checks)
                _wait_for_an_end(running)
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
    except (
        AccountsError,
        AlreadyRunningError,
        DoorError,
        FileNotFoundError,
        KeptError,
        ProcessFailedError,
    ) as error:
        sys.exit(str(error))


def _settings(arguments: Sequence[str] | None, directory: Path) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tools.run", description="Run Sluice on this machine.")
    parser.add_argument("--port", type=_port, help="where to serve it")
    parser.add_argument("--host", help="serve the network too, as this address or name of this machine")
    parser.add_argument("--keep", action="store_true", help="keep tables and keys from one run to the next")
    parser.add_argument("--params", default="", help='parameters of the stack: "Name=value Other=value"')
    options = parser.parse_args(arguments)
    port, former = options.port, os.environ.get("SLUICE_PORT")
    if port is None and former:
        print("SLUICE_PORT is called PORT now, and will not be read any more in the next version", file=sys.stderr)
        try:
            port = _port(former)
        except argparse.ArgumentTypeError as error:
            parser.error(f"SLUICE_PORT {error}")
    try:
        given = parameters.parse_for_this_machine(options.params, template.load())
    except parameters.ParameterError as error:
        parser.error(str(error))
    return Settings(
        port=port or _DEFAULT_PORT,
        directory=directory,
        host=options.host or None,
        with_model=os.environ.get("SLUICE_MODEL") != "off",
        keeps_state=options.keep,
        parameters=given,
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"must be a port, got {text!r}")
    return int(text)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep other runs from this folder away until the end of the block. Raises AlreadyRunningError."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    with (settings.directory / "run.lock").open("a+") as lock:
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(_where_the_other_is(lock.read())) from None
        lock.truncate(0)
        json.dump({"pid": os.getpid(), "base_url": f"http://localhost:{settings.port}/v1"}, lock)
        lock.flush()
        stack_file = settings.directory / "stack.json"
        # Of a run that was killed.
        stack_file.unlink(missing_ok=True)
        for left in settings.directory.glob("ministack-*/"):
            shutil.rmtree(left)
        try:
            yield
        finally:
            stack_file.unlink(missing_ok=True)


def _where_the_other_is(text: str) -> str:
    try:
        other = json.loads(text)
        where = f"at {other['base_url']}, as process {other['pid']}"
    except (ValueError, KeyError):  # it is just about to write it
        where = "and is starting"
    return f"Sluice runs from this folder already, {where}. Use that one, or stop it with Ctrl-C where it was started"


def _end(_signal_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_for_an_end(running: RunningStack) -> None:
    while all(not process.has_ended for process in running.processes):
        time.sleep(0.5)
    ended = next(process for process in running.processes if process.has_ended)
    raise ProcessFailedError(f"{ended.name} has ended:\n{ended.log_tail()}")


def _check(found: FoundCredentials) -> list[KeyCheck]:
    for problem in found.problems:
        print(f"  {problem}", file=sys.stderr, flush=True)
    if found.problems:
        print("What is wrong there is left out, and all else used.", file=sys.stderr, flush=True)
    if found.credentials:
        say("trying the providers' keys")
    return check_keys(found.credentials)


def _introduce(stack: Stack, door: Door, found: FoundCredentials, checks: Sequence[KeyCheck]) -> None:
    say("ready")
    keys = [f"    {check}" for check in checks] or [
        "    none, so the small local model answers (.env.example says how to add some)"
    ]
    if found.problems:
        keys.append(f"    left out, for what is said above: {'; '.join(_places(found))}")
    print(
        f"""
Sluice answers at {stack.base_url}   (Ctrl-C stops it)
The console is at {stack.base_url.removesuffix("/v1")}/console   (sign in with one of these keys)

  caller's key    {stack.api_key}
  operator's key  {stack.operator_key}
  admin key       {stack.admin_key}

  providers' keys
{"\n".join(keys)}
{_on_the_network(door)}
Try it:

  curl -N {stack.base_url}/chat/completions \\
    -H 'authorization: Bearer {stack.api_key}' \\
    -H 'content-type: application/json' \\
    -d '{{"model": "auto", "stream": true, "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'
""",
        flush=True,
    )


def _places(found: FoundCredentials) -> list[str]:
    return list(dict.fromkeys(each.place for each in found.problems))


def _on_the_network(door: Door) -> str:
    if not door.is_on_the_network:
        return ""
    name = door.names[-1] if not door.takes_any_address else network_address() or "ADDRESS-OF-THIS-MACHINE"
    return f"""
On the network: http://{name}:{door.port}/v1
  Whoever is on it and has a key can spend your providers' quota, and nobody without one. Make a key for each
  person or class, with limits; keep the operator's and the admin key to yourself. This is HTTP: on a network that
  you do not trust, others can read keys, questions and answers on their way. MiniStack and the local model can't
  be reached from the network.
"""


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and an orderly end of the interpreter takes its time over boto3's data
