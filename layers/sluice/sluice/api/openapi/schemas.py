"""Pydantic's models as the schemas of an OpenAPI document."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from sluice.chat import JsonObject

_PREFIX = "#/components/schemas/"


class _Plain(GenerateJsonSchema):
    """No titles: they would repeat the names. No defaults of null: a field that may be null may also be left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonObject:
        described = super().default_schema(schema)
        return {name: value for name, value in described.items() if (name, value) != ("default", None)}


def schemas(types: Iterable[Any]) -> tuple[dict[Any, JsonObject], dict[str, JsonObject]]:
    """The schema of each type, and the named ones that these refer to: pydantic's models and typed dictionaries."""
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (each, "validation", TypeAdapter(each)) for each in dict.fromkeys(types)
    ]
    of_types, generated = TypeAdapter.json_schemas(inputs, ref_template=_PREFIX + "{model}", schema_generator=_Plain)
    named: dict[str, JsonObject] = generated["$defs"]
    # Private names are of use in the code alone.
    private = {name: schema for name, schema in named.items() if "_" in name}
    shown = {name: _inlined(schema, private) for name, schema in sorted(named.items()) if name not in private}
    for schema in shown.values():
        schema.pop("title", None)
    return {each: schema for (each, _), schema in of_types.items()}, shown


def query_parameters(model: type[BaseModel], named: dict[str, JsonObject]) -> list[JsonObject]:
    """The fields of `model`, one of those that `named` was made of, as parameters of a query."""
    schema = named[model.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _inlined(value: Any, private: dict[str, JsonObject]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, private) for item in value]
    if not isinstance(value, dict):
        return value
    inlined = {name: _inlined(item, private) for name, item in value.items() if name != "$ref"}
    if "$ref" not in value:
        return inlined
    target = value["$ref"] if isinstance(value["$ref"], str) else ""
    name = target.removeprefix(_PREFIX)
    return {**_inlined(private[name], private), **inlined} if name in private else {**inlined, "$ref": target}


def _without_null(field: JsonObject) -> JsonObject:
    """A query has no way of writing null."""
    others = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if not others:
        return field
    rest = {name: value for name, value in field.items() if name != "anyOf"}
    return rest | (others[0] if len(others) == 1 else {"anyOf": others})
