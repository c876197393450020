"""Two tool calls stay two tool calls, however their provider tells them apart."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import ChatChunk
from sluice.chat_stream import assemble
from sluice.providers.decoding import UnreadableError
from sluice.providers.tool_calls import CallTracker, new_id, whole_calls

type Json = dict[str, Any]

PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'


def numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"made{next(numbers)}"


def call(name: str | None = "weather", arguments: Any = None, **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {key: value for key, value in function.items() if value is not None}}


def put_together(*deltas: Any) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of each call that the deltas spell out."""
    tracker = CallTracker(numbered())
    chunks = [ChatChunk({"choices": [{"index": 0, "delta": {"tool_calls": tracker.parts(delta)}}]}) for delta in deltas]
    for chunk in chunks:
        # OpenAI's own client joins whatever is a text, so these may come once only.
        json.dumps(chunk.body)
    seen: dict[tuple[int, str], int] = {}
    for chunk in chunks:
        for part in chunk.body["choices"][0]["delta"]["tool_calls"]:
            for name in ("id", "type"):
                seen[part["index"], name] = seen.get((part["index"], name), 0) + (name in part)
    assert set(seen.values()) <= {1}
    calls = assemble(chunks)["choices"][0]["message"]["tool_calls"]
    return [(each["id"], each["function"]["name"], each["function"].get("arguments", "")) for each in calls]


TWO = [("a", "weather", PARIS), ("b", "weather", ROME)]
MADE = [("made1", "weather", PARIS), ("made2", "weather", ROME)]
STREAMS: dict[str, tuple[list[Any], list[tuple[str, str, str]]]] = {
    "OpenAI": (
        [
            [call(arguments="", index=0, id="a", type="function")],
            [call(None, '{"city": ', index=0)],
            [call(None, '"Paris"}', index=0)],
            [call(arguments="", index=1, id="b", type="function")],
            [call(None, ROME, index=1)],
        ],
        TWO,
    ),
    "Gemini, no index, one call a chunk": ([[call(arguments=PARIS, id="a")], [call(arguments=ROME, id="b")]], TWO),
    "Gemini, no index, all in one chunk": ([[call(arguments=PARIS, id="a"), call(arguments=ROME, id="b")]], TWO),
    "no index, arguments in parts that have neither": (
        [[call(arguments='{"city": ', id="a")], [call(None, '"Paris"}')], [call(arguments=ROME, id="b")]],
        TWO,
    ),
    "Ollama, index 0 for all": (
        [[call(arguments=PARIS, index=0, id="a")], [call(arguments=ROME, index=0, id="b")]],
        TWO,
    ),
    "index 0 for all in one chunk": (
        [[call(arguments=PARIS, index=0, id="a"), call(arguments=ROME, index=0, id="b")]],
        TWO,
    ),
    "index 0 for all and no ids": ([[call(arguments=PARIS, index=0)], [call(arguments=ROME, index=0)]], MADE),
    "neither index nor id": ([[call(arguments=PARIS)], [call(arguments=ROME)]], MADE),
    "neither index nor id, all in one chunk": ([[call(arguments=PARIS), call(arguments=ROME)]], MADE),
    "empty ids": ([[call(arguments=PARIS, id="", index=0)], [call(arguments=ROME, id="", index=1)]], MADE),
    "null ids, indexes and types": (
        [[call(arguments=PARIS, id=None, index=None, type=None)], [call(arguments=ROME, id=None, index=None)]],
        MADE,
    ),
    "the id in every part": (
        [
            [call(arguments='{"city": ', index=0, id="a")],
            [call(None, '"Paris"}', index=0, id="a")],
            [call(arguments=ROME, index=1, id="b")],
        ],
        TWO,
    ),
    "id and name in every part": (
        [
            [call(arguments='{"city": ', index=0, id="a")],
            [call(arguments='"Paris"}', index=0, id="a")],
            [call(arguments=ROME, index=1, id="b")],
        ],
        TWO,
    ),
    "the name in every part, no id": (
        [
            [call(arguments='{"city": ', index=0)],
            [call(arguments='"Paris"}', index=0)],
            [call(arguments='{"city"', index=1)],
            [call(arguments=': "Rome"}', index=1)],
        ],
        MADE,
    ),
    "vLLM, another id in every part": (
        [
            [call(arguments="", index=0, id="a", type="function")],
            [call(None, PARIS[:5], index=0, id="x1", type="function")],
            [call(None, PARIS[5:], index=0, id="x2", type="function")],
            [call(arguments="", index=1, id="b", type="function")],
            [call(None, ROME, index=1, id="x3", type="function")],
        ],
        TWO,
    ),
    "interleaved by index": (
        [
            [call(arguments="", index=0, id="a"), call(arguments="", index=1, id="b")],
            [call(None, PARIS[:4], index=0), call(None, ROME[:4], index=1)],
            [call(None, PARIS[4:], index=0), call(None, ROME[4:], index=1)],
        ],
        TWO,
    ),
    "interleaved by position": (
        [
            [call(arguments="", id="a"), call(arguments="", id="b")],
            [call(None, PARIS), call(None, ROME)],
        ],
        TWO,
    ),
    "interleaved by id": (
        [
            [call(arguments="", id="a")],
            [call(arguments="", id="b")],
            [call(None, PARIS, id="a")],
            [call(None, ROME, id="b")],
        ],
        TWO,
    ),
    "indexes from 1 on": ([[call(arguments=PARIS, index=1, id="a")], [call(arguments=ROME, index=2, id="b")]], TWO),
    "indexes as texts and floats": (
        [[call(arguments=PARIS, index="0", id="a")], [call(arguments=ROME, index=1.0, id="b")]],
        TWO,
    ),
    "indexes that can't be": (
        [[call(arguments=PARIS, index=-1, id="a")], [call(arguments=ROME, index=True, id="b")]],
        TWO,
    ),
    "TGI, an object in place of the list": (
        [call(arguments='{"city": ', index=0, id="a"), call(None, '"Paris"}', index=0)],
        [("a", "weather", PARIS)],
    ),
    "calls by their number": ([{"0": call(arguments=PARIS, id="a"), "1": call(arguments=ROME, id="b")}], TWO),
    "arguments as an object": (
        [[call(arguments={"city": "Paris"}, index=0, id="a")], [call(arguments={"city": "Rome"}, index=1, id="b")]],
        TWO,
    ),
    "null arguments": (
        [[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": None}}], [call(None, PARIS, index=0)]],
        TWO[:1],
    ),
    "name and arguments without a function": (
        [[{"index": 0, "id": "a", "name": "weather", "arguments": PARIS}]],
        TWO[:1],
    ),
    "the name as the function": ([[{"id": "a", "function": "weather", "arguments": PARIS}]], TWO[:1]),
    "parameters in place of arguments": (
        [[{"id": "a", "function": {"name": "weather", "parameters": {"city": "Paris"}}}]],
        TWO[:1],
    ),
    "nulls among the calls": ([[None, call(arguments=PARIS, id="a"), {}]], TWO[:1]),
    "two functions at index 0, no ids": (
        [[call("weather", "", index=0)], [call("time", "", index=0)]],
        [("made1", "weather", ""), ("made2", "time", "")],
    ),
    "a number for an id": ([[call(arguments=PARIS, id=7, index=0)]], [("7", "weather", PARIS)]),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_streamed_calls_are_told_apart(stream: str) -> None:
    deltas, expected = STREAMS[stream]
    assert put_together(*deltas) == expected


def test_what_belongs_to_a_call_stays_with_it() -> None:
    signature = {"extra_content": {"google": {"thought_signature": "s"}}}
    tracker = CallTracker(numbered())
    [first] = tracker.parts([call(arguments=PARIS, id="a") | signature])
    [more] = tracker.parts([{"extra_content": {"google": {"more": 1}}}])
    assert first["extra_content"] == signature["extra_content"]
    assert more == {"index": 0, "extra_content": {"google": {"more": 1}}}


def test_custom_calls_are_told_apart_too() -> None:
    tracker = CallTracker(numbered())
    [first] = tracker.parts([{"id": "a", "type": "custom", "custom": {"name": "sql", "input": ""}}])
    [more] = tracker.parts([{"index": 0, "custom": {"name": "sql", "input": "select"}}])
    assert first == {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": ""}}
    assert more == {"index": 0, "custom": {"input": "select"}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([call(arguments=PARIS, id="a"), call(arguments=ROME, id="b")], TWO),
        ([call(arguments=PARIS, index=0), call(arguments=ROME, index=0)], MADE),
        ([call(arguments=PARIS, id="a"), call(arguments=ROME, id="a")], [TWO[0], ("made1", "weather", ROME)]),
        ([call(arguments={"city": "Paris"}, id="a")], TWO[:1]),
        (call(arguments=PARIS, id="a"), TWO[:1]),
        ([{"id": "a", "function": {"name": "weather", "arguments": None}}], [("a", "weather", "{}")]),
        ([{"id": "a", "function": {"name": "weather"}}], [("a", "weather", "{}")]),
        ([], []),
        ({}, []),
        ([None], []),
    ],
)
def test_whole_calls_have_ids_and_arguments_that_are_texts(value: Any, expected: list[Any]) -> None:
    calls = whole_calls(value, numbered())
    assert [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in calls] == expected
    assert all(each["type"] == "function" and "index" not in each for each in calls)


@pytest.mark.parametrize(
    "value", ["f", 1, ["f"], [1], [{"function": 1}], [{"function": {"name": 1}}], [{"id": "a", "custom": 1}]]
)
def test_what_is_no_call_is_refused(value: Any) -> None:
    with pytest.raises(UnreadableError):
        whole_calls(value)
    with pytest.raises(UnreadableError):
        CallTracker().parts(value)


def test_ids_are_made_as_the_strictest_provider_takes_them() -> None:
    made = {new_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 9 and each.isalnum() and each.isascii() for each in made)


@given(
    arguments=st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=2), min_size=1, max_size=4),
    has_id=st.booleans(),
    has_index=st.booleans(),
    data=st.data(),
)
def test_calls_one_after_the_other_stay_apart_wherever_their_arguments_are_cut(
    arguments: list[dict[str, int]], has_id: bool, has_index: bool, data: st.DataObject
) -> None:
    deltas = []
    for number, value in enumerate(arguments):
        text = json.dumps(value)
        at = data.draw(st.integers(0, len(text) - 1))
        more: Json = ({"id": f"call{number}"} if has_id else {}) | ({"index": number} if has_index else {})
        index: Json = {"index": number} if has_index else {}
        deltas += [[call(f"f{number}", text[:at], **more)], [call(None, text[at:], **index)]]
    found = put_together(*deltas)
    assert [(name, json.loads(text)) for _, name, text in found] == [
        (f"f{number}", value) for number, value in enumerate(arguments)
    ]
