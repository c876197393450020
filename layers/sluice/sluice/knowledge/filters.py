"""Filters of a search: OpenAI's comparisons of attributes, and their compounds. Pure.

An attribute that a document lacks is equal to nothing: it passes `ne` and `nin`, and no other. Texts compare with texts
and numbers with numbers.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sluice.errors import InvalidRequestError
from sluice.knowledge.document import Attribute, Attributes
from sluice.loading.dataclass import dataclass

_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
COMPARISONS = ("eq", "ne", *_ORDERED, "in", "nin")
_MOST_DEPTH = 5
_MOST_PARTS = 100
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """That an attribute compares so with a value, or with one of several."""

    key: str
    type: str
    value: Attribute | tuple[Attribute, ...]

    def passes(self, attributes: Attributes) -> bool:
        """Whether a document with these attributes passes."""
        own = attributes.get(self.key)
        match self.type:
            case "eq":
                return _equal(own, self.value)
            case "ne":
                return not _equal(own, self.value)
            case "in" | "nin":
                listed = self.value if isinstance(self.value, tuple) else (self.value,)
                return any(_equal(own, each) for each in listed) == (self.type == "in")
            case _:
                return _kind(own) == _kind(self.value) and _ORDERED[self.type](own, self.value)


@dataclass(frozen=True, slots=True)
class Compound:
    """That all of several filters pass, or any."""

    type: str
    filters: tuple["Filter", ...]

    def passes(self, attributes: Attributes) -> bool:
        """Whether a document with these attributes passes."""
        chosen = all if self.type == "and" else any
        return chosen(each.passes(attributes) for each in self.filters)


type Filter = Comparison | Compound


def read_filter(given: Any) -> Filter:
    """A filter as a request has it. Raises InvalidRequestError, which says what can be."""
    return _read(given, 1, [0])


def _read(given: Any, depth: int, count: list[int]) -> Filter:
    count[0] += 1
    if depth > _MOST_DEPTH or count[0] > _MOST_PARTS:
        raise _wrong(f"has more than {_MOST_DEPTH} levels, or more than {_MOST_PARTS} parts")
    if not isinstance(given, dict):
        raise _wrong("each is an object with type, key and value, or with type and filters")
    kind = given.get("type")
    if not isinstance(kind, str):
        raise _wrong(f"type is one of {', '.join((*COMPARISONS, 'and', 'or'))}")
    if kind in {"and", "or"}:
        parts = given.get("filters")
        if not isinstance(parts, list) or not parts or given.keys() - {"type", "filters"}:
            raise _wrong(f"{kind!r} takes filters, a list of at least one, and nothing else")
        return Compound(kind, tuple(_read(each, depth + 1, count) for each in parts))
    if kind not in COMPARISONS:
        raise _wrong(f"type is {kind[:40]!r}; it can be {', '.join((*COMPARISONS, 'and', 'or'))}")
    key = given.get("key")
    if not isinstance(key, str) or not key or given.keys() - {"type", "key", "value"}:
        raise _wrong(f"{kind!r} takes key, the name of an attribute, and value, and nothing else")
    return Comparison(key, kind, _value(kind, given.get("value")))


def _value(kind: str, value: Any) -> Attribute | tuple[Attribute, ...]:
    if kind in {"in", "nin"}:
        if (
            not isinstance(value, list)
            or not 0 < len(value) <= _MOST_VALUES
            or any(_kind(each) is None for each in value)
        ):
            raise _wrong(f"the value of {kind!r} is a list of 1 to {_MOST_VALUES} texts, numbers or booleans")
        return tuple(value)
    if _kind(value) is None:
        raise _wrong(f"the value of {kind!r} is a text, a number or a boolean")
    if kind in _ORDERED and isinstance(value, bool):
        raise _wrong(f"the value of {kind!r} is a text or a number")
    found: Attribute = value
    return found


def _equal(own: object, value: object) -> bool:
    return _kind(own) == _kind(value) and own == value


def _kind(value: object) -> str | None:
    """What a value compares with: True is not 1."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def _wrong(what: str) -> InvalidRequestError:
    return InvalidRequestError(f"filters: {what}.", param="filters")
