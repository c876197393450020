"""Makes a stack of the tables that an earlier one left behind; `make deploy` then adds everything else to it.

`python -m tools.import_tables --region eu-central-1`. The tables are described as `make deploy` will have them, so that
it changes nothing of them, and without transforms.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3

from tools import aws, parameters, template
from tools.parameters import ParameterError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ResourceToImportTypeDef

_CHANGE_SET = "import-tables"


def kept_tables(source: Mapping[str, Any]) -> list[str]:
    """The logical ids of the tables that stay when a stack goes."""
    return [
        name
        for name, resource in source["Resources"].items()
        if resource["Type"] == "AWS::DynamoDB::Table" and resource["DeletionPolicy"] == "Retain"
    ]


def choose(wanted: Sequence[str], existing: Sequence[str], stack: str, named: Mapping[str, str]) -> dict[str, str]:
    """The table for each logical id: the one that is named, or the only one that a stack of this name has left.

    Raises ValueError if there is none, or more than one to choose from.
    """
    chosen = {}
    for name in wanted:
        left = [table for table in existing if table.startswith(f"{stack}-{name}-")]
        candidates = [named[name]] if name in named else left
        if len(candidates) != 1 or candidates[0] not in existing:
            listed = ", ".join(candidates) or "none"
            raise ValueError(f"which table is {name}? There is: {listed}. Say --table {name}=<its name>")
        chosen[name] = candidates[0]
    return chosen


def import_tables(arguments: argparse.Namespace) -> None:
    """Choose the tables and import them."""
    region = aws.choose_region(arguments.region, "deploy")
    aws.account(region)
    source = template.load()
    if aws.find_stack(arguments.stack, region):
        sys.exit(f"there is a stack {arguments.stack} already: tables can be imported into a new one only")
    existing = [
        name
        for page in boto3.client("dynamodb", region_name=region).get_paginator("list_tables").paginate()
        for name in page["TableNames"]
    ]
    try:
        given = parameters.parse(arguments.params, source["Parameters"])
        named = dict(each.split("=", 1) for each in arguments.table)
        chosen = choose(kept_tables(source), existing, arguments.stack, named)
    except (ParameterError, ValueError) as error:
        sys.exit(str(error))
    expanded = template.expand(template.read(), given)
    described = {"Resources": {name: expanded["Resources"][name] for name in chosen}}
    cloudformation = boto3.client("cloudformation", region_name=region)
    _execute(cloudformation, arguments.stack, described, chosen)
    print(f"{arguments.stack} in {region} has these tables; `make deploy` adds the rest:\n")
    for name, table in chosen.items():
        print(f"  {name:<20} {table}")


def _execute(
    cloudformation: "CloudFormationClient", stack: str, described: Mapping[str, Any], chosen: Mapping[str, str]
) -> None:
    resources: list[ResourceToImportTypeDef] = [
        {
            "ResourceType": "AWS::DynamoDB::Table",
            "LogicalResourceId": name,
            "ResourceIdentifier": {"TableName": table},
        }
        for name, table in chosen.items()
    ]
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=_CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(described),
        ResourcesToImport=resources,
    )
    cloudformation.get_waiter("change_set_create_complete").wait(StackName=stack, ChangeSetName=_CHANGE_SET)
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=_CHANGE_SET)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=stack)


def main(command: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.import_tables", description="Import the tables a stack left."
    )
    parser.add_argument("--region", default="", help="where; else the environment's or profile's, or what you answer")
    parser.add_argument("--stack", default="sluice", help="the name of the new stack")
    parser.add_argument("--params", default="", help="the parameters that you will deploy with")
    parser.add_argument("--table", action="append", default=[], help="DirectoryTable=its-name, where there are several")
    import_tables(parser.parse_args(command))


if __name__ == "__main__":
    main()
