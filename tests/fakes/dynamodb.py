"""DynamoDB in memory, as far as the ledger uses it: it evaluates the very expressions that are sent, and counts units.

Documented behaviour: updates of one item are atomic; a write costs a unit for each KB of the larger of the item's sizes
before and after, and as much when its condition fails; no attribute is named twice in one update; an expression has at
most 4 KB and 300 operators.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from benchmarks.capacity import item_bytes, write_units
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError

KB = 1024
_MOST_EXPRESSION_BYTES = 4 * KB
_MOST_OPERATORS = 300
_TERM = re.compile(
    r"attribute_not_exists\((?P<absent>#\w+)\)"
    r"|attribute_exists\((?P<present>#\w+)\)"
    r"|(?P<name>#\w+) (?P<operator><=|>=|<>|=|<|>) (?P<value>:\w+)"
)
_CLAUSE = re.compile(r"(SET|ADD|REMOVE) ")

type TypedItem = dict[str, dict[str, Any]]
type _Values = Mapping[str, Any]
type _Condition = Callable[[TypedItem, Mapping[str, str], _Values], bool]


class InvalidExpressionError(Exception):
    """DynamoDB would answer with a ValidationException."""


@dataclass(frozen=True, slots=True)
class KnownOffset:
    """How many milliseconds a clock is behind DynamoDB's, at least and at most."""

    least_ms: float = 0.0
    most_ms: float = 0.0


class StillClock:
    """Says that a clock is right, or off by what it is told."""

    def __init__(self, bounds: KnownOffset | None = KnownOffset()) -> None:  # frozen
        self.bounds = bounds

    def bounds_ms(self) -> KnownOffset | None:
        """What it was told."""
        return self.bounds


class TrustingClient:
    """A client of DynamoDB whose clock is believed to be the one that a test sets."""

    def __init__(self, client: DynamoDB) -> None:
        self.clock = StillClock()
        self._client = client

    def call(
        self, operation: str, request: dict[str, Any], *, attempts: int = 3, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """See DynamoDB.call."""
        return self._client.call(operation, request, attempts=attempts, timeout_s=timeout_s)


@dataclass(slots=True)
class Metered:
    """What requests have cost."""

    writes: int = 0
    failed: int = 0
    reads: int = 0
    write_units: int = 0
    largest_bytes: int = 0


@dataclass
class MemoryDynamoDB:
    """A table of items by the value of their key `scope`. Items are replaced, never changed."""

    items: dict[str, TypedItem] = field(default_factory=dict)
    metered: Metered = field(default_factory=Metered)
    clock: StillClock = field(default_factory=StillClock)
    _sizes: dict[str, tuple[TypedItem, int]] = field(default_factory=dict)

    def call(
        self, operation: str, request: Mapping[str, Any], *, attempts: int = 3, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Carry out an operation of DynamoDB's API. Raises ConditionFailedError, InvalidExpressionError."""
        match operation:
            case "UpdateItem":
                return self._update(request)
            case "GetItem":
                self.metered.reads += 1
                item = self.items.get(request["Key"]["scope"]["S"])
                return {"Item": item} if item else {}
            case "BatchGetItem":
                ((table, asked),) = request["RequestItems"].items()
                keys = [key["scope"]["S"] for key in asked["Keys"]]
                if len(set(keys)) < len(keys):
                    raise InvalidExpressionError("a key is asked for twice")
                self.metered.reads += len(keys)
                return {"Responses": {table: [self.items[key] for key in keys if key in self.items]}}
        raise NotImplementedError(operation)

    def _update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        names = request.get("ExpressionAttributeNames", {})
        values = request.get("ExpressionAttributeValues", {})
        condition, changes = request.get("ConditionExpression", ""), _changes(request["UpdateExpression"])
        if _placeholders(condition, request["UpdateExpression"]) != names.keys() | values.keys():
            raise InvalidExpressionError("placeholders that are not used, or not known")
        changed = {names[name] for _, name, _ in changes}
        if len(changed - {"scope"}) < len(changes):
            raise InvalidExpressionError("two document paths overlap, or the key is changed")
        key = request["Key"]["scope"]["S"]
        before = self.items.get(key)
        size = self._size(key)
        if condition and not _condition(condition)(before or {}, names, values):
            self._meter(size, is_done=False)
            raise ConditionFailedError(before)
        old = before or dict(request["Key"])
        after = _changed(old, changes, names, values)
        grown = sum(_attribute_bytes(name, after) - _attribute_bytes(name, old) for name in changed)
        self._sizes[key] = after, (size or item_bytes(old)) + grown
        self._meter(max(size, self._sizes[key][1]), is_done=True)
        self.items[key] = after
        return {"Attributes": after}

    def _size(self, key: str) -> int:
        """An item's size, which is remembered for as long as it is as it was written."""
        item = self.items.get(key)
        known, size = self._sizes.get(key, (None, 0))
        return 0 if item is None else size if item is known else item_bytes(item)

    def _meter(self, size: int, *, is_done: bool) -> None:
        self.metered.writes += 1
        self.metered.failed += not is_done
        self.metered.write_units += int(write_units(size))
        self.metered.largest_bytes = max(self.metered.largest_bytes, size)


def _attribute_bytes(name: str, item: TypedItem) -> int:
    return item_bytes({name: item[name]}) if name in item else 0


@lru_cache(maxsize=10_000)
def _condition(text: str) -> _Condition:
    terms = [_alternatives(term) for term in text.split(" AND ")]

    def holds(item: TypedItem, names: Mapping[str, str], values: _Values) -> bool:
        return all(any(each(item, names, values) for each in alternatives) for alternatives in terms)

    return holds


def _alternatives(text: str) -> list[_Condition]:
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return [_term(each) for each in text.split(" OR ")]


def _term(text: str) -> _Condition:
    match = _TERM.fullmatch(text)
    if match is None:
        raise InvalidExpressionError(text)
    if (absent := match["absent"]) is not None:
        return lambda item, names, _: names[absent] not in item
    if (present := match["present"]) is not None:
        return lambda item, names, _: names[present] in item
    name, operator, placeholder = match["name"], match["operator"], match["value"]

    def compares(item: TypedItem, names: Mapping[str, str], values: _Values) -> bool:
        found, wanted = item.get(names[name]), values[placeholder]
        if found is None or found.keys() != wanted.keys():
            return False
        return _compare(operator, _plain(found), _plain(wanted))

    return compares


def _compare(operator: str, left: Any, right: Any) -> bool:
    match operator:
        case "=":
            return bool(left == right)
        case "<>":
            return bool(left != right)
        case "<=":
            return bool(left <= right)
        case ">=":
            return bool(left >= right)
        case "<":
            return bool(left < right)
        case _:
            return bool(left > right)


@lru_cache(maxsize=10_000)
def _changes(text: str) -> tuple[tuple[str, str, str], ...]:
    """(verb, name, value) of each change."""
    parts = _CLAUSE.split(text)[1:]
    changes = []
    for verb, clause in zip(parts[::2], parts[1::2], strict=True):
        for change in clause.strip().split(", "):
            if verb == "SET":
                name, _, value = change.partition(" = ")
            else:
                name, _, value = change.partition(" ")
            changes.append((verb, name, value))
    return tuple(changes)


def _changed(
    item: TypedItem, changes: tuple[tuple[str, str, str], ...], names: Mapping[str, str], values: _Values
) -> TypedItem:
    after = dict(item)
    for verb, placeholder, value in changes:
        name = names[placeholder]
        if verb == "SET":
            after[name] = values[value]
        elif verb == "ADD":
            before = item.get(name, {"N": "0"})
            if "N" not in before:
                raise InvalidExpressionError(f"{name} is no number")
            after[name] = {"N": str(_plain(before) + _plain(values[value]))}
        else:
            after.pop(name, None)
    return after


@lru_cache(maxsize=10_000)
def _placeholders(condition: str, changes: str) -> frozenset[str]:
    """What stands for names and values, in expressions that are short enough."""
    for expression in (condition, changes):
        if len(expression.encode()) > _MOST_EXPRESSION_BYTES:
            raise InvalidExpressionError(f"an expression of {len(expression)} bytes")
    operators = len(re.findall(r"<=|>=|<>|[=<>]|AND|OR|attribute_", condition))
    if operators > _MOST_OPERATORS:
        raise InvalidExpressionError(f"{operators} operators")
    return frozenset(re.findall(r"[#:]\w+", f"{condition} {changes}"))


def _plain(typed: Mapping[str, Any]) -> Any:
    ((kind, content),) = typed.items()
    if kind == "S":
        return content
    try:
        return int(content)
    except ValueError:
        return Decimal(content)
