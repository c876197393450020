"""JSON answers: checked against what the request asked for, and repaired where that cannot change what was said."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, cast

import re2

from sluice.chat import ResponseFormat
from sluice.errors import InvalidRequestError

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

SCHEMA_PARAM = "response_format.json_schema.schema"
MOST_SCHEMA_BYTES = 65_536
MOST_SCHEMA_DEPTH = 32
MOST_SCHEMA_STEPS = 2_000
"""How many subschemas one value may have to be checked against."""

_MOST_REASONS = 5
_NOT_A_VALUE = rb"[^\"'\w](?:NaN|Infinity|undefined)[^\"'\w]"
_IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas")


class InvalidJsonAnswerError(Exception):
    """The answer is not what `response_format` asked for: the model may be asked once more.

    `reasons` name paths and rules, and nothing of what the answer said.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def check_schema(response_format: ResponseFormat | None) -> None:
    """Raise InvalidRequestError for a JSON Schema that is malformed, too large, refers elsewhere or can stall."""
    if response_format is None or response_format.type != "json_schema":
        return
    if not response_format.json_schema or "schema" not in response_format.json_schema:
        raise InvalidRequestError("response_format of type json_schema needs a schema", param=SCHEMA_PARAM)
    schema = response_format.json_schema["schema"]
    if not isinstance(schema, dict):
        _refuse(f"must be an object, got {type(schema).__name__}")
    _check_size(schema)
    _check_patterns_and_references(schema)
    _count_steps(schema, schema, (), {})

    # Imported late: it takes 40 ms, and few requests bring a schema.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema))
    if error is not None:
        where = "".join(f"[{step!r}]" for step in error.path) or "its root"
        _refuse(f"is malformed at {where}: must satisfy {_rule(str(error.validator), error.validator_value)}")


def enforce_json(text: str, response_format: ResponseFormat | None) -> str:
    """The answer, if it is what was asked for: as it came, byte for byte, or else repaired.

    A repair takes the one JSON value out of code fences and prose, and mends quotes and commas; it is taken only if
    letters, digits, signs and brackets stay what and where they were. Raises InvalidJsonAnswerError when there is no
    such value, or when it breaks the schema.
    """
    if response_format is None or response_format.type not in ("json_object", "json_schema"):
        return text
    candidate = text
    try:
        value = _parse(text)
    except ValueError:
        candidate = _repair(text)
        value = _parse(candidate)
    if response_format.type == "json_object" and not isinstance(value, dict):
        raise InvalidJsonAnswerError(("$: must be an object",))
    schema = (response_format.json_schema or {}).get("schema")
    if response_format.type == "json_schema" and isinstance(schema, dict):
        reasons = _violations(value, schema)
        if reasons:
            raise InvalidJsonAnswerError(reasons)
    return candidate


def _parse(text: str) -> Any:
    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise InvalidJsonAnswerError(("$: is nested too deeply",)) from None


def _repair(text: str) -> str:
    start = min((position for position in (text.find("{"), text.find("[")) if position >= 0), default=-1)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    if start < 0 or end <= start:
        raise InvalidJsonAnswerError(("$: there is no JSON object or array in the answer",))
    candidate = text[start:end]
    try:
        _parse(candidate)
    except ValueError:
        candidate = _mend(candidate)
    return candidate


def _mend(text: str) -> str:
    from json_repair import repair_json  # late: most answers need no repair

    try:
        value = repair_json(text, return_objects=True, skip_json_loads=True)
        mended = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        mended = ""
    is_guess = re2.search(_NOT_A_VALUE, text.encode("utf-8", "replace")) is not None
    if is_guess or not mended or mended[0] != text[0] or _said(mended) != _said(text):
        raise InvalidJsonAnswerError(("$: is not JSON, and cannot be made so without changing what it says",))
    return mended


def _said(text: str) -> str:
    # Python's literals may stand for JSON's; everything else that carries meaning must be the same, in the same order.
    said = "".join(character for character in text if character.isalnum() or character in "+-.{}[]")
    return said.replace("True", "true").replace("False", "false").replace("None", "null")


def _violations(value: Any, schema: Mapping[str, Any]) -> tuple[str, ...]:
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # An empty registry: a reference to elsewhere is an error, never a download.
    validator = _validator_class()(schema, registry=Registry())
    try:
        errors = list(islice(validator.iter_errors(value), _MOST_REASONS))
    except RecursionError:
        return ("$: is nested too deeply",)
    except Unresolvable as error:
        message = f"The JSON Schema refers to {error.ref!r}, which it does not contain"
        raise InvalidRequestError(message, param=SCHEMA_PARAM) from error
    declared = set(_property_names(schema))
    return tuple(_reason(error, declared) for error in errors)


def _reason(error: "ValidationError", declared: set[str]) -> str:
    # A property's name that the schema does not know is the answer's content too.
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" if step in declared else ".*" for step in error.path)
    return f"${''.join(steps)}: must satisfy {_rule(str(error.validator), error.validator_value)}"


def _property_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("properties"), dict):
        yield from node["properties"]
    for child in _children(node):
        yield from _property_names(child)


def _rule(name: str, value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return f'"{name}": {shown}' if len(shown) <= 200 else f'"{name}"'


@cache
def _validator_class() -> "type[Validator]":
    """JSON Schema 2020-12, with regular expressions that take linear time."""
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "string") and not _search(pattern, instance):
            yield ValidationError("does not match")

    def pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "object"):
            for pattern, subschema in patterns.items():
                for name, value in instance.items():
                    if _search(pattern, name):
                        yield from validator.descend(value, subschema, path=name, schema_path=pattern)

    def additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not validator.is_type(instance, "object"):
            return
        patterns = schema.get("patternProperties", {})
        for name, value in instance.items():
            if name in schema.get("properties", {}) or any(_search(pattern, name) for pattern in patterns):
                continue
            if allowed is False:
                yield ValidationError("has a property that is not allowed")
                return
            yield from validator.descend(value, allowed, path=name)

    own = {"pattern": pattern, "patternProperties": pattern_properties, "additionalProperties": additional_properties}
    # mypy: jsonschema leaves `extend` untyped.
    extended: type[Validator] = cast(Any, validators).extend(Draft202012Validator, own)
    return extended


def _search(pattern: str, text: str) -> bool:
    return re2.search(pattern.encode("utf-8", "replace"), text.encode("utf-8", "replace")) is not None


def _check_size(schema: Mapping[str, Any]) -> None:
    size = len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "replace"))
    if size > MOST_SCHEMA_BYTES:
        _refuse(f"has {size} bytes, at most {MOST_SCHEMA_BYTES} are allowed")
    level: list[Any] = [schema]
    depth = 0
    while level:
        depth += 1
        if depth > MOST_SCHEMA_DEPTH * 2:  # each level of schema is an object inside a keyword's object or array
            _refuse(f"is nested more than {MOST_SCHEMA_DEPTH} levels deep")
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _check_patterns_and_references(schema: Mapping[str, Any]) -> None:
    waiting: list[Any] = [schema]
    has_patterns = has_unevaluated = False
    while waiting:
        node = waiting.pop()
        waiting.extend(_children(node))
        if not isinstance(node, dict):
            continue
        patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        if isinstance(node.get("patternProperties"), dict):
            has_patterns = True
            patterns += node["patternProperties"]
        has_unevaluated = has_unevaluated or "unevaluatedProperties" in node
        for pattern in patterns:
            try:
                re2.compile(pattern.encode("utf-8", "replace"))
            except re2.error as error:
                _refuse(f"the pattern {pattern!r} is not RE2 syntax ({error})")
        for keyword in ("$ref", "$dynamicRef"):
            reference = node.get(keyword)
            if isinstance(reference, str) and not reference.startswith("#"):
                _refuse(f"{keyword} must point into the schema itself (#/...), got {reference!r}")
    if has_patterns and has_unevaluated:
        _refuse("patternProperties together with unevaluatedProperties is not supported")


def _count_steps(node: Any, root: Mapping[str, Any], on_path: tuple[int, ...], known: dict[int, int]) -> int:
    """How many subschemas one value meets at this schema, references followed: refuses cycles and explosions."""
    if not isinstance(node, dict):
        return 1
    if id(node) in on_path:
        _refuse("refers to itself without end")
    if id(node) not in known:
        path = (*on_path, id(node))
        steps = 1
        for keyword in _IN_PLACE:
            inner = node.get(keyword)
            several = _children(inner) if isinstance(inner, list) or keyword == "dependentSchemas" else [inner]
            steps += sum(_count_steps(one, root, path, known) for one in several if isinstance(one, dict))
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(node.get(keyword), str):
                steps += _count_steps(_resolve(root, node[keyword]), root, path, known)
        known[id(node)] = steps
        if steps > MOST_SCHEMA_STEPS:
            _refuse(f"checks one value against more than {MOST_SCHEMA_STEPS} subschemas")
        for child in _children(node):
            for one in (child, *_children(child)):
                if isinstance(one, dict) and id(one) not in known and id(one) not in path:
                    _count_steps(one, root, (), known)
    return known[id(node)]


def _resolve(root: Mapping[str, Any], reference: str) -> Any:
    node: Any = root
    for token in reference.removeprefix("#").split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            _refuse(f"refers to {reference!r}, which it does not contain")
    return node


def _refuse(message: str) -> NoReturn:
    raise InvalidRequestError(f"The JSON Schema {message}", param=SCHEMA_PARAM)
