"""Reads template.yaml, so that what stands in for AWS has the deployed schema."""

import atexit
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

SAM_PYTHON = Path(__file__).parent.parent / ".tools" / "sam" / "bin" / "python"
TEMPLATE = Path(__file__).parent.parent / "template.yaml"
_LOOP = "Fn::ForEach::"
_one_at_a_time = Lock()


class _Loader(yaml.CSafeLoader):
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


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as it is written, short tags in their long form (`!Ref X` is `{"Ref": "X"}`), loops included."""
    template: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506  a SafeLoader
    return template


def load(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as `read` gives it, without what its loops make: log groups, alarms and outputs."""
    template = read(path)
    for section in ("Resources", "Outputs"):
        template[section] = {name: entry for name, entry in template[section].items() if not name.startswith(_LOOP)}
    return template


@dataclass(frozen=True, slots=True)
class Run:
    """One way to transform a template."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are not to have their defaults."""
    region: str = "us-east-1"
    with_sam: bool = True
    """Whether SAM's transform follows that of the language extensions, as it does in CloudFormation."""
    keeps_conditions: bool = False
    """Whether the language extensions leave each Fn::If to CloudFormation. AWS documents that they write parameters'
    values into the template, and not what they do with conditions."""


def transform(template: Mapping[str, Any], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What a template, as `read` gives it, becomes in CloudFormation, run by run. Its code is not looked at."""
    packaged = json.loads(json.dumps(template))
    for name, resource in packaged["Resources"].items():
        if name.startswith(_LOOP):
            continue
        for code in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][code] = f"s3://bucket/{name}-{resource['Properties'][code]}"
    return _transform(packaged, runs)


def expand(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template as CloudFormation hands it to SAM: without loops, and with the values of parameters."""
    [expanded] = _transform(template, [Run(parameters, with_sam=False)])
    return expanded


def _transform(template: Mapping[str, Any], runs: Sequence[Run]) -> list[dict[str, Any]]:
    asked = json.dumps({"template": template, "runs": [asdict(run) for run in runs]})
    with _one_at_a_time:
        process = _transformer()
        assert process.stdin  # noqa: S101  it was asked for
        assert process.stdout  # noqa: S101  likewise
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline() or '{"error": "SAM\'s interpreter has ended"}')
    if "error" in answer:
        raise ValueError(f"the template could not be transformed: {answer['error']}")
    transformed: list[dict[str, Any]] = answer["results"]
    return transformed


@cache
def _transformer() -> subprocess.Popen[str]:
    """One for all templates, since it takes a second to start."""
    command = [SAM_PYTHON, Path(__file__).parent / "transform.py"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # It ends when its input does.
    atexit.register(process.communicate)
    return process


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
        definition = {key: properties[key] for key in ("BillingMode", "AttributeDefinitions", "KeySchema")}
        # How much they may take is a matter of parameters, and not of what stands in for AWS.
        if indexes := properties.get("GlobalSecondaryIndexes"):
            kept = ("IndexName", "KeySchema", "Projection")
            definition["GlobalSecondaryIndexes"] = [{key: index[key] for key in kept} for index in indexes]
        if vectors := properties.get("VectorIndexes"):
            definition["VectorIndexes"] = vectors
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
    """The routes to a function (its logical id), which are its events."""
    events = template["Resources"][function]["Properties"].get("Events", {}).values()
    return [
        Route(event["Properties"]["Method"].upper(), event["Properties"]["Path"])
        for event in events
        if event["Type"] == "Api"
    ]


def queues(template: Mapping[str, Any], function: str) -> list[str]:
    """The queues whose messages a function is handed, all by their logical ids."""
    events = template["Resources"][function]["Properties"].get("Events", {}).values()
    return [event["Properties"]["Queue"]["Fn::GetAtt"][0] for event in events if event["Type"] == "SQS"]


def schedules(template: Mapping[str, Any], function: str) -> list[str]:
    """The logical ids of the schedules that run a function, as SAM makes them."""
    events = template["Resources"][function]["Properties"].get("Events", {}).items()
    return [f"{function}{name}" for name, event in events if event["Type"] == "ScheduleV2"]
