"""Inputs of tasks: what is valid comes through, what is not is refused at its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from sluice.errors import InvalidRequestError
from sluice.tasks.fields import Bare, InputField, canonical, check_inputs, object_schema
from tests.task_inputs import inputs_of

FIELDS: dict[str, InputField] = {
    name: TypeAdapter(InputField).validate_python(field)
    for name, field in {
        "title": {"type": "string", "required": True, "max_length": 20},
        "note": {"type": "string", "max_length": 20},
        "count": {"type": "integer", "minimum": -2, "maximum": 3, "default": 1},
        "share": {"type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.5},
        "urgent": {"type": "boolean", "default": False},
        "level": {"type": "enum", "values": ["low", "high"], "default": "low"},
        "tags": {"type": "list", "max_items": 3, "items": {"type": "string", "max_length": 5}},
        "owner": {
            "type": "object",
            "fields": {
                "name": {"type": "string", "max_length": 9},
                "rank": {"type": "integer", "minimum": 0, "maximum": 9, "default": 4},
            },
        },
        "resource": {"type": "object", "max_bytes": 100},
        "anything": {"type": "json", "max_bytes": 100},
    }.items()
}


@given(inputs_of(FIELDS))
def test_what_is_valid_is_valid_by_the_schema_shown_and_complete(values: dict[str, Any]) -> None:
    try:
        checked = check_inputs(FIELDS, values)
    except InvalidRequestError as error:
        assert "bytes" in error.message or "deep" in error.message  # noqa: PT017 -- the only bounds a schema can't show
        return
    Draft202012Validator(object_schema(FIELDS)).validate(values)
    assert checked.keys() == FIELDS.keys()
    assert None not in checked.values()
    assert checked["title"] == values["title"]


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)),
    st.sampled_from(sorted(FIELDS)),
)
def test_any_value_is_taken_or_refused_at_its_field(value: Any, name: str) -> None:
    values = {"title": "t", name: value}
    try:
        checked = check_inputs(FIELDS, values)
    except InvalidRequestError as error:
        assert error.param is not None  # noqa: PT017 -- refusing is one of two right outcomes
        assert error.param.startswith(f"inputs.{name}")  # noqa: PT017 -- see above
    else:
        assert checked[name] == value or (name == "anything" and value is None)


def test_what_is_left_out_is_filled_in() -> None:
    assert check_inputs(FIELDS, {"title": "t"}) == {
        "title": "t",
        "note": "",
        "count": 1,
        "share": 0.5,
        "urgent": False,
        "level": "low",
        "tags": [],
        "owner": {"name": "", "rank": 4},
        "resource": {},
        "anything": "",
    }


def test_only_the_author_s_words_are_bare() -> None:
    checked = check_inputs(FIELDS, {"title": "low", "level": "low", "tags": ["low"]})
    assert isinstance(checked["level"], Bare)
    assert not isinstance(checked["title"], Bare)
    assert isinstance(checked["tags"], list)
    assert not isinstance(checked["tags"][0], Bare)


@pytest.mark.parametrize("given", ["high", "High", "HIGH", "hIgH", " high", "High\n"])
def test_a_word_of_an_enum_is_known_in_any_case_as_its_author_wrote_it(given: str) -> None:
    level = check_inputs(FIELDS, {"title": "t", "level": given})["level"]
    assert (level, type(level)) == ("high", Bare)


@pytest.mark.parametrize("given", ["hi gh", "", " ", "highest", "low,high", "h\u0131gh", 1, None, ["high"], True])
def test_what_is_not_a_word_of_an_enum_in_any_case_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"inputs\.level: must be one of low, high\."):
        check_inputs(FIELDS, {"title": "t", "level": given})


def test_two_cases_of_a_word_stay_two_words() -> None:
    field = TypeAdapter[InputField](InputField).validate_python({"type": "enum", "values": ["C", "c", "Go", "C#"]})
    assert [field.check(word, "language") for word in ("C", "c", "go", "c#")] == ["C", "c", "Go", "C#"]
    with pytest.raises(InvalidRequestError):
        field.check(" C", "language")


def test_all_inputs_together_have_a_bound() -> None:
    fields: dict[str, InputField] = {
        f"text_{number}": TypeAdapter(InputField).validate_python({"type": "string", "max_length": 50_000})
        for number in range(5)
    }
    with pytest.raises(InvalidRequestError, match="at most 200000 bytes"):
        check_inputs(fields, dict.fromkeys(fields, "x" * 45_000))


def test_nested_json_has_a_bound() -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(InvalidRequestError, match="deep"):
        check_inputs(FIELDS, {"title": "t", "anything": deep})


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_the_order_of_inputs_does_not_matter(values: dict[str, str]) -> None:
    assert canonical(values) == canonical(dict(reversed(values.items())))


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string"},
        {"type": "string", "max_length": 0},
        {"type": "string", "max_length": 5, "pattern": "x"},
        {"type": "string", "max_length": 5, "required": True, "default": "x"},
        {"type": "string", "max_length": 5, "default": "far too long"},
        {"type": "string", "max_length": 5, "default": 5},
        {"type": "integer", "minimum": 1, "maximum": 5, "default": 9},
        {"type": "integer", "minimum": 1, "maximum": 5, "example": 9, "required": True},
        {"type": "integer", "minimum": 1.5, "maximum": 5, "required": True},
        {"type": "enum", "values": [], "required": True},
        {"type": "enum", "values": ["</data-x>"], "required": True},
        {"type": "list", "max_items": 3},
        {"type": "list", "max_items": 501, "items": {"type": "boolean"}},
        {"type": "object"},
        {"type": "object", "max_bytes": 9, "fields": {"a": {"type": "boolean", "default": True}}},
        {"type": "object", "fields": {"a": {"type": "boolean"}}},
        {"type": "date", "required": True},
        {},
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(InputField).validate_python(field)
