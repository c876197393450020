"""Answers against schemas: right, as the reference implementation has it, and within a number of steps."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from sluice.chat import ResponseFormat
from sluice.errors import InvalidRequestError
from sluice.guards.json_reader import enforce_json
from sluice.guards.json_schema.schema import MOST_PATTERN_INSTRUCTIONS, JsonSchema, compile_schema
from sluice.guards.json_schema.validation import Validation
from sluice.guards.structured_output import MOST_VALIDATION_STEPS, InvalidJsonAnswerError, check_value
from sluice.guards.work import WorkLimitError, WorkMeter
from tests.examples import examples

names = st.sampled_from(["a", "b", "ab", "x1"])
numbers = st.sampled_from([0, 1, 2, 2.0, -1, 0.5, 1e300, 10**30])
scalars = st.none() | st.booleans() | numbers | names
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
counts = st.sampled_from([0, 1, 2, 3.0])
types = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
patterns = st.sampled_from(["^a", "b$", "[0-9]", "."])


def objects(members: dict[str, SearchStrategy[Any]], max_size: int = 3) -> SearchStrategy[dict[str, Any]]:
    chosen = st.lists(st.sampled_from(sorted(members)), max_size=max_size, unique=True)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: members[key] for key in keys}))


def schemas() -> SearchStrategy[Any]:
    plain: dict[str, SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
        "enum": st.lists(values, max_size=4),
        "const": values,
        "multipleOf": st.sampled_from([1, 2, 0.5, 3]),
        "maximum": numbers,
        "exclusiveMinimum": numbers,
        "minLength": counts,
        "maxLength": counts,
        "pattern": patterns,
        "minItems": counts,
        "maxItems": counts,
        "uniqueItems": st.booleans(),
        "required": st.lists(names, max_size=3, unique=True),
        "minProperties": counts,
        "maxProperties": counts,
        "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
        "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#"]),
    }

    def nested(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=3)
        named = st.dictionaries(names, inner, max_size=3)
        single = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
        one = dict.fromkeys((*single, "unevaluatedItems", "unevaluatedProperties"), inner)
        listed = dict.fromkeys(["allOf", "anyOf", "oneOf", "prefixItems"], several)
        mapped = {"dependentSchemas": named, "properties": named}
        matched = {"patternProperties": st.dictionaries(patterns, inner, max_size=2)}
        bounds = {"minContains": counts, "maxContains": counts}
        return objects(plain | one | listed | mapped | matched | bounds, 4)

    return st.recursive(st.booleans() | objects(plain), nested, max_leaves=8)


definitions = st.fixed_dictionaries({"a": schemas(), "b": schemas()})


def compiled_or_endless(schema: dict[str, Any]) -> JsonSchema | None:
    """Of what is generated here, only what refers to itself without end is refused."""
    try:
        return compile_schema(schema)
    except InvalidRequestError as refused:
        if "without end" not in refused.message:
            raise
        return None


@settings(max_examples=examples(300), deadline=None)
@given(schema=schemas().filter(lambda schema: isinstance(schema, dict)), definitions=definitions, value=values)
def test_answers_are_judged_as_the_reference_implementation_judges_them(
    schema: dict[str, Any], definitions: dict[str, Any], value: Any
) -> None:
    schema = {**schema, "$defs": definitions}
    compiled = compiled_or_endless(schema)
    if compiled is None:
        return
    validation = Validation(compiled, WorkMeter(MOST_VALIDATION_STEPS))
    assert validation.accepts(compiled.root, value) is Draft202012Validator(schema).is_valid(value)


@settings(max_examples=examples(100), deadline=None)
@given(schema=schemas().filter(lambda schema: isinstance(schema, dict)), definitions=definitions, value=values)
def test_what_is_not_accepted_has_a_reason(schema: dict[str, Any], definitions: dict[str, Any], value: Any) -> None:
    compiled = compiled_or_endless({**schema, "$defs": definitions})
    if compiled is None:
        return
    validation = Validation(compiled, WorkMeter(MOST_VALIDATION_STEPS))
    if not validation.accepts(compiled.root, value):
        violation = next(validation.violations(compiled.root, value))
        found = value
        for step in violation.path:
            found = found[step]


@settings(max_examples=examples(300), deadline=None)
@given(schema=schemas().filter(lambda schema: isinstance(schema, dict)), definitions=definitions, value=values)
@pytest.mark.parametrize("limit", [10, 100])
def test_checking_stops_at_its_limit(
    limit: int, schema: dict[str, Any], definitions: dict[str, Any], value: Any
) -> None:
    compiled = compiled_or_endless({**schema, "$defs": definitions})
    if compiled is None:
        return
    meter = WorkMeter(limit)
    try:
        Validation(compiled, meter).accepts(compiled.root, [value] * 50)
    except WorkLimitError:
        assert meter.spent > limit
        return
    assert meter.spent <= limit


def deep(levels: int, leaf: object = 1) -> object:
    value = leaf
    for _ in range(levels):
        value = {"a": value}
    return value


def closed_again_and_again(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": True}
    return schema


def fanning_out(width: int, levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{level}": {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{level + 1}"}}} for _ in range(width)]}
        for level in range(levels)
    }
    return {"$defs": {**definitions, f"d{levels}": {"type": "integer"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "value", "most_steps"),
    [
        pytest.param(closed_again_and_again(20), {"a": 1}, 500, id="unevaluatedProperties under nested allOf"),
        pytest.param(fanning_out(40, 6), deep(6), 5_000, id="40 references to each of six levels"),
        pytest.param({"items": {"enum": list(range(2_000))}}, [-1] * 5_000, 20_000, id="many choices"),
        pytest.param({"uniqueItems": True}, list(range(5_000)), 20_000, id="items that all differ"),
    ],
)
def test_work_that_multiplies_is_done_once(schema: dict[str, Any], value: Any, most_steps: int) -> None:
    compiled = compile_schema(schema)
    meter = WorkMeter(MOST_VALIDATION_STEPS)
    Validation(compiled, meter).accepts(compiled.root, value)
    assert meter.spent <= most_steps


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"items": {"properties": {f"p{n}": {} for n in range(50)}}},
            [{f"p{n}": n for n in range(50)} for _ in range(3_000)],
        ),
        ({"items": {"pattern": "(?:a?){500}"}}, ["a" * 500 + str(n) for n in range(100)]),
        ({"contains": {"const": -1}}, list(range(100_000))),
        ({"items": {"multipleOf": 0.1}}, [10**4_000 + n for n in range(1_000)]),
        (
            {"$defs": {"l": {"uniqueItems": True, "items": {"$ref": "#/$defs/l"}}}, "$ref": "#/$defs/l"},
            [[[n]] for n in range(50_000)],
        ),
    ],
)
def test_an_answer_that_would_take_too_much_work_is_not_valid(schema: dict[str, Any], value: object) -> None:
    response_format = schema_format(schema)
    with pytest.raises(InvalidJsonAnswerError, match="takes more work to check than is allowed"):
        check_value(value, response_format)


def schema_format(schema: object) -> ResponseFormat:
    return ResponseFormat.model_validate({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})


def test_an_answer_that_is_nested_deeper_than_python_goes_is_not_valid() -> None:
    schema = {"$defs": {"l": {"items": {"$ref": "#/$defs/l"}}}, "$ref": "#/$defs/l"}
    text = "[" * 5_000 + "]" * 5_000
    with pytest.raises(InvalidJsonAnswerError, match="nested too deeply"):
        enforce_json(text, schema_format(schema))


@pytest.mark.parametrize(
    ("factor", "value", "is_multiple"),
    [
        (0.1, 0.3, True),
        (0.01, 19.99, True),
        (0.0001, 0.00751, False),
        (3, 10**40 * 3, True),
        (1e-300, 1e308, True),
        (0.5, 10**400, True),
        (math.inf, 1, False),
        (7, 7.5, False),
    ],
)
def test_a_multiple_is_one_in_decimal_digits(factor: float, value: float, is_multiple: bool) -> None:
    compiled = compile_schema({"multipleOf": factor})
    assert Validation(compiled, WorkMeter(10_000)).accepts(compiled.root, value) is is_multiple


def test_a_pattern_matches_characters_of_any_script() -> None:
    compiled = compile_schema({"pattern": "^\\pL{3}$"})
    validation = Validation(compiled, WorkMeter(10_000))
    for text, is_match in (
        ("\u0434\u0430\u0448", True),
        ("\u4f60\u597d\u5417", True),
        ("ab1", False),
        ("\ud83d\udca9\ud83d", False),
    ):
        assert validation.accepts(compiled.root, text) is is_match


def test_numbers_are_equal_by_value_and_booleans_are_no_numbers() -> None:
    compiled = compile_schema({"enum": [1, 0.5, {"a": [2.0]}]})
    validation = Validation(compiled, WorkMeter(10_000))
    for value, is_one in ((1.0, True), (True, False), (0.5, True), ({"a": [2]}, True), ({"a": ["2"]}, False)):
        assert validation.accepts(compiled.root, value) is is_one


def test_the_largest_patterns_that_are_accepted_stay_within_their_memory() -> None:
    compiled = compile_schema({"pattern": "\\pL{50}"})
    assert sum(pattern.instructions for pattern in compiled.patterns.values()) <= MOST_PATTERN_INSTRUCTIONS
    for schema in (
        {"properties": {f"p{n}": {"pattern": f"\\pL{{50}}{n}"} for n in range(100)}},
        {"pattern": "\\pL{1000}"},
        {"properties": {f"p{n}": {"pattern": f"{n}"} for n in range(1_500)}},
    ):
        with pytest.raises(InvalidRequestError, match="too complex"):
            compile_schema(schema)
