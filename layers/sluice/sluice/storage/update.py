"""Builds the expressions of one UpdateItem, so that names are always placeholders and numbers always typed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.storage.item_types import to_typed

type Number = int | float
type Value = Number | str | bool | bytes | Sequence[Any] | Mapping[str, Any]


class Update:
    """One UpdateItem in the making: what to set, add and remove, and on which condition."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._sets: list[str] = []
        self._adds: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []

    def set(self, attribute: str, value: Value) -> None:
        """Give `attribute` this value."""
        self._sets.append(f"{self._name(attribute)} = {self._value(value)}")

    def set_in(self, attribute: str, name: str, value: Value) -> None:
        """Give an entry of a map this value; the map has to be there."""
        self._sets.append(f"{self._name(attribute)}.{self._name(name)} = {self._value(value)}")

    def remove_in(self, attribute: str, name: str) -> None:
        """Remove an entry of a map; the map has to be there."""
        self._removes.append(f"{self._name(attribute)}.{self._name(name)}")

    def add(self, attribute: str, number: int) -> None:
        """Add to a number; one that does not exist counts as 0."""
        self._adds.append(f"{self._name(attribute)} {self._value(number)}")

    def remove(self, attribute: str) -> None:
        """Remove `attribute`, if it exists."""
        self._removes.append(self._name(attribute))

    def require(self, attribute: str, operator: str, value: Number | str) -> None:
        """Only if `attribute` compares so."""
        self._conditions.append(f"{self._name(attribute)} {operator} {self._value(value)}")

    def require_exists(self, attribute: str) -> None:
        """Only if the item has `attribute`."""
        self._conditions.append(f"attribute_exists({self._name(attribute)})")

    def require_absent(self, attribute: str) -> None:
        """Only if the item does not have `attribute`."""
        self._conditions.append(f"attribute_not_exists({self._name(attribute)})")

    def require_absent_or(self, attribute: str, operator: str, value: Number | str) -> None:
        """Only if the item does not have `attribute`, or it compares so."""
        name = self._name(attribute)
        self._conditions.append(f"(attribute_not_exists({name}) OR {name} {operator} {self._value(value)})")

    def require_one_of(self, attribute: str, values: Sequence[Number | str]) -> None:
        """Only if `attribute` is one of `values`."""
        listed = ", ".join([self._value(value) for value in values])
        self._conditions.append(f"{self._name(attribute)} IN ({listed})")

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `update_item`, without table and key."""
        clauses = [("SET", self._sets), ("ADD", self._adds), ("REMOVE", self._removes)]
        built: dict[str, Any] = {
            "UpdateExpression": " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts),
            "ExpressionAttributeNames": {placeholder: name for name, placeholder in self._names.items()},
        }
        if self._values:
            built["ExpressionAttributeValues"] = self._values
        if self._conditions:
            built["ConditionExpression"] = " AND ".join(self._conditions)
        return built

    def _name(self, attribute: str) -> str:
        return self._names.setdefault(attribute, f"#{len(self._names)}")

    def _value(self, value: Value) -> str:
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = to_typed(value)
        return placeholder
