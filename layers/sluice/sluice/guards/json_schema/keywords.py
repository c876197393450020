"""The keywords of JSON Schema 2020-12: what each takes, and where schemas lie within schemas. Pure."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

type Path = tuple[str | int, ...]
"""Where something is in a schema."""

TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))

_IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas")
_REFERENCES = ("$ref", "$dynamicRef")


class Kind(StrEnum):
    """What a keyword takes, in words for whoever wrote something else."""

    SCHEMA = "a schema"
    SCHEMA_LIST = "a list of schemas"
    SCHEMA_MAP = "an object of schemas"
    COUNT = "a whole number from 0"
    NUMBER = "a number"
    POSITIVE = "a number above 0"
    STRING = "a string"
    BOOLEAN = "true or false"
    LIST = "a list"
    NAMES = "a list of different strings"
    NAMES_MAP = "an object of lists of different strings"
    TYPE = "a type's name, or a list of different ones"


_KEYWORDS = {
    Kind.SCHEMA: "additionalProperties contains contentSchema else if items not propertyNames then unevaluatedItems"
    " unevaluatedProperties",
    Kind.SCHEMA_LIST: "allOf anyOf oneOf prefixItems",
    Kind.SCHEMA_MAP: "$defs definitions dependentSchemas patternProperties properties",
    Kind.COUNT: "maxContains maxItems maxLength maxProperties minContains minItems minLength minProperties",
    Kind.NUMBER: "exclusiveMaximum exclusiveMinimum maximum minimum",
    Kind.POSITIVE: "multipleOf",
    Kind.STRING: "$anchor $comment $dynamicAnchor $dynamicRef $id $ref $schema contentEncoding contentMediaType"
    " description format pattern title",
    Kind.BOOLEAN: "deprecated readOnly uniqueItems writeOnly",
    Kind.LIST: "enum examples",
    Kind.NAMES: "required",
    Kind.NAMES_MAP: "dependentRequired",
    Kind.TYPE: "type",
}
KINDS: Mapping[str, Kind] = {keyword: kind for kind, keywords in _KEYWORDS.items() for keyword in keywords.split()}
"""By keyword; what is not here means nothing to a schema, and may be anything."""


def fits(value: Any, kind: Kind) -> bool:
    """Whether a keyword of this kind may have this value."""
    match kind:
        case Kind.SCHEMA:
            return isinstance(value, dict | bool)
        case Kind.SCHEMA_LIST:
            return isinstance(value, list) and bool(value) and all(isinstance(one, dict | bool) for one in value)
        case Kind.SCHEMA_MAP:
            return isinstance(value, dict) and all(isinstance(one, dict | bool) for one in value.values())
        case Kind.COUNT:
            return is_number(value) and value >= 0 and float(value).is_integer()
        case Kind.NUMBER:
            return is_number(value)
        case Kind.POSITIVE:
            return is_number(value) and value > 0
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.LIST:
            return isinstance(value, list)
        case Kind.NAMES:
            return isinstance(value, list) and all(isinstance(one, str) for one in value) and _differ(value)
        case Kind.NAMES_MAP:
            return isinstance(value, dict) and all(fits(names, Kind.NAMES) for names in value.values())
        case Kind.TYPE:
            names = [value] if isinstance(value, str) else value
            return fits(names, Kind.NAMES) and bool(names) and TYPES.issuperset(names)


def is_number(value: object) -> bool:
    """Whether a value is a number to JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[Any, Path]]:
    """The schemas right inside a schema, and where."""
    for keyword, value in schema.items():
        match KINDS.get(keyword):
            case Kind.SCHEMA:
                yield value, (keyword,)
            case Kind.SCHEMA_LIST:
                yield from ((one, (keyword, index)) for index, one in enumerate(value))
            case Kind.SCHEMA_MAP:
                yield from ((one, (keyword, name)) for name, one in value.items())


def in_place(schema: Mapping[str, Any], references: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that judge the same value as `schema` does, references followed."""
    for keyword in _IN_PLACE:
        inner = schema.get(keyword)
        if isinstance(inner, list):
            yield from inner
        elif keyword == "dependentSchemas":
            yield from (inner or {}).values()
        elif inner is not None:
            yield inner
    yield from (references[schema[keyword]] for keyword in _REFERENCES if keyword in schema)


def _differ(names: list[str]) -> bool:
    return len(set(names)) == len(names)
