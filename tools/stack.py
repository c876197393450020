"""The local stack: the deployed template on MiniStack, a real model, and the front door."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools import accounts, credentials, deployment
from tools.credentials import Credential
from tools.deployment import Deployment
from tools.kept import Kept, KeptState
from tools.ministack import MiniStack
from tools.model import LocalModel
from tools.processes import ROOT, ChildProcess, ambient_environment, is_listening

_DOOR_START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a stack is to be."""

    port: int
    """The front door's."""
    directory: Path
    """Takes logs, temporary files, and what is kept."""
    host: str | None = None
    """What the front door is called on the network; None if it is for this machine alone."""
    with_model: bool = True
    keeps_state: bool = False
    """Whether tables and secrets are those of the last run that kept them."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The template's, where they are not to have their defaults."""


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
def running_stack(settings: Settings, more_credentials: Sequence[Credential] = ()) -> Iterator[RunningStack]:
    """Bring everything up, and down again at the end of the block.

    Raises ProcessFailedError, AccountsError and KeptError.
    """
    directory = settings.directory
    with ExitStack() as running:
        model = running.enter_context(LocalModel(directory)) if settings.with_model else None
        kept = KeptState(directory / "kept") if settings.keeps_state else None
        say("starting MiniStack, which stands in for AWS")
        ministack = running.enter_context(MiniStack(directory, kept))
        if kept and kept.before and (missing := deployment.missing_from(ministack)):
            ministack.kill()  # its state is not worth saving
            raise kept.unreadable(missing)
        say("building and deploying template.yaml")
        deployed = deployment.deploy(ministack, settings.parameters)
        found = list(more_credentials)
        if model:
            say("starting the local model")
            model.wait_until_ready()
            # Real providers are to answer once there are keys for them, not a model a thousandth of their size.
            found.append(credentials.local_model(model.base_url, by_name_only=bool(found)))
        say("setting up credentials and API keys")
        secrets = ministack.aws.session().client("secretsmanager", endpoint_url=ministack.endpoint_url)
        secrets.put_secret_value(
            SecretId=deployed.outputs["CredentialsSecretArn"], SecretString=json.dumps({"credentials": found})
        )
        admin_secret = secrets.get_secret_value(SecretId=deployed.outputs["AdminKeySecretArn"])["SecretString"]
        door = running.enter_context(_front_door(settings, ministack, deployed))
        if model:
            running.callback(model.kill)  # before all else: it has nothing to lose, and takes the processor from others
        # While the door opens: the first request starts the function.
        before = kept.before.api_keys if kept and kept.before else None
        keys = accounts.ensure(deployed, f"sl-admin-{json.loads(admin_secret)['secret']}", before)
        if kept:
            by_role = {"caller": keys.caller_key, "operator": keys.operator_key}
            kept.write(Kept(ministack.aws.key.access_key_id, by_role))
        door.wait_until(lambda: is_listening(settings.port), _DOOR_START_TIMEOUT_S)
        stack = Stack(
            base_url=f"http://localhost:{settings.port}/v1",
            api_key=keys.caller_key,
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


def say(what: str) -> None:
    """Tell the user how far it is, and after how long."""
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {what}", flush=True)


_STARTED = time.monotonic()


def _front_door(settings: Settings, ministack: MiniStack, deployed: Deployment) -> ChildProcess:
    env = {
        **ambient_environment(),
        **deployment.function_environment(ministack, deployed.outputs["ChatFunctionName"]),
        **ministack.environment,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "sluice"), str(ROOT)]),
        "SLUICE_API_URL": deployed.api_url,
        "SLUICE_FRONT_DOOR_TOKEN": ministack.front_door_token,
        "SLUICE_PORT": str(settings.port),
        "SLUICE_HOST": settings.host or "",
    }
    command = [sys.executable, "-m", "tools.front_door"]
    return ChildProcess("The front door", command, env, settings.directory / "front-door.log")
