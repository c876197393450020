"""Compares calls of AWS with the roles of template.yaml: nothing may be missing, nor allowed for nothing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from typing import Any

from tools import template

_TRANSACTION_PARTS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}
# What IAM calls operations of S3 that have no action of their own.
_OBJECT_ACTIONS = {
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
# Folders of a bucket that roles tell from the rest of it.
_FOLDERS = ("reports/", "ingest/")
_EQUALS = re.compile(r"\s*(#?[\w.]+)\s*=\s*(:\w+)")
_LEADING_KEYS = "dynamodb:LeadingKeys"
_LIKE, _NOT_LIKE = "ForAllValues:StringLike", "ForAllValues:StringNotLike"

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
    key_patterns: Sequence[str] | None = None
    """What all partition keys have to be like, if it says so."""
    other_patterns: Sequence[str] = ()
    """What no partition key may be like."""

    def allows(self, call: Call) -> bool:
        """Whether IAM would let the call through."""
        return (
            call.action in self.actions and call.resource in self.resources and all(map(self._has, call.leading_keys))
        )

    def _has(self, key: str) -> bool:
        is_like = self.key_patterns is None or any(fnmatchcase(key, pattern) for pattern in self.key_patterns)
        return is_like and not any(fnmatchcase(key, pattern) for pattern in self.other_patterns)


def permissions(transformed: Mapping[str, Any], function: str) -> list[Permission]:
    """What a function's role allows beside writing logs, in a transformed template."""
    role = transformed["Resources"][f"{function}Role"]["Properties"]
    return [
        Permission(
            _listed(statement["Action"]),
            [_resource(each) for each in _listed(statement["Resource"])],
            **_patterns(statement.get("Condition") or {}),
        )
        for policy in role.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def calls(service: str, operation: str, request: Request) -> Iterator[Call]:
    """What IAM is asked about an operation. Tables and secrets are named in `request` as `logical_id` understands."""
    if service == "sqs":
        yield Call(f"sqs:{operation}", logical_id(str(request["QueueUrl"]).rpartition("/")[2]))
    elif service == "s3":
        bucket = logical_id(str(request["Bucket"]))
        folder = next((each for each in _FOLDERS if str(request.get("Key", "")).startswith(each)), "")
        yield Call(f"s3:{_OBJECT_ACTIONS.get(operation, operation)}", f"{bucket}/{folder}*")
        if operation in {"GetObject", "HeadObject"}:
            yield Call("s3:ListBucket", bucket)  # asked where the object is missing
    elif service == "events":
        for entry in request["Entries"]:
            yield Call(f"events:{operation}", logical_id(entry["EventBusName"]))
    elif service != "dynamodb":
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
    """The logical id that a name of a test's resource stands for: QuotaTable of `quota_table-1f`."""
    words = re.split(r"[_.]", name.rpartition(":")[2].partition("-")[0].lower())
    return "".join(word.capitalize() for word in words)


def missing(allowed: Sequence[Permission], made: Iterable[Call]) -> list[Call]:
    """The calls that no permission allows."""
    return sorted(call for call in made if not any(permission.allows(call) for permission in allowed))


def unused(allowed: Sequence[Permission], made: Iterable[Call]) -> list[Call]:
    """What is allowed and was never called: actions on resources, and key patterns that no call's key was like."""
    seen, found = list(made), set()
    for permission in allowed:
        calls = [call for call in seen if call.action in permission.actions and call.resource in permission.resources]
        called = {(call.action, call.resource) for call in calls}
        pairs = set(product(permission.actions, permission.resources))
        found |= {Call(action, resource) for action, resource in pairs - called}
        keys = {key for call in calls for key in call.leading_keys}
        for pattern in permission.key_patterns or ():
            if not any(fnmatchcase(key, pattern) for key in keys):
                found.add(Call(permission.actions[0], permission.resources[0], (pattern,)))
    return sorted(found)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resource(value: Mapping[str, Any]) -> str:
    if "Fn::Sub" in value:  # "${Table.Arn}/index/name"
        return str(value["Fn::Sub"]).removeprefix("${").replace(".Arn}", "")
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])


def _patterns(condition: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a condition says of partition keys. KeyError for one that is not known here."""
    fields = {_LIKE: "key_patterns", _NOT_LIKE: "other_patterns"}
    return {fields[test]: _listed(wanted[_LEADING_KEYS]) for test, wanted in condition.items()}


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
