"""What each keyword of JSON Schema demands of a value: something of the value itself, or of what is inside it."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.guards.json_schema.keywords import is_number

if TYPE_CHECKING:
    from sluice.guards.json_schema.validation import Validation


# A division of fractions is as much work as so many other steps.
_FRACTION_STEPS, _BITS_PER_STEP = 50, 16


class Duty(NamedTuple):
    """That `schema` accepts `value`, which is `step` further into the answer (None: right here)."""

    schema: Any
    value: Any
    step: str | int | None = None


type _Check = Callable[[Validation, Any, Any, Mapping[str, Any]], bool]
type _Descend = Callable[[Validation, Any, Any, Mapping[str, Any]], Iterator[Duty]]


def _has_type(_: "Validation", expected: str | list[str], value: Any, __: Mapping[str, Any]) -> bool:
    match value:
        case bool():
            names: tuple[str, ...] = ("boolean",)
        case int():
            names = ("integer", "number")
        case float():
            names = ("integer", "number") if value.is_integer() else ("number",)
        case str():
            names = ("string",)
        case list():
            names = ("array",)
        case dict():
            names = ("object",)
        case _:
            names = ("null",)
    wanted = (expected,) if isinstance(expected, str) else expected
    return any(name in wanted for name in names)


def _is_multiple(validation: "Validation", factor: float, value: Any, _: Mapping[str, Any]) -> bool:
    if not is_number(value):
        return True
    if isinstance(factor, int) and isinstance(value, int):
        return bool(value % factor == 0)
    if math.inf in (abs(factor), abs(value)):
        return False
    # As people mean it: 0.3 is a multiple of 0.1, though the binary fractions next to them are not.
    validation.meter.spend(_FRACTION_STEPS + sum(number_steps(each) for each in (value, factor)))
    return bool(Fraction(repr(value)) % Fraction(repr(factor)) == 0)


def number_steps(number: float) -> int:
    """The steps of writing a number down in decimal digits; a whole one may have 4,300."""
    return 1 + number.bit_length() // _BITS_PER_STEP if isinstance(number, int) else 1


def _differs(validation: "Validation", expected: bool, value: Any, _: Mapping[str, Any]) -> bool:
    if not expected or not isinstance(value, list):
        return True
    return len({validation.canonical(item) for item in value}) == len(value)


def _has_names(validation: "Validation", names: list[str], value: Any, _: Mapping[str, Any]) -> bool:
    validation.meter.spend(len(names))
    return not isinstance(value, dict) or all(name in value for name in names)


def _has_dependents(validation: "Validation", names: dict[str, list[str]], value: Any, _: Mapping[str, Any]) -> bool:
    validation.meter.spend(len(names))
    return not isinstance(value, dict) or all(
        _has_names(validation, wanted, value, {}) for name, wanted in names.items() if name in value
    )


def _contains(validation: "Validation", inner: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    found = sum(validation.accepts(inner, item) for item in value)
    return bool(schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)))


def _one_of(validation: "Validation", several: list[Any], value: Any, _: Mapping[str, Any]) -> bool:
    return sum(validation.accepts(inner, value) for inner in several) == 1


def _any_of(validation: "Validation", several: list[Any], value: Any, _: Mapping[str, Any]) -> bool:
    return any(validation.accepts(inner, value) for inner in several)


def _not(validation: "Validation", inner: Any, value: Any, _: Mapping[str, Any]) -> bool:
    return not validation.accepts(inner, value)


def _matches(validation: "Validation", pattern: str, value: Any, _: Mapping[str, Any]) -> bool:
    return not isinstance(value, str) or validation.matches(pattern, value)


def _is_const(validation: "Validation", constant: Any, value: Any, _: Mapping[str, Any]) -> bool:
    return validation.canonical(value) == validation.canonical(constant)


def _is_one(validation: "Validation", choices: list[Any], value: Any, _: Mapping[str, Any]) -> bool:
    return validation.is_choice(choices, value)


def _number(is_within: Callable[[float, float], bool]) -> _Check:
    def check(_: "Validation", bound: float, value: Any, __: Mapping[str, Any]) -> bool:
        return not is_number(value) or is_within(value, bound)

    return check


def _size(kind: type[str | list[Any] | dict[str, Any]], is_within: Callable[[float, float], bool]) -> _Check:
    def check(_: "Validation", bound: float, value: Any, __: Mapping[str, Any]) -> bool:
        return not isinstance(value, kind) or is_within(len(value), bound)

    return check


CHECKS: Mapping[str, _Check] = {
    "type": _has_type,
    "enum": _is_one,
    "const": _is_const,
    "multipleOf": _is_multiple,
    "maximum": _number(operator.le),
    "exclusiveMaximum": _number(operator.lt),
    "minimum": _number(operator.ge),
    "exclusiveMinimum": _number(operator.gt),
    "maxLength": _size(str, operator.le),
    "minLength": _size(str, operator.ge),
    "maxItems": _size(list, operator.le),
    "minItems": _size(list, operator.ge),
    "maxProperties": _size(dict, operator.le),
    "minProperties": _size(dict, operator.ge),
    "pattern": _matches,
    "uniqueItems": _differs,
    "required": _has_names,
    "dependentRequired": _has_dependents,
    "contains": _contains,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
"""Whether a value satisfies a keyword: each is given the validation, what the keyword says, the value, the schema."""


def _in_all(_: "Validation", several: list[Any], value: Any, __: Mapping[str, Any]) -> Iterator[Duty]:
    yield from (Duty(inner, value) for inner in several)


def _referred(validation: "Validation", reference: str, value: Any, _: Mapping[str, Any]) -> Iterator[Duty]:
    yield Duty(validation.references[reference], value)


def _in_branch(validation: "Validation", condition: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Duty]:
    branch = "then" if validation.accepts(condition, value) else "else"
    if branch in schema:
        yield Duty(schema[branch], value)


def _in_dependents(_: "Validation", inner: dict[str, Any], value: Any, __: Mapping[str, Any]) -> Iterator[Duty]:
    if isinstance(value, dict):
        yield from (Duty(one, value) for name, one in inner.items() if name in value)


def _in_properties(
    validation: "Validation", properties: dict[str, Any], value: Any, _: Mapping[str, Any]
) -> Iterator[Duty]:
    if isinstance(value, dict):
        validation.meter.spend(min(len(properties), len(value)))
        smaller = properties if len(properties) < len(value) else value
        yield from (
            Duty(properties[name], value[name], name) for name in smaller if name in properties and name in value
        )


def _in_matching(
    validation: "Validation", patterns: dict[str, Any], value: Any, _: Mapping[str, Any]
) -> Iterator[Duty]:
    if isinstance(value, dict):
        for pattern, inner in patterns.items():
            yield from (Duty(inner, value[name], name) for name in value if validation.matches(pattern, name))


def _in_others(validation: "Validation", inner: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Duty]:
    if isinstance(value, dict):
        declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, member in value.items():
            validation.meter.spend(1)
            if name not in declared and not any(validation.matches(pattern, name) for pattern in patterns):
                yield Duty(inner, member, name)


def _in_names(_: "Validation", inner: Any, value: Any, __: Mapping[str, Any]) -> Iterator[Duty]:
    if isinstance(value, dict):
        yield from (Duty(inner, name) for name in value)


def _in_first_items(_: "Validation", several: list[Any], value: Any, __: Mapping[str, Any]) -> Iterator[Duty]:
    if isinstance(value, list):
        yield from (Duty(inner, item, at) for at, (inner, item) in enumerate(zip(several, value, strict=False)))


def _in_items(_: "Validation", inner: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Duty]:
    if isinstance(value, list):
        yield from (Duty(inner, value[at], at) for at in range(len(schema.get("prefixItems", ())), len(value)))


def _in_unevaluated_names(
    validation: "Validation", inner: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Duty]:
    if isinstance(value, dict):
        evaluated = validation.named(schema, value)
        yield from (Duty(inner, member, name) for name, member in value.items() if name not in evaluated)


def _in_unevaluated_items(
    validation: "Validation", inner: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Duty]:
    if isinstance(value, list):
        evaluated = validation.placed(schema, value)
        yield from (Duty(inner, item, at) for at, item in enumerate(value) if at not in evaluated)


DUTIES: Mapping[str, _Descend] = {
    "allOf": _in_all,
    "$ref": _referred,
    "$dynamicRef": _referred,
    "if": _in_branch,
    "dependentSchemas": _in_dependents,
    "properties": _in_properties,
    "patternProperties": _in_matching,
    "additionalProperties": _in_others,
    "propertyNames": _in_names,
    "prefixItems": _in_first_items,
    "items": _in_items,
    "unevaluatedProperties": _in_unevaluated_names,
    "unevaluatedItems": _in_unevaluated_items,
}
"""What else has to be accepted for a value to satisfy a keyword."""
