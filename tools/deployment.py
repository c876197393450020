"""Builds template.yaml and deploys it to MiniStack, with the commands that deploy it to AWS."""

import fcntl
import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from tools import left_out, template
from tools.gate import FRONT_DOOR_HEADER
from tools.ministack import MiniStack
from tools.processes import ROOT, ChildProcess

LOCAL = ROOT / ".local"
SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
# Both as in samconfig.toml.
STACK_NAME = "sluice"
ARTIFACTS_BUCKET = "sluice-artifacts"

_ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
_INPUTS = ("template.yaml", "samconfig.toml", "functions", "layers", "shared", "tools/shared_json.py")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was deployed."""

    api_url: str
    """Where MiniStack serves the REST API: paths of template.yaml follow."""
    api_headers: Mapping[str, str] = field(repr=False)
    """What a request to it has to have to pass the gate before MiniStack."""
    outputs: Mapping[str, str]
    """The stack's outputs."""


def deploy(ministack: MiniStack, parameters: Mapping[str, str] | None = None) -> Deployment:
    """Build what has changed since the last time, and deploy it with the template's parameters, or others.

    Raises FileNotFoundError if SAM is not installed, ProcessFailedError, with what SAM wrote, if it fails.
    """
    if not SAM.exists():
        raise FileNotFoundError(f"{SAM.relative_to(ROOT)} is missing: `make tools` installs it")
    LOCAL.mkdir(exist_ok=True)
    with _exclusive(LOCAL / "build.lock"):
        _build(ministack)
        _expand(parameters)
        ministack.aws.session().client("s3", endpoint_url=ministack.endpoint_url).create_bucket(Bucket=ARTIFACTS_BUCKET)
        _sam(ministack, "deploy", "--config-env", "local", *parameter_overrides(parameters))
    cloudformation = ministack.aws.session().client("cloudformation", endpoint_url=ministack.endpoint_url)
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    left_out.complete(ministack, outputs["ApiId"], all_variables(ministack, outputs))
    api_url = f"{ministack.endpoint_url}/restapis/{outputs['ApiId']}/live/_user_request_"
    return Deployment(api_url, {FRONT_DOOR_HEADER: ministack.front_door_token}, outputs)


def missing_from(ministack: MiniStack) -> str | None:
    """What MiniStack lacks of a stack that was deployed to it earlier, None if nothing."""
    session, endpoint_url = ministack.aws.session(), ministack.endpoint_url
    try:
        resources = session.client("cloudformation", endpoint_url=endpoint_url).describe_stack_resources(
            StackName=STACK_NAME
        )["StackResources"]
        tables = session.client("dynamodb", endpoint_url=endpoint_url)
        for resource in resources:
            if resource["ResourceType"] == "AWS::DynamoDB::Table":
                tables.describe_table(TableName=resource["PhysicalResourceId"])
    except ClientError as error:
        return str(error)
    return None


def function_environment(ministack: MiniStack, function_name: str) -> dict[str, str]:
    """The variables that the deployed function runs with."""
    functions = ministack.aws.session().client("lambda", endpoint_url=ministack.endpoint_url)
    return functions.get_function_configuration(FunctionName=function_name)["Environment"]["Variables"]


def all_variables(ministack: MiniStack, outputs: Mapping[str, str]) -> dict[str, str]:
    """The variables of all deployed functions together; no one function is told of every table."""
    names = [name for output, name in outputs.items() if output.endswith("FunctionName")]
    return {key: value for name in names for key, value in function_environment(ministack, name).items()}


def parameter_overrides(parameters: Mapping[str, str] | None = None) -> list[str]:
    """SAM's options for a stack on this machine, with some of the template's parameters set otherwise."""
    values = _parameter_values(parameters)
    return ["--parameter-overrides", *(f"{name}={shlex.quote(value)}" for name, value in values.items())]


def _parameter_values(parameters: Mapping[str, str] | None) -> dict[str, str]:
    # A small model on one's own processor takes its time.
    local = {"Architecture": _ARCHITECTURE, "ResponseStreaming": "false", "ExtendedTimeout": "true"}
    return {**local, **(parameters or {})}


def build_fingerprint() -> str:
    """Changes when something that goes into the build does."""
    digest = hashlib.sha256(f"{platform.machine()} {sys.platform} {sys.version}".encode())
    for path in sorted(_input_files()):
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _input_files() -> Iterator[Path]:
    for name in _INPUTS:
        path = ROOT / name
        if path.is_file():
            yield path
        for folder, folders, files in path.walk():
            folders[:] = [folder_name for folder_name in folders if folder_name != "__pycache__"]
            yield from (folder / file for file in files if (folder / file).is_file())  # a link to a folder is none


def _build(ministack: MiniStack) -> None:
    stamp = LOCAL / "build.sha256"
    fingerprint = build_fingerprint()
    if stamp.exists() and stamp.read_text() == fingerprint and (LOCAL / "build" / "template.yaml").exists():
        return
    stamp.unlink(missing_ok=True)
    _sam(ministack, "build", "--config-env", "local", *parameter_overrides())
    stamp.write_text(fingerprint)


def _expand(parameters: Mapping[str, str] | None) -> None:
    """Apply the language extensions, of which MiniStack leaves out what makes a new version of a changed parameter.

    Saved queries are left out, which it does not know.
    """
    expanded = template.expand(template.read(LOCAL / "build" / "template.yaml"), _parameter_values(parameters))
    resources = expanded["Resources"].items()
    expanded["Resources"] = {name: each for name, each in resources if each["Type"] != "AWS::Logs::QueryDefinition"}
    (LOCAL / "build" / "deployed.json").write_text(json.dumps(expanded))


def _sam(ministack: MiniStack, *arguments: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / ".tools" / "uv" / "bin"), inherited["PATH"]])
    env = {
        **inherited,
        **ministack.environment,
        "PATH": path,
        "LAYER_PLATFORM": "host",
        "UV_PYTHON_DOWNLOADS": "never",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
    }
    with ChildProcess(f"sam {arguments[0]}", [SAM, *arguments], env, LOCAL / f"sam-{arguments[0]}.log") as sam:
        sam.wait()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One build at a time: tests and `make run` share its folder."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
