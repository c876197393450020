"""Reads template.yaml, so that what stands in for AWS has the deployed schema."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SAM_PYTHON = Path(__file__).parent.parent / ".tools" / "sam" / "bin" / "python"
TEMPLATE = Path(__file__).parent.parent / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short tags."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, object]:
    value: object
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  YAML has three kinds of node
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def load(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as plain values, short tags in their long form (`!Ref X` is `{"Ref": "X"}`)."""
    template: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506  a SafeLoader
    return template


def transformed(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template after SAM's transform: what CloudFormation deploys. Its code is not looked at."""
    packaged = json.loads(json.dumps(template))
    for name, resource in packaged["Resources"].items():
        for code in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][code] = f"s3://bucket/{name}-{resource['Properties'][code]}"
    command = [SAM_PYTHON, Path(__file__).parent / "transform.py"]
    result = subprocess.run(command, input=json.dumps(packaged), capture_output=True, text=True, check=True)
    deployed: dict[str, Any] = json.loads(result.stdout)
    return deployed


@dataclass(frozen=True, slots=True)
class TableSchema:
    """What makes a DynamoDB table: what CreateTable is to be told, and the attribute that items expire by."""

    definition: Mapping[str, Any]
    ttl_attribute: str | None


def tables(template: Mapping[str, Any]) -> dict[str, TableSchema]:
    """The schema of each table by the name of its environment variable (`QuotaTable` is `QUOTA_TABLE`)."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        properties = resource["Properties"]
        definition = {
            key: properties[key]
            for key in ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
            if key in properties
        }
        ttl = properties.get("TimeToLiveSpecification", {}).get("AttributeName")
        found[_variable(name)] = TableSchema(definition, ttl)
    return found


def _variable(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_")


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path of the API. A path has placeholders: `{id}` for a part of it, `{id+}` for the rest of it."""

    method: str
    path: str

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is for this route."""
        pattern = "".join(
            (".+" if part.endswith("+}") else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", self.path)
        )
        return method == self.method and re.fullmatch(pattern, path) is not None


def routes(template: Mapping[str, Any], function: str) -> list[Route]:
    """The routes to a function (its logical id): its events, and those written out in the API's definition."""
    resources = template["Resources"]
    events = resources[function]["Properties"].get("Events", {}).values()
    found = [
        Route(event["Properties"]["Method"].upper(), event["Properties"]["Path"])
        for event in events
        if event["Type"] == "Api"
    ]
    for path, methods in resources["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for method, operation in methods.items():
            if f"${{{function}" in json.dumps(operation["x-amazon-apigateway-integration"]["uri"]):
                found.append(Route(method.upper(), path))
    return found
