"""Compares calls of AWS with the roles of template.yaml: nothing may be missing, nor allowed for nothing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from tools import template

_TRANSACTION_PARTS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}
_EQUALS = re.compile(r"\s*(#?[\w.]+)\s*=\s*(:\w+)")
_LEADING_KEYS = {"ForAllValues:StringLike": "dynamodb:LeadingKeys"}

type Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """What IAM is asked about a call of AWS."""

    action: str
    """`dynamodb:GetItem`; a transaction is the actions it is made of."""
    resource: str
    """A logical id, or `<id>/index/<name>`."""
    leading_keys: tuple[str, ...] = ()
    """The partition keys that it reads or writes."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What a statement allows."""

    actions: Sequence[str]
    resources: Sequence[str]
    key_patterns: Sequence[str] | None
    """What all partition keys have to be like, if it says so."""

    def allows(self, call: Call) -> bool:
        """Whether IAM would let the call through."""
        has_keys = self.key_patterns is None or all(
            any(fnmatchcase(key, pattern) for pattern in self.key_patterns) for key in call.leading_keys
        )
        return call.action in self.actions and call.resource in self.resources and has_keys


def permissions(transformed: Mapping[str, Any], function: str) -> list[Permission]:
    """What a function's role allows beside writing logs, in a transformed template."""
    role = transformed["Resources"][f"{function}Role"]["Properties"]
    return [
        Permission(
            _listed(statement["Action"]),
            [_resource(each) for each in _listed(statement["Resource"])],
            _key_patterns(statement.get("Condition")),
        )
        for policy in role.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def calls(service: str, operation: str, request: Request) -> Iterator[Call]:
    """What IAM is asked about an operation. Tables and secrets are named in `request` as `logical_id` understands."""
    if service != "dynamodb":
        yield Call(f"{service}:{operation}", logical_id(str(request.get("SecretId", ""))))
    elif "TransactItems" in request:
        for part in request["TransactItems"]:
            [(kind, item)] = part.items()
            table = logical_id(item["TableName"])
            yield Call(_TRANSACTION_PARTS[kind], table, _keys(table, [item.get("Key") or item["Item"]]))
    elif "RequestItems" in request:
        for name, asked in request["RequestItems"].items():
            table = logical_id(name)
            yield Call(f"dynamodb:{operation}", table, _keys(table, _batched(asked)))
    else:
        table = logical_id(request["TableName"])
        index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
        items = [request[name] for name in ("Key", "Item") if name in request]
        keys = _keys(table, items) if items else _queried(request)
        yield Call(f"dynamodb:{operation}", table + index, keys)


def logical_id(name: str) -> str:
    """The logical id that the name of a test's table or secret stands for: QuotaTable of `quota_table-1f`."""
    words = name.rpartition(":")[2].partition("-")[0].lower().split("_")
    return "".join(word.capitalize() for word in words)


def missing(allowed: Sequence[Permission], made: Iterable[Call]) -> list[Call]:
    """The calls that no permission allows."""
    return sorted(call for call in made if not any(permission.allows(call) for permission in allowed))


def unused(allowed: Sequence[Permission], made: Iterable[Call]) -> list[Call]:
    """The actions on resources that are allowed and were never called."""
    called = {(call.action, call.resource) for call in made}
    pairs = {
        (action, resource)
        for permission in allowed
        for action in permission.actions
        for resource in permission.resources
    }
    return sorted(Call(action, resource) for action, resource in pairs - called)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resource(value: Mapping[str, Any]) -> str:
    if "Fn::Sub" in value:  # "${Table.Arn}/index/name"
        return str(value["Fn::Sub"]).removeprefix("${").replace(".Arn}", "")
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])


def _key_patterns(condition: Mapping[str, Any] | None) -> list[str] | None:
    if condition is None:
        return None
    [(test, wanted)] = condition.items()
    return _listed(wanted[_LEADING_KEYS[test]])


def _batched(asked: Any) -> list[Mapping[str, Any]]:
    if isinstance(asked, Mapping):  # BatchGetItem
        return list(asked["Keys"])
    writes = [request for each in asked for request in each.values()]
    return [write.get("Key") or write["Item"] for write in writes]


@cache
def _partition_keys() -> dict[str, str]:
    tables = template.load()["Resources"]
    return {
        name: table["Properties"]["KeySchema"][0]["AttributeName"]
        for name, table in tables.items()
        if table["Type"] == "AWS::DynamoDB::Table"
    }


def _keys(table: str, items: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    attribute = _partition_keys().get(table)
    return () if attribute is None else tuple(_text(item[attribute]) for item in items)


def _text(value: Any) -> str:
    """A value of an item: as it is, or in DynamoDB's typed form."""
    return str(next(iter(value.values())) if isinstance(value, Mapping) else value)


def _queried(request: Request) -> tuple[str, ...]:
    first = _EQUALS.match(request.get("KeyConditionExpression", ""))
    if first is None:
        return ()
    return (_text(request["ExpressionAttributeValues"][first[2]]),)
