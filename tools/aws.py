"""What deploying to AWS and removing from it need: a region, a stack that may be there, and SAM."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deployment import SAM
from tools.processes import ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


def is_attended() -> bool:
    """Whether a person can be asked: not in CI, and not where input comes from elsewhere."""
    return sys.stdin.isatty() and not os.environ.get("CI")


def choose_region(named: str, command: str) -> str:
    """The region that was named, or that the environment or profile has, or that a person answers with."""
    region = named or os.environ.get("AWS_REGION") or boto3.Session().region_name
    if not region and is_attended():
        region = input("AWS region (eu-central-1, us-east-1, ...): ").strip()
    if not region:
        sys.exit(f"which region? make {command} REGION=eu-central-1")
    return region


def account(region: str) -> str:
    """The account that the environment's credentials are of; ends the program where there are none."""
    try:
        found: str = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS does not take your shell's credentials: {error}\nTry `aws sts get-caller-identity`.")
    return found


def find_stack(name: str, region: str) -> "StackTypeDef | None":
    """The stack, if there is one."""
    try:
        return boto3.client("cloudformation", region_name=region).describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":  # CloudFormation's word for: not there
            return None
        raise


def run_sam(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run SAM before the eyes of who runs this, and end the program as it does if it fails."""
    result = subprocess.run([SAM, *arguments], cwd=ROOT, env={**os.environ, **(environment or {})}, check=False)
    if result.returncode:
        sys.exit(result.returncode)
