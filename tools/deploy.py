"""Builds template.yaml and deploys it to AWS, as `make deploy` does. `python -m tools.deploy --help`.

In CI nothing is asked. The first thing that is wrong ends it before anything is built.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools import aws, parameters, template
from tools.parameters import ParameterError
from tools.processes import ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

BUILT = ROOT / ".aws-sam" / "build"
_LAYER_PLATFORMS = {"arm64": "aarch64-manylinux_2_34", "x86_64": "x86_64-manylinux_2_34"}


def deploy(arguments: argparse.Namespace) -> None:
    """Check, build and deploy."""
    region = aws.choose_region(arguments.region, "deploy")
    source = template.load()
    try:
        given = parameters.parse(arguments.params, source["Parameters"])
    except ParameterError as error:
        sys.exit(str(error))
    account = aws.account(region)
    stack = aws.find_stack(arguments.stack, region)
    values = {**_defaults(source["Parameters"]), **_previous(stack), **given}
    if refused := parameters.refusals(source, values, region):
        sys.exit("\n".join(f"{region}: {reason}" for reason in refused))
    print(
        f"{'updating' if stack else 'making'} the stack {arguments.stack} in {region} of account {account}", flush=True
    )
    if not arguments.built:
        aws.run_sam(["build"], {"LAYER_PLATFORM": _LAYER_PLATFORMS[values["Architecture"]]})
    aws.run_sam(_deploy_arguments(arguments, region, given))
    made = aws.find_stack(arguments.stack, region)
    if made is None:
        sys.exit(f"{arguments.stack} was not made")
    _introduce({output["OutputKey"]: output["OutputValue"] for output in made.get("Outputs", [])}, region)


def _defaults(declared: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {name: str(parameter["Default"]) for name, parameter in declared.items()}


def _previous(stack: "StackTypeDef | None") -> dict[str, str]:
    """What SAM keeps of a stack that is there: every parameter that is not named anew."""
    found = stack.get("Parameters", []) if stack else []
    return {each["ParameterKey"]: each["ParameterValue"] for each in found}


def _deploy_arguments(arguments: argparse.Namespace, region: str, given: Mapping[str, str]) -> list[str]:
    built = Path(arguments.built or BUILT)
    confirm = "--confirm-changeset" if aws.is_attended() else "--no-confirm-changeset"
    # SAM looks for its configuration beside the template.
    options = ["deploy", "--template-file", str(built / "template.yaml"), "--config-file", str(ROOT / "samconfig.toml")]
    options += ["--stack-name", arguments.stack, "--region", region, confirm]
    if given:
        options += ["--parameter-overrides", *(f"{name}={shlex.quote(value)}" for name, value in given.items())]
    if arguments.tags:
        options += ["--tags", *shlex.split(arguments.tags)]
    return options


def _introduce(outputs: Mapping[str, str], region: str) -> None:
    print(
        f"""
Sluice answers at {outputs["BaseUrl"]}

The admin key is sl-admin- and the "secret" of:

  aws secretsmanager get-secret-value --region {region} --secret-id {outputs["AdminKeySecretArn"]} \\
    --query SecretString --output text

Put your providers' keys where Sluice reads them (README, "Provider credentials"):

  aws secretsmanager put-secret-value --region {region} --secret-id {outputs["CredentialsSecretArn"]} \\
    --secret-string file://credentials.json
""",
        flush=True,
    )


def main(command: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description="Deploy Sluice to AWS.")
    parser.add_argument("--region", default="", help="where; else the environment's or profile's, or what you answer")
    parser.add_argument("--stack", default="sluice", help="the stack's name")
    parser.add_argument("--params", default="", help='parameters of the stack: "Name=value Other=value"')
    parser.add_argument("--tags", default="", help='tags of everything in it: "team=ai cost-center=42"')
    parser.add_argument("--built", default="", help="a folder that sam build has filled already")
    deploy(parser.parse_args(command))


if __name__ == "__main__":
    main()
