"""The local stack: the deployed template, a real model, and a door on http://localhost:8080. `python -m tools.stack`.

Variables: SLUICE_PORT is the door's port, SLUICE_MODEL=off leaves the local model out.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import accounts, credentials, deployment
from tools.accounts import AccountsError
from tools.credentials import Credential, CredentialsFileError
from tools.deployment import Deployment
from tools.ministack import MiniStack
from tools.model import LocalModel
from tools.processes import ROOT, ChildProcess, ProcessFailedError, ambient_environment, is_listening

_DOOR_START_TIMEOUT_S = 60.0
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a running stack is, and the keys to it. What stack.json holds."""

    base_url: str
    api_key: str
    operator_key: str
    admin_key: str
    aws_endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack and what it is made of."""

    stack: Stack
    ministack: MiniStack
    deployment: Deployment
    processes: Sequence[ChildProcess]


@contextmanager
def running_stack(
    port: int,
    directory: Path,
    more_credentials: Sequence[Credential] = (),
    *,
    with_model: bool = True,
) -> Iterator[RunningStack]:
    """Bring everything up, and down again at the end of the block.

    `port` is the door's; `directory` takes logs and temporary files. Raises ProcessFailedError and AccountsError.
    """
    with ExitStack() as running:
        model = running.enter_context(LocalModel(directory)) if with_model else None
        _say("starting MiniStack, which stands in for AWS")
        ministack = running.enter_context(MiniStack(directory))
        _say("building and deploying template.yaml")
        deployed = deployment.deploy(ministack)
        found = list(more_credentials)
        if model:
            _say("starting the local model")
            model.wait_until_ready()
            # Real providers are to answer once there are keys for them, not a model a thousandth of their size.
            found.append(credentials.local_model(model.base_url, by_name_only=bool(found)))
        _say("setting up credentials and API keys")
        secrets = ministack.aws.session().client("secretsmanager", endpoint_url=ministack.endpoint_url)
        secrets.put_secret_value(
            SecretId=deployed.outputs["CredentialsSecretArn"], SecretString=json.dumps({"credentials": found})
        )
        admin_secret = secrets.get_secret_value(SecretId=deployed.outputs["AdminKeySecretArn"])["SecretString"]
        door = running.enter_context(_front_door(port, directory, ministack, deployed))
        # While the door opens: the first request starts the function.
        keys = accounts.create(deployed, f"sl-admin-{json.loads(admin_secret)['secret']}")
        door.wait_until(lambda: is_listening(port), _DOOR_START_TIMEOUT_S)
        stack = Stack(
            base_url=f"http://localhost:{port}/v1",
            api_key=keys.api_key,
            operator_key=keys.operator_key,
            admin_key=keys.admin_key,
            aws_endpoint_url=ministack.endpoint_url,
            aws_access_key_id=ministack.aws.key.access_key_id,
            aws_secret_access_key=ministack.aws.key.secret_access_key,
        )
        processes = [ministack.process, door, *([model] if model else [])]
        yield RunningStack(stack, ministack, deployed, processes)


def write(stack: Stack, path: Path) -> None:
    """Write stack.json, readable by its owner alone, in one step."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(stack), file, indent=2)
    partial.replace(path)


def _front_door(port: int, directory: Path, ministack: MiniStack, deployed: Deployment) -> ChildProcess:
    env = {
        **ambient_environment(),
        **deployment.function_environment(ministack, deployed.outputs["ChatFunctionName"]),
        **ministack.environment,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)]),
        "SLUICE_API_URL": deployed.api_url,
        "SLUICE_FRONT_DOOR_TOKEN": ministack.front_door_token,
        "SLUICE_HOSTS": ",".join(f"{host}:{port}" for host in _LOOPBACK_HOSTS),
    }
    arguments = ["--factory", "tools.front_door:app", "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--log-level", "warning", "--timeout-graceful-shutdown", "3", "--ws", "none"]
    command = [sys.executable, "-m", "uvicorn", *arguments, *quiet]
    return ChildProcess("The front door", command, env, directory / "front-door.log")


def _say(what: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {what}", flush=True)


_STARTED = time.monotonic()


def _end(_signal_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(directory: Path = deployment.LOCAL) -> None:
    """Run the stack until Ctrl-C, SIGTERM, or the end of one of its processes. `directory` takes stack.json."""
    signal.signal(signal.SIGTERM, _end)
    port_text = os.environ.get("SLUICE_PORT", "8080")
    if not port_text.isdecimal() or not 0 < int(port_text) < 65536:
        sys.exit(f"SLUICE_PORT must be a port, got {port_text!r}")
    port = int(port_text)
    if is_listening(port):
        sys.exit(f"port {port} is taken: stop what listens there, or choose another one: SLUICE_PORT=8081 make run")
    stack_file = directory / "stack.json"
    directory.mkdir(exist_ok=True)
    stack_file.unlink(missing_ok=True)
    with_model = os.environ.get("SLUICE_MODEL") != "off"
    try:
        found = credentials.from_files(ROOT)
        with running_stack(port, directory, found, with_model=with_model) as running:
            write(running.stack, stack_file)
            _introduce(running.stack, found)
            while all(not process.has_ended for process in running.processes):
                time.sleep(0.5)
            ended = next(process for process in running.processes if process.has_ended)
            sys.exit(f"{ended.name} has ended:\n{ended.log_tail()}")
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
    except (AccountsError, CredentialsFileError, FileNotFoundError, ProcessFailedError) as error:
        sys.exit(str(error))
    finally:
        stack_file.unlink(missing_ok=True)


def _introduce(stack: Stack, found: Sequence[Credential]) -> None:
    _say("ready")
    providers = sorted({str(credential["provider"]) for credential in found})
    listed = ", ".join(providers) or "none, the small local model answers (.env.example says how to add some)"
    print(
        f"""
Sluice answers at {stack.base_url}   (Ctrl-C stops it)

  caller's key    {stack.api_key}
  operator's key  {stack.operator_key}
  admin key       {stack.admin_key}

  providers with keys: {listed}

Try it:

  curl -N {stack.base_url}/chat/completions \\
    -H 'authorization: Bearer {stack.api_key}' \\
    -H 'content-type: application/json' \\
    -d '{{"model": "auto", "stream": true, "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
