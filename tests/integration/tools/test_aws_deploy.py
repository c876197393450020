"""`make deploy` and `make destroy`, on MiniStack: with SAM as it goes to AWS, and without a person to ask."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from tools import template
from tools.ministack import MiniStack
from tools.processes import ROOT

REGION = "eu-west-1"
STACK = "deployed-by-hand"
KEPT = [
    "ConversationsTable",
    "CredentialsSecret",
    "DirectoryTable",
    "QuestionsTable",
    "StoresTable",
    "UsageTable",
    "WebhookSecret",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `sam build` leaves it, with the template's tables, secrets and loops of log groups, and no code."""
    source = template.read()
    kept = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret")
    resources = {
        name: resource
        for name, resource in source["Resources"].items()
        if name == "Fn::ForEach::LogGroups" or (isinstance(resource, dict) and resource["Type"] in kept)
    }
    outputs = {name: source["Outputs"][name] for name in ("AdminKeySecretArn", "CredentialsSecretArn")}
    outputs["BaseUrl"] = {"Value": {"Ref": "DirectoryTable"}}
    del source["Globals"]
    folder = tmp_path_factory.mktemp("built")
    (folder / "template.yaml").write_text(json.dumps(source | {"Resources": resources, "Outputs": outputs}))
    return folder


@pytest.fixture(scope="module")
def run(ministack: MiniStack) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of the tools as CI does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {
        **inherited,
        **ministack.environment,
        "CI": "true",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
    }

    def run_tool(tool: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"tools.{tool}", "--region", REGION, "--stack", STACK, *options]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, input="")

    return run_tool


@pytest.mark.timeout(600)
def test_a_stack_is_deployed_removed_and_made_again_of_its_tables_without_a_question(
    run: Callable[..., subprocess.CompletedProcess[str]], built: Path
) -> None:
    made = run(
        "deploy", "--built", str(built), "--params", "LogRetentionDays=7 CacheTtlSeconds=60", "--tags", "team=ai"
    )
    assert made.returncode == 0, made.stderr
    assert "put-secret-value" in made.stdout
    assert _parameters()["LogRetentionDays"] == "7"
    groups = boto3.client("logs", region_name=REGION).describe_log_groups()["logGroups"]
    assert {group["retentionInDays"] for group in groups if STACK in group["logGroupName"]} == {7}

    unconfirmed = run("destroy")
    assert unconfirmed.returncode != 0
    assert "YES=1" in unconfirmed.stderr
    removed = run("destroy", "--yes")
    assert removed.returncode == 0, removed.stderr
    listed = [line.split()[0] for line in removed.stdout.split("keeps:")[1].splitlines() if line.startswith("  ")]
    assert sorted(name for name in listed if name != "aws") == KEPT
    tables = boto3.client("dynamodb", region_name=REGION).list_tables()["TableNames"]
    ours = sorted(name.split("-")[-2] for name in tables if name.startswith(STACK))
    assert ours == [name for name in KEPT if name.endswith("Table")]
    assert "there is no stack" in run("destroy", "--yes").stderr

    imported = run("import_tables")
    assert imported.returncode == 0, imported.stderr
    again = run("deploy", "--built", str(built))
    assert again.returncode == 0, again.stderr
    kept = {line.split()[0]: line.split()[1] for line in removed.stdout.splitlines() if line.startswith("  ")}
    assert {name: physical for name, physical in _resources().items() if name in KEPT and name.endswith("Table")} == {
        name: physical for name, physical in kept.items() if name in KEPT and name.endswith("Table")
    }


def _resources() -> dict[str, str]:
    found = boto3.client("cloudformation", region_name=REGION).describe_stack_resources(StackName=STACK)
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found["StackResources"]}


def _parameters() -> dict[str, str]:
    [stack] = boto3.client("cloudformation", region_name=REGION).describe_stacks(StackName=STACK)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def test_what_is_wrong_ends_it_before_anything_is_built(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    refused = run("deploy", "--params", "CertificateArn=arn:aws:acm:eu-west-1:123456789012:certificate/0a1b")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "take a DomainName" in refused.stderr
