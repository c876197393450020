"""JSON Schemas as far as Anthropic holds answers to them. Pure.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"
"""

from typing import Any

# Refused there. The gateway holds answers against the whole of them itself.
_UNSUPPORTED_KEYWORDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "minItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "pattern",
        "$schema",
        "default",
        "examples",
    }
)
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions"})


def supported_schema(schema: Any) -> Any:
    """A JSON Schema as far as Anthropic holds an answer to it; an object's further properties have to be ruled out."""
    if isinstance(schema, list):
        return [supported_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _SCHEMAS_BY_NAME and isinstance(value, dict):
            kept[name] = {inner: supported_schema(each) for inner, each in value.items()}
        elif name in ("enum", "const", "required"):
            kept[name] = value
        elif name not in _UNSUPPORTED_KEYWORDS:
            kept[name] = supported_schema(value)
    if kept.get("type") == "object" or "properties" in kept:
        kept.setdefault("additionalProperties", False)
    return kept
