"""A body is read whole and strictly, or refused with what is wrong and where, and without what was in it."""

import json
from datetime import datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sluice.api.compat.llm_models import MessagesRequest
from sluice.chat import MAX_MESSAGES, MAX_PARTS, ChatRequest
from sluice.errors import InvalidRequestError, PayloadTooLargeError
from sluice.validation.body import MAX_BODY_BYTES, parse_body

SECRET = "my-very-private-prompt"
USER = {"role": "user", "content": SECRET}


def refusal(body: object, model: type[BaseModel] = ChatRequest) -> InvalidRequestError:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    with pytest.raises(InvalidRequestError) as caught:
        parse_body(raw, model)
    return caught.value


def test_what_sluice_does_not_interpret_comes_through_unharmed() -> None:
    body = {
        "model": "auto",
        "messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, 2.5, None, True, "é😀"]}}}],
        "seed": 2**60,
        "logit_bias": {"50256": -100},
    }
    request = parse_body(json.dumps(body), ChatRequest)
    assert request.model_dump(exclude_unset=True) == body
    assert parse_body(json.dumps(body, ensure_ascii=False).encode(), ChatRequest) == request


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": "auto"}, "messages"),
        ({"model": "auto", "messages": []}, "messages"),
        ({"model": "auto", "messages": SECRET}, "messages"),
        ({"model": "auto", "messages": [SECRET]}, "messages[0]"),
        ({"model": "auto", "messages": None}, "messages"),
        ({"model": "auto", "messages": [USER, {"role": "user", "content": 7}]}, "messages[1].content"),
        ({"model": "auto", "messages": [{"role": "user", "content": [USER]}]}, "messages[0].content[0].type"),
        ({"model": "auto", "messages": [{"content": SECRET}]}, "messages[0].role"),
        ({"model": "auto", "messages": [{"role": SECRET, "content": SECRET}]}, "messages[0].role"),
        ({"model": "auto", "messages": [USER], "max_tokens": -1}, "max_tokens"),
        ({"model": "auto", "messages": [USER], "max_tokens": "12"}, "max_tokens"),
        ({"model": "auto", "messages": [USER], "stream": "true"}, "stream"),
        ({"model": "auto", "messages": [USER], "temperature": SECRET}, "temperature"),
        ({"model": "auto", "messages": [USER], "response_format": {"type": ""}}, "response_format.type"),
        ({"model": "auto", "messages": [USER], "metadata": {"sluice_task": 5}}, "metadata.sluice_task"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not_repeated(body: object, param: str) -> None:
    error = refusal(body)
    assert error.param == param
    assert error.message.startswith(f"{param}: ")
    assert SECRET not in error.message


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b'{"model": ', "line 1, column 11"),
        (b'{"model": "a",\n "messages": [}', "line 2, column 15"),
        (b"{'model': 'a'}", "line 1, column 2"),
        (b'{"a": 1} {"b": 2}', "line 1, column 10"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"temperature": NaN}', "NaN is not a JSON number"),
        (b'{"temperature": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"temperature": 1e999}', "too large"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"model": "a", "model": "b"}', "'model' is given twice"),
        (b'{"metadata": {"task": "a", "task": "b"}}', "'task' is given twice"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"model":"a","messages":[],"x":' + b"[" * 1000 + b"]" * 1000 + b"}", "recursion limit"),
        (b"null", "not null"),
        (b"[1]", "not an array"),
        (b'"text"', "not a string"),
        (b"true", "not a boolean"),
        (b"1.5", "not a number"),
    ],
)
def test_what_is_no_json_object_is_refused_with_the_position(raw: bytes, said: str) -> None:
    error = refusal(raw)
    assert said in error.message
    assert error.status == 400


def test_a_body_is_accepted_up_to_the_limit_and_refused_over_it() -> None:
    frame = json.dumps({"model": "auto", "messages": [{"role": "user", "content": ""}]}).encode()
    fits = frame.replace(b'""', b'"' + b"x" * (MAX_BODY_BYTES - len(frame)) + b'"')
    assert len(fits) == MAX_BODY_BYTES
    parse_body(fits, ChatRequest)
    with pytest.raises(PayloadTooLargeError, match=str(MAX_BODY_BYTES)):
        parse_body(fits + b" ", ChatRequest)


def test_as_many_messages_and_parts_are_accepted_as_there_may_be() -> None:
    user = {"role": "user", "content": "x"}
    many = {"role": "user", "content": [{"type": "text", "text": "x"}] * MAX_PARTS}
    chat = parse_body(json.dumps({"model": "m", "messages": [many, *[user] * (MAX_MESSAGES - 1)]}), ChatRequest)
    assert (len(chat.messages), len(chat.messages[0].content or "")) == (MAX_MESSAGES, MAX_PARTS)
    flat = {"system_prompt": "s", "messages": [user] * (MAX_MESSAGES - 1)}
    assert len(parse_body(json.dumps(flat), MessagesRequest).to_chat().messages) == MAX_MESSAGES
    flat["messages"] = [user] * MAX_MESSAGES
    with pytest.raises(InvalidRequestError) as caught:
        parse_body(json.dumps(flat), MessagesRequest)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("model", [ChatRequest, MessagesRequest])
@pytest.mark.parametrize(
    "messages", [[{}] * 1000, [{"role": "user", "content": [{}] * 1000}], [{"role": "user", "content": [0] * 1000}]]
)
def test_what_is_wrong_a_thousand_times_is_not_told_a_thousand_times(
    model: type[BaseModel], messages: list[object]
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(json.dumps({"model": "m", "messages": messages}), strict=True)
    assert caught.value.error_count() <= 2


def test_a_limit_is_in_bytes_and_not_in_characters() -> None:
    with pytest.raises(PayloadTooLargeError):
        parse_body("é" * (MAX_BODY_BYTES // 2 + 1), ChatRequest)


class _Kind(StrEnum):
    ONE = "one"


class _Strict(BaseModel):
    kind: _Kind
    at: datetime
    names: tuple[str, ...]


def test_strictness_still_reads_what_json_has_no_type_for() -> None:
    parsed = parse_body('{"kind": "one", "at": "2030-01-01T00:00:00Z", "names": ["a"]}', _Strict)
    assert parsed.kind is _Kind.ONE
    assert parsed.names == ("a",)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse_body(raw, ChatRequest)
    except InvalidRequestError as error:
        assert error.message  # noqa: PT017 - both outcomes are right, and one has something to look at


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(["model", "messages", "stream", "metadata", "response_format", "n"]), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused_at_that_field(field: str, value: object) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]} | {field: value}
    raw = json.dumps(body)
    try:
        parse_body(raw, ChatRequest)
    except InvalidRequestError as error:
        is_whole_body = error.param is None
        assert is_whole_body or str(error.param).startswith(field)  # noqa: PT017 - as above
