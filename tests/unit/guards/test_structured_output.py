import json
from typing import Any

import pytest

from sluice.chat import ResponseFormat
from sluice.errors import InvalidRequestError
from sluice.guards.json_reader import enforce_json
from sluice.guards.structured_output import InvalidJsonAnswerError, check_schema

OBJECT = ResponseFormat(type="json_object")
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def schema_format(schema: object) -> ResponseFormat:
    return ResponseFormat.model_validate({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})


def test_a_schema_is_enforced_on_the_repaired_answer() -> None:
    assert enforce_json('```\n{"name": "Ada", "age": 36}\n```', schema_format(PERSON)) == '{"name": "Ada", "age": 36}'


def test_reasons_name_the_path_and_the_rule_but_not_the_content() -> None:
    with pytest.raises(InvalidJsonAnswerError) as caught:
        enforce_json('{"name": "topsecret", "age": -5, "leaked": 1}', schema_format(PERSON))
    assert set(caught.value.reasons) == {
        '$.name: must satisfy "pattern": "^[A-Z]"',
        '$.age: must satisfy "minimum": 0',
        '$: must satisfy "additionalProperties": false',
    }


def test_names_that_the_schema_does_not_know_are_content() -> None:
    with pytest.raises(InvalidJsonAnswerError) as caught:
        enforce_json('{"topsecret": 1}', schema_format({"additionalProperties": {"type": "string"}}))
    assert caught.value.reasons == ('$.*: must satisfy "type": "string"',)


def test_a_hostile_pattern_takes_linear_time() -> None:
    schema = {
        "properties": {"a": {"pattern": "^(a+)+$"}},
        "patternProperties": {"^(b+)+$": True},
        "additionalProperties": False,
    }
    check_schema(schema_format(schema))
    with pytest.raises(InvalidJsonAnswerError):
        enforce_json(json.dumps({"a": "a" * 5000 + "!", "b" * 5000 + "!": 1}), schema_format(schema))


def test_pattern_properties_and_references_work() -> None:
    schema = {
        "$defs": {
            "tree": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
        },
        "$ref": "#/$defs/tree",
        "patternProperties": {"^x-": {"type": "string"}},
    }
    check_schema(schema_format(schema))
    text = '{"kids": [{"kids": []}], "x-a": "b"}'
    assert enforce_json(text, schema_format(schema)) == text
    for wrong in ('{"kids": [{"kids": 1}]}', '{"x-a": 1}'):
        with pytest.raises(InvalidJsonAnswerError):
            enforce_json(wrong, schema_format(schema))


def _nested(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def _doubling(levels: int) -> dict[str, object]:
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**definitions, f"d{levels}": {}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "must be an object"),
        ({"type": "strnig"}, "malformed"),
        ({"properties": {"a": {"minimum": "0"}}}, r"\['properties'\]\['a'\]\['minimum'\]"),
        ({"pattern": "(?=a)"}, "not RE2"),
        ({"patternProperties": {"(": {}}}, "not RE2"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "into the schema itself"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "into the schema itself"),
        ({"$ref": "#/$defs/nothing"}, "does not contain"),
        ({"$ref": "#"}, "without end"),
        (
            {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
            "without end",
        ),
        (_nested(80), "levels deep"),
        (_doubling(30), "subschemas"),
        ({"enum": ["x" * 70_000]}, "bytes"),
    ],
)
def test_a_schema_that_is_wrong_or_hostile_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        check_schema(schema_format(schema))
    assert caught.value.param == "response_format.json_schema.schema"


@pytest.mark.parametrize(
    "response_format",
    [ResponseFormat(type="json_schema"), ResponseFormat(type="json_schema", json_schema={"name": "a"})],
)
def test_a_missing_schema_is_refused(response_format: Any) -> None:
    with pytest.raises(InvalidRequestError):
        check_schema(response_format)


@pytest.mark.parametrize(
    "response_format", [None, OBJECT, ResponseFormat(type="text"), schema_format(PERSON), schema_format(_nested(20))]
)
def test_an_honest_schema_is_accepted(response_format: Any) -> None:
    check_schema(response_format)
