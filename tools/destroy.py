"""Removes a stack from AWS and says what is kept, as `make destroy` does. `python -m tools.destroy --help`."""

import argparse
import sys
from collections.abc import Sequence

import boto3

from tools import aws, template


def destroy(arguments: argparse.Namespace) -> None:
    """Say what goes and what stays, ask, and remove."""
    region = aws.choose_region(arguments.region, "destroy")
    account = aws.account(region)
    if aws.find_stack(arguments.stack, region) is None:
        sys.exit(f"there is no stack {arguments.stack} in {region} of account {account}")
    kept = kept_resources(arguments.stack, region)
    print(f"Removing the stack {arguments.stack} in {region} of account {account} keeps:\n")
    for name, physical_id in kept.items():
        print(f"  {name:<20} {physical_id}")
    print("\nEverything else goes: the API and its URL, functions, logs, cached answers, quotas, the first admin key.")
    _confirm(arguments)
    aws.run_sam(["delete", "--stack-name", arguments.stack, "--region", region, "--no-prompts"])
    tables = [physical_id for name, physical_id in kept.items() if name.endswith("Table")]
    print("\nTo go on with the tables in another stack: docs/importing-tables.md. To delete one for good:\n")
    print(f"  aws dynamodb update-table --region {region} --no-deletion-protection-enabled --table-name {tables[0]}")
    print(f"  aws dynamodb delete-table --region {region} --table-name {tables[0]}")


def kept_resources(stack: str, region: str) -> dict[str, str]:
    """What the stack leaves behind, physical ids by logical ids."""
    cloudformation = boto3.client("cloudformation", region_name=region)
    resources = template.load()["Resources"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for page in pages
        for found in page["StackResourceSummaries"]
        if resources.get(found["LogicalResourceId"], {}).get("DeletionPolicy", "").startswith("Retain")
    }


def _confirm(arguments: argparse.Namespace) -> None:
    if arguments.yes:
        return
    if not aws.is_attended():
        sys.exit("\nnobody is here to confirm it: make destroy YES=1")
    if input(f"\nType {arguments.stack} to remove it: ").strip() != arguments.stack:
        sys.exit("nothing was removed")


def main(command: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.destroy", description="Remove Sluice from AWS.")
    parser.add_argument("--region", default="", help="where; else the environment's or profile's, or what you answer")
    parser.add_argument("--stack", default="sluice", help="the stack's name")
    parser.add_argument("--yes", action="store_true", help="without asking")
    destroy(parser.parse_args(command))


if __name__ == "__main__":
    main()
