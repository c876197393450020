"""JSON mode, chunk by chunk and whole: what comes out is what was asked for, and the same either way."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.chat import ChatChunk, JsonObject, ResponseFormat
from sluice.chat_stream import assemble
from sluice.guards.structured_output import InvalidJsonAnswerError
from sluice.guards.structured_stream import StructuredStream, structured_message

OBJECT = ResponseFormat(type="json_object")
NAMED = ResponseFormat(
    type="json_schema", json_schema={"name": "named", "schema": {"type": "object", "required": ["name"]}}
)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chunk(delta: JsonObject, *, index: int = 0, finish: str | None = None) -> ChatChunk:
    return ChatChunk({"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def cut(text: str, where: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in where)})
    return [text[start:end] for start, end in pairwise(edges)]


def streamed(chunks: list[ChatChunk], response_format: ResponseFormat | None = OBJECT) -> JsonObject:
    stream = StructuredStream(response_format)
    released = [*(stream.release(each) for each in chunks), *stream.rest()]
    message: JsonObject = assemble(released)["choices"][0]["message"]
    return message


places = st.lists(st.integers(0, 200), max_size=8)


@settings(deadline=None)
@given(
    text=st.sampled_from(
        [
            '{"name": "Ada"}',
            '```json\n{"name": "Ada",}\n```',
            "<think>Who?</think>{'name': 'Ada'}",
            'Here you are: {"name": "Ada"}',
            '{"name": "A',
            "I can't.",
            " \n",
            "",
        ]
    ),
    finish=st.sampled_from(["stop", "length", "content_filter", "tool_calls", None, "", "eos"]),
    extra=st.sampled_from([{}, {"tool_calls": [CALL]}, {"refusal": "No."}, {"reasoning_content": "Hm. "}]),
    where=places,
    is_last_alone=st.booleans(),
)
def test_a_stream_says_what_the_whole_answer_says(
    text: str, finish: str | None, extra: JsonObject, where: list[int], is_last_alone: bool
) -> None:
    chunks = [chunk({"role": "assistant", **extra}), *(chunk({"content": piece}) for piece in cut(text, where))]
    if is_last_alone:
        chunks.append(chunk({}, finish=finish))
    else:
        chunks[-1].body["choices"][0]["finish_reason"] = finish
    whole = {"role": "assistant", "content": text, **extra}
    try:
        expected = structured_message(whole, finish, OBJECT)
    except InvalidJsonAnswerError:
        with pytest.raises(InvalidJsonAnswerError):
            streamed(chunks)
        return
    said = streamed(chunks)
    assert (said["content"] or "") == (expected["content"] or "")
    assert said.get("reasoning_content") == expected.get("reasoning_content")


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_message_without_content_is_no_answer(content: str | None) -> None:
    with pytest.raises(InvalidJsonAnswerError, match="there is no answer"):
        structured_message({"role": "assistant", "content": content}, "stop", OBJECT)
    with pytest.raises(InvalidJsonAnswerError, match="there is no answer"):
        streamed([chunk({"role": "assistant", "content": content}), chunk({}, finish="stop")])


@pytest.mark.parametrize("other", [{"tool_calls": [CALL]}, {"function_call": {"name": "f"}}, {"refusal": "I won't."}])
def test_tool_calls_and_refusals_are_answers(other: JsonObject) -> None:
    message = {"role": "assistant", "content": None, **other}
    assert structured_message(message, "stop", OBJECT) is message
    assert streamed([chunk(message), chunk({}, finish="stop")])["content"] is None


def test_json_that_was_cut_off_is_passed_on_as_it_came() -> None:
    for text in ('{"name": "Ad', '{"name": "Ada", ', '{"name": tr', '["a", "b\\u00', "So: [1, 2"):
        message = {"role": "assistant", "content": text}
        assert structured_message(message, "length", NAMED) is message
        assert streamed([chunk({"content": piece}) for piece in text] + [chunk({}, finish="length")], NAMED) == message


def test_a_schema_is_held_at_the_end_of_the_stream() -> None:
    with pytest.raises(InvalidJsonAnswerError, match="required"):
        streamed([chunk({"content": '{"nom": 1}'}), chunk({}, finish="stop")], NAMED)
    assert streamed([chunk({"content": '{"name": 1}'})], NAMED)["content"] == '{"name": 1}'
    with pytest.raises(InvalidJsonAnswerError, match="required"):
        streamed([chunk({"content": '{"nom": 1}'})], NAMED)


def test_choices_are_read_each_by_itself() -> None:
    chunks = [chunk({"content": '```\n{"a"'}), chunk({"content": "{'b'"}, index=1)]
    chunks += [chunk({"content": ": 1}\n"}), chunk({"content": ": 2}"}, index=1)]
    chunks += [chunk({}, index=index, finish="stop") for index in (0, 1)]
    stream = StructuredStream(OBJECT)
    choices = assemble([stream.release(each) for each in chunks])["choices"]
    assert [json.loads(choice["message"]["content"]) for choice in choices] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("response_format", [None, ResponseFormat(type="text")])
def test_other_answers_are_passed_on_as_they_are(response_format: ResponseFormat | None) -> None:
    stream = StructuredStream(response_format)
    one = chunk({"content": "<think>no</think>"})
    assert stream.release(one) is one
    assert list(stream.rest()) == []
    message: dict[str, Any] = {"content": None}
    assert structured_message(message, "stop", response_format) is message


def test_content_in_parts_is_read() -> None:
    parts = [{"type": "text", "text": '```\n{"a"'}, {"type": "text", "text": ": 1}\n```"}]
    assert structured_message({"content": parts}, "stop", OBJECT)["content"] == '{"a": 1}'
    assert streamed([chunk({"content": [part]}) for part in parts])["content"] == '{"a": 1}'
