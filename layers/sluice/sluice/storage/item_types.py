"""Between Python values and DynamoDB's typed form, `{"S": "text"}`, as it travels in JSON. Pure.

Source: "AttributeValue" in DynamoDB's API reference. A set must not be empty there, and holds one type.
"""

import base64
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# Closer to 0 DynamoDB has none (Amazon DynamoDB, "Number" among the data types).
_SMALLEST = 1e-129

type Item = dict[str, Any]
"""An item as Python values: str, int, float, bytes, bool, None, list, dict, and sets of the first four."""

type TypedItem = dict[str, dict[str, Any]]
"""An item, or a key, in DynamoDB's typed form."""


def to_item(values: Mapping[str, Any]) -> TypedItem:
    """Python values to DynamoDB's typed form. TypeError for what DynamoDB has no type for."""
    return {name: to_typed(value) for name, value in values.items()}


def from_item(item: Mapping[str, Any]) -> Item:
    """DynamoDB's typed form to Python values; whole numbers become int, others float, binaries bytes."""
    return {name: from_typed(typed) for name, typed in item.items()}


def to_typed(value: Any) -> dict[str, Any]:
    """One value to DynamoDB's typed form."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": _number_text(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode("ascii")}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": to_item(value)}
        case list() | tuple():
            return {"L": [to_typed(each) for each in value]}
        case set() | frozenset():
            return _to_typed_set(value)
        case _:
            raise TypeError(f"DynamoDB has no type for a {type(value).__name__}")


def from_typed(typed: Mapping[str, Any]) -> Any:
    """One value in DynamoDB's typed form as a Python value. ValueError for a type that is not known here."""
    ((kind, content),) = typed.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return _number(content)
        case "B":
            return base64.b64decode(content, validate=True)
        case "NULL":
            return None
        case "M":
            return from_item(content)
        case "L":
            return [from_typed(each) for each in content]
        case "SS":
            return set(content)
        case "NS":
            return {_number(each) for each in content}
        case "BS":
            return {base64.b64decode(each, validate=True) for each in content}
        case _:
            raise ValueError(f"{kind!r} is no type of DynamoDB's")


def _to_typed_set(values: set[Any] | frozenset[Any]) -> dict[str, Any]:
    # Sorted, so that equal sets make equal requests.
    kinds = {"".join(to_typed(each)) for each in values}
    if kinds in ({"S"}, {"N"}, {"B"}):
        (kind,) = kinds
        return {f"{kind}S": [to_typed(each)[kind] for each in sorted(values)]}
    raise TypeError("a set in DynamoDB holds strings, numbers or binaries, one type of them and at least one")


def _number_text(number: float) -> str:
    if not math.isfinite(number):
        raise TypeError(f"DynamoDB has no type for the number {number}")
    if abs(number) < _SMALLEST:
        return "0"
    # The number of an enumeration's member, and not its name.
    return int.__repr__(number) if isinstance(number, int) else repr(number)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        # A whole number in another notation, 1.0 or 1E+2, is an int as well.
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else float(number)
