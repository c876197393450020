"""template.yaml as CloudFormation gets it: after its transforms, with all conditions decided."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from tools import template
from tools.template import Run

BUFFERED = {"ResponseStreaming": "false"}
FUNCTIONS = [
    name for name, resource in template.load()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
]


def transformed(**parameters: str) -> dict[str, Any]:
    """The template, with some parameters that do not have their defaults."""
    return _transformed(tuple(sorted(parameters.items())))


@cache
def _transformed(parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    [result] = template.transform(template.read(), [Run(dict(parameters))])
    return result


def resources(**parameters: str) -> dict[str, Any]:
    """The resources that are made, by logical id."""
    found: dict[str, Any] = transformed(**parameters)["Resources"]
    return found


def of_type(kind: str, **parameters: str) -> dict[str, Any]:
    """The resources of a type, by logical id."""
    return {name: resource for name, resource in resources(**parameters).items() if resource["Type"] == kind}


def integrations(**parameters: str) -> dict[tuple[str, str], Any]:
    """How API Gateway calls functions, by path and method."""
    paths = resources(**parameters)["Api"]["Properties"]["Body"]["paths"]
    return {
        (path, method): operation["x-amazon-apigateway-integration"]
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
    }


def variables(function: str, **parameters: str) -> dict[str, Any]:
    """The environment of a function."""
    found: dict[str, Any] = resources(**parameters)[function]["Properties"]["Environment"]["Variables"]
    return found


def version(source: Mapping[str, Any], function: str) -> str:
    """The logical id of a function's version: another one is another version."""
    [name] = [str(name) for name in source["Resources"] if re.fullmatch(f"{function}Version[0-9a-f]+", name)]
    return name


def statements(function: str) -> list[dict[str, Any]]:
    """What a function's role allows beside writing logs."""
    role = resources()[f"{function}Role"]["Properties"]
    return [statement for policy in role.get("Policies", []) for statement in policy["PolicyDocument"]["Statement"]]
