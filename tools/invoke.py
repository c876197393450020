"""Runs a function in a container with a sample event, on the running local stack's tables and model.

`python -m tools.invoke events/create_chat_completion.json [options of sam local invoke]`.

`sam local invoke` alone knows neither the names of the deployed tables nor an API key, and it overrides only variables
that the template declares. So it is given a copy of the built template with the deployed function's variables, and the
event with a key.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Any

import yaml

from tools import deployment, template
from tools.forward import forwarding
from tools.gate import CONTAINER_HOST_OF_DOCKER_DESKTOP, CONTAINER_HOST_ON_LINUX
from tools.ministack import LocalAws
from tools.processes import ROOT
from tools.signature import AccessKey
from tools.stack import Stack

_IS_LINUX = sys.platform == "linux"
_HOST = CONTAINER_HOST_ON_LINUX if _IS_LINUX else CONTAINER_HOST_OF_DOCKER_DESKTOP


def main() -> None:
    """Invoke the function that an event is for."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tools.invoke events/create_chat_completion.json [options of sam local invoke]")
    stack_file = deployment.LOCAL / "stack.json"
    if not stack_file.exists():
        sys.exit("the local stack is not running: start it with `make run` first")
    stack = Stack(**json.loads(stack_file.read_text()))
    sys.exit(invoke(Path(sys.argv[1]).read_text(), stack, sys.argv[2:]).returncode)


def invoke(
    event: str, stack: Stack, options: Sequence[str] = (), *, stdout: IO[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the function that an event is for, which writes its answer to `stdout`."""
    function = function_for(event)
    # What answers prompts, or keeps files, does not take the admin key.
    key = stack.operator_key if function in {"ChatFunction", "TasksFunction", "FilesFunction"} else stack.admin_key
    invoked = deployment.LOCAL / "build" / "invoke.yaml"
    ports = _write_template(invoked, stack, function)
    command = [str(deployment.SAM), "local", "invoke", function, "--config-env", "local", "--template", str(invoked)]
    with ExitStack() as forwards:
        for port in ports if _IS_LINUX else ():
            try:
                forwards.enter_context(forwarding(_HOST, port))
            except OSError as error:
                sys.exit(f"containers can't be let in at {_HOST}:{port}: {error.strerror}. Is Docker running?")
        return subprocess.run(
            [*command, "--event", "-", *deployment.parameter_overrides(), *options],
            input=event.replace("sl-<id>-<secret>", key),
            env={**os.environ, "SAM_CLI_TELEMETRY": "0", **_aws(stack).environment},
            text=True,
            stdout=stdout,
        )


def _aws(stack: Stack) -> LocalAws:
    return LocalAws(stack.aws_endpoint_url, AccessKey(stack.aws_access_key_id, stack.aws_secret_access_key))


@cache
def _source() -> dict[str, Any]:
    return template.load()


def function_for(event: str) -> str:
    """The function that a sample event is for, by its logical id: by its route, queue or schedule."""
    content = json.loads(event)
    source = _source()
    functions = [name for name, resource in source["Resources"].items() if resource["Type"].endswith("::Function")]
    if "Records" in content:
        queue = content["Records"][0]["eventSourceARN"].rpartition(":")[2]
        for name in functions:
            if queue in template.queues(source, name):
                return str(name)
        sys.exit(f"no function of template.yaml takes the messages of {queue}")
    if content.get("source") == "aws.scheduler":
        # CloudFormation names a schedule by its stack, its logical id and some letters.
        schedule = content["resources"][0].rpartition("/")[2]
        for name in functions:
            if any(f"-{each}-" in schedule for each in template.schedules(source, name)):
                return str(name)
        sys.exit(f"no function of template.yaml is run by {schedule}")
    route = template.Route(content["httpMethod"], content["resource"])
    for name in functions:
        if route in template.routes(source, name):
            return str(name)
    sys.exit(f"no function of template.yaml answers {route.method} {route.path}")


def _write_template(path: Path, stack: Stack, function: str) -> list[int]:
    """Write the template to invoke; returns the loopback ports that the function will call."""
    aws, endpoint_url = _aws(stack).session(), stack.aws_endpoint_url
    described = aws.client("cloudformation", endpoint_url=endpoint_url).describe_stacks(StackName="sluice")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Stacks"][0]["Outputs"]}
    functions = aws.client("lambda", endpoint_url=endpoint_url)
    deployed = functions.get_function_configuration(FunctionName=outputs[f"{function}Name"])
    variables = {**deployed["Environment"]["Variables"], "AWS_ENDPOINT_URL": endpoint_url}
    if "CREDENTIALS_SECRET" in variables:
        secrets = aws.client("secretsmanager", endpoint_url=endpoint_url)
        text = secrets.get_secret_value(SecretId=variables["CREDENTIALS_SECRET"])["SecretString"]
        created = secrets.create_secret(Name=f"invoke-{uuid.uuid4().hex[:12]}", SecretString=_from_container(text))
        variables["CREDENTIALS_SECRET"] = created["Name"]
        ports = _loopback_ports(text)
    else:
        ports = []
    content = template.load(ROOT / ".local" / "build" / "template.yaml")
    properties = content["Resources"][function]["Properties"]
    properties["Environment"]["Variables"] = {name: _from_container(value) for name, value in variables.items()}
    path.write_text(yaml.safe_dump(content))
    return [*_loopback_ports(endpoint_url), *ports]


def _loopback_ports(text: str) -> list[int]:
    return [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]


def _from_container(text: str) -> str:
    return text.replace("127.0.0.1:", f"{_HOST}:")


if __name__ == "__main__":
    main()
