"""Answers of a chat as messages, whole and as events: nothing of them is lost, and nothing is made up."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.api.anthropic.chat_request import chat_request
from sluice.api.anthropic.events import message_events
from sluice.api.anthropic.message import AskedMessage, message
from sluice.api.anthropic.request_models import MessageRequest
from sluice.chat import ChatChunk
from sluice.chat_stream import chunks_from_body
from sluice.errors import InvalidAnswerError
from tests.anthropic_messages import chat_answer

type Json = dict[str, Any]

ASKED = AskedMessage(model="small", stop_sequences=("END", "###"))
CALL = {"id": "call_1", "type": "function", "function": {"name": "run", "arguments": '{"a": 1}'}}


def answer(finish_reason: str | None = "stop", *, choice: Json | None = None, **said: Any) -> Json:
    """A `chat.completion`."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": None} | said, "finish_reason": finish_reason}]
    return {"id": "x", "model": "m", "choices": [choices[0] | (choice or {})]}


def chunk(delta: Json, finish_reason: str | None = None, **fields: Any) -> ChatChunk:
    """A chunk of a streamed chat."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return ChatChunk({"id": "x", "model": "m", "choices": choices} | fields)


def call_part(index: int, arguments: str = "", **fields: Any) -> Json:
    """A part of a call, its beginning if it has a name."""
    name = fields.pop("name", None)
    function = {"arguments": arguments} | (
        {
            "name": name,
        }
        if name
        else {}
    )
    begun = {"id": f"call_{index}", "type": "function"} if name else {}
    return {"tool_calls": [{"index": index, "function": function} | begun | fields]}


def put_together(events: Iterator[Any]) -> Json:
    """The message that events spell out, each in its place or not at all."""
    built: Json = {}
    open_index: int | None = None
    inputs = ""
    for event in events:
        match event["type"]:
            case "message_start":
                built = json.loads(json.dumps(event["message"]))
            case "content_block_start":
                assert open_index is None
                open_index = event["index"]
                assert open_index == len(built["content"])
                built["content"].append(dict(event["content_block"]))
                inputs = ""
            case "content_block_delta":
                assert event["index"] == open_index
                delta, block = event["delta"], built["content"][-1]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case _:
                        inputs += delta["partial_json"]
            case "content_block_stop":
                assert event["index"] == open_index
                open_index = None
                if built["content"][-1]["type"] == "tool_use":
                    built["content"][-1]["input"] = json.loads(inputs or "{}")
            case "message_delta":
                assert open_index is None
                built |= event["delta"]
                built["usage"] = event["usage"]
            case "message_stop":
                return built
    raise AssertionError("there is no message_stop")


def _id_of(block: Json) -> str:
    return str(block["id"])


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
calls: Any = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("tool_use"),
            "id": st.uuids().map(str),
            "name": texts,
            "input": st.dictionaries(texts, st.integers() | texts | st.lists(texts, max_size=2), max_size=3),
            "caller": st.just({"type": "direct"}),
        }
    ),
    max_size=3,
    unique_by=_id_of,
)
thoughts = st.lists(
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts})
    | st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    max_size=3,
) | st.just([{"type": "thinking", "thinking": "Hm.", "signature": ""}])
said = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts, "citations": st.none()}), max_size=1)
counts = st.integers(0, 10_000)
endings: Any = st.sampled_from(
    [
        {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
        {"stop_reason": "max_tokens", "stop_sequence": None, "stop_details": None},
        {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None},
        {"stop_reason": "stop_sequence", "stop_sequence": "###", "stop_details": None},
        {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": None},
        },
    ]
)
messages = st.builds(
    lambda ending, usage, thoughts, said, calls: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [*thoughts, *said, *calls],
        **ending,
        "usage": usage,
        "container": None,
    },
    endings,
    st.fixed_dictionaries(
        {
            "input_tokens": st.integers(1, 10_000),
            "cache_creation_input_tokens": counts,
            "cache_read_input_tokens": counts,
            "cache_creation": st.none()
            | st.fixed_dictionaries({"ephemeral_5m_input_tokens": counts, "ephemeral_1h_input_tokens": counts}),
            "output_tokens": st.integers(100, 10_000),
            "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": st.integers(1, 100)}),
            "server_tool_use": st.none(),
            "service_tier": st.sampled_from([None, "standard", "priority", "batch"]),
            "inference_geo": st.sampled_from([None, "eu"]),
        }
    ),
    thoughts,
    said,
    calls,
)


@settings(deadline=None, max_examples=50)
@given(messages)
def test_a_message_there_and_back_is_what_it_was(sent: Json) -> None:
    assert message(chat_answer(sent), ASKED) == sent


@settings(deadline=None, max_examples=50)
@given(messages)
def test_a_streamed_message_there_and_back_is_what_it_was(sent: Json) -> None:
    chunks = chunks_from_body(chat_answer(sent), include_usage=True)
    assert put_together(message_events(chunks, ASKED)) == sent


@pytest.mark.parametrize(
    ("choice", "reason", "sequence"),
    [
        ({}, "end_turn", None),
        ({"stop_reason": "END"}, "stop_sequence", "END"),  # as vLLM says it
        ({"stop_reason": 128009}, "end_turn", None),
        ({"stop_reason": "not asked for"}, "end_turn", None),
        ({"native_finish_reason": "stop_sequence", "stop_sequence": "###"}, "stop_sequence", "###"),
        ({"native_finish_reason": "stop_sequence"}, "end_turn", None),  # which of two is not said
        (
            {"finish_reason": "length", "native_finish_reason": "model_context_window_exceeded"},
            "model_context_window_exceeded",
            None,
        ),
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
        ({"finish_reason": None}, None, None),
    ],
)
def test_an_answer_ends_for_the_reason_that_its_provider_gives(
    choice: Json, reason: str | None, sequence: str | None
) -> None:
    ended = message(answer(content="a", choice=choice), ASKED)
    assert (ended["stop_reason"], ended["stop_sequence"]) == (reason, sequence)


def test_the_only_sequence_is_the_one_that_ended_it() -> None:
    asked = AskedMessage(model="m", stop_sequences=("END",))
    ended = message(answer(content="a", choice={"native_finish_reason": "stop_sequence"}), asked)
    assert (ended["stop_reason"], ended["stop_sequence"]) == ("stop_sequence", "END")


def test_a_refusal_is_shown_and_named() -> None:
    whole = message(answer(refusal="I won't."), ASKED)
    assert whole["content"] == [{"type": "text", "text": "I won't.", "citations": None}]
    assert whole["stop_reason"] == "refusal"
    streamed = put_together(message_events([chunk({"refusal": "I won't."}), chunk({}, "stop")], ASKED))
    assert (streamed["content"], streamed["stop_reason"]) == (whole["content"], "refusal")


@pytest.mark.parametrize("arguments", ["{", "[1]", '"text"', "{}{}", '{"a": NaN}', "[" * 5_000 + "]" * 5_000])
def test_arguments_that_are_no_object_are_an_error_and_no_input(arguments: str) -> None:
    call = {**CALL, "function": {"name": "run", "arguments": arguments}}
    with pytest.raises(InvalidAnswerError):
        message(answer("tool_calls", tool_calls=[call]), ASKED)
    events = message_events([chunk(call_part(0, arguments, name="run")), chunk({}, "tool_calls")], ASKED)
    with pytest.raises(InvalidAnswerError):
        list(events)


@pytest.mark.parametrize(("finish_reason", "stop_reason"), [("length", "max_tokens"), ("content_filter", "refusal")])
def test_a_call_that_is_cut_ends_as_the_answer_does_and_is_not_in_a_whole_one(
    finish_reason: str, stop_reason: str
) -> None:
    cut = {"id": "call_2", "type": "function", "function": {"name": "run", "arguments": '{"a'}}
    whole = message(answer(finish_reason, tool_calls=[CALL, cut]), ASKED)
    assert [block["id"] for block in whole["content"] if block["type"] == "tool_use"] == ["call_1"]
    assert whole["stop_reason"] == stop_reason
    parts = [chunk(call_part(0, "{}", name="run")), chunk(call_part(1, '{"a', name="run")), chunk({}, finish_reason)]
    events: list[Any] = list(message_events(parts, ASKED))
    assert [each["delta"]["partial_json"] for each in events if "partial_json" in each.get("delta", {})] == [
        "{}",
        '{"a',
    ]
    assert [each["type"] for each in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == stop_reason


def test_a_call_of_the_form_before_tools_is_the_same_whole_and_streamed() -> None:
    called = {"name": "run", "arguments": '{"a": 1}'}
    whole = message(answer("function_call", function_call=called), ASKED)
    parts = [
        chunk({"role": "assistant", "function_call": {"name": "run", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a"'}}),
        chunk({"function_call": {"arguments": ": 1}"}}),
        chunk({}, "function_call"),
    ]
    streamed = put_together(message_events(parts, ASKED))
    assert streamed["content"] == whole["content"]
    assert [block["type"] for block in whole["content"]] == ["tool_use"]
    assert streamed["stop_reason"] == whole["stop_reason"] == "tool_use"


@pytest.mark.parametrize("chunks", [[], [ChatChunk({"id": "", "choices": [], "usage": None})]])
def test_a_stream_in_which_nothing_is_said_has_a_beginning_all_the_same(chunks: list[ChatChunk]) -> None:
    kinds = [event["type"] for event in message_events(chunks, ASKED)]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]


def test_a_message_has_the_id_that_its_provider_gives_it_wherever_that_is() -> None:
    azure = ChatChunk({"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [{}]})
    streamed = put_together(message_events([azure, chunk({"content": "Hi."}), chunk({}, "stop")], ASKED))
    assert (streamed["id"], streamed["model"]) == ("msg_x", "m")


def test_a_message_of_a_provider_without_ids_has_its_own() -> None:
    asked = AskedMessage(model="small", id="req_1")
    whole = answer(content="Hi.") | {"id": None}
    streamed = [chunk({"content": "Hi."}, id=None), chunk({}, "stop", id=None)]
    assert message(whole, asked)["id"] == put_together(message_events(streamed, asked))["id"] == "msg_req_1"


def test_a_call_without_arguments_has_an_empty_input() -> None:
    call = {**CALL, "function": {"name": "now", "arguments": ""}}
    [block] = message(answer("tool_calls", tool_calls=[call]), ASKED)["content"]
    called = {"type": "tool_use", "id": "call_1", "name": "now", "input": {}, "caller": {"type": "direct"}}
    assert block == called
    parts = [chunk(call_part(0, name="now")), chunk(call_part(1, name="now")), chunk({}, "tool_calls")]
    assert [each["input"] for each in put_together(message_events(parts, ASKED))["content"]] == [{}, {}]


def test_calls_whose_parts_come_by_turns_are_told_one_after_the_other() -> None:
    parts = [
        chunk({"content": "Two calls."}),
        chunk(call_part(0, '{"a"', name="one")),
        chunk(call_part(1, '{"b"', name="two")),
        chunk(call_part(0, ": 1}")),
        chunk(call_part(1, ": 2}")),
        chunk({"content": " Done."}),
        chunk({}, "tool_calls"),
    ]
    content = put_together(message_events(parts, ASKED))["content"]
    assert [each.get("input", each.get("text")) for each in content] == ["Two calls.", {"a": 1}, {"b": 2}, " Done."]


def test_a_call_is_streamed_as_it_comes() -> None:
    parts = [chunk(call_part(0, '{"a"', name="one")), chunk(call_part(0, ": 1}")), chunk({}, "tool_calls")]
    deltas = [each["delta"] for each in message_events(parts, ASKED) if each["type"] == "content_block_delta"]
    assert deltas == [
        {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ": 1}"},
    ]


def test_what_is_thought_is_a_block_and_said_once() -> None:
    parts = [
        chunk(
            {
                "reasoning_content": "Two and ",
                "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "Two and "}],
            }
        ),
        chunk({"reasoning_content": "two.", "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "two."}]}),
        chunk({"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "", "signature": "s1"}]}),
        chunk({"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "d"}]}),
        chunk({"content": "Four."}, "stop"),
    ]
    assert put_together(message_events(parts, ASKED))["content"] == [
        {"type": "thinking", "thinking": "Two and two.", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Four.", "citations": None},
    ]


SIGNED = {"extra_content": {"google": {"thought_signature": "s1"}}}


@pytest.mark.parametrize("is_late", [False, True])
def test_what_has_to_go_back_with_a_call_comes_as_a_block_and_goes_back(is_late: bool) -> None:
    first, rest = call_part(0, '{"a"', name="one"), call_part(0, ": 1}")
    (rest if is_late else first)["tool_calls"][0].update(SIGNED)
    second = call_part(1, "{}", name="two")
    parts = [chunk({"content": "Two."}), *map(chunk, (first, second, rest)), chunk({}, "tool_calls")]
    streamed = put_together(message_events(parts, ASKED))["content"]
    kinds = [block["type"] for block in streamed]
    signature = ["redacted_thinking"]
    assert kinds == ["text", *signature * (not is_late), "tool_use", "tool_use", *signature * is_late]
    calls = [{**CALL, "id": "call_0", **SIGNED}, {**CALL, "id": "call_1"}]
    whole = message(answer("tool_calls", content="Two.", tool_calls=calls), ASKED)["content"]
    for content in (streamed, [{**block} for block in whole]):
        results = [
            {"type": "tool_result", "tool_use_id": block["id"]} for block in content if block["type"] == "tool_use"
        ]
        turns = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        asked = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}, *turns]}
        sent = chat_request(MessageRequest.model_validate(asked)).model_dump(exclude_unset=True)["messages"][1]
        assert [call.get("extra_content") for call in sent["tool_calls"]] == [SIGNED["extra_content"], None]
        assert "thinking_blocks" not in sent


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_what_is_thought_without_a_signature_has_an_empty_one(name: str) -> None:
    parts = [chunk({name: "Hm"}), chunk({name: "."}), chunk({"content": "Four."}, "stop")]
    streamed = put_together(message_events(parts, ASKED))
    said: Json = {name: "Hm.", "content": "Four."}
    whole = message(answer(**said), ASKED)
    assert streamed["content"] == whole["content"]
    assert whole["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": ""}


@pytest.mark.parametrize("name", ["audio", "images", "content_parts"])
def test_what_a_message_cannot_hold_is_an_error_and_not_left_out(name: str) -> None:
    said: Json = {name: [{"type": "image"}], "content": "See:"}
    with pytest.raises(InvalidAnswerError):
        message(answer(**said), ASKED)
    with pytest.raises(InvalidAnswerError):
        list(message_events([chunk(said, "stop")], ASKED))


def test_what_is_cited_is_with_the_text() -> None:
    cited = [{"type": "char_location", "cited_text": "a", "document_index": 0}]
    expected = [{"type": "text", "text": "It says a.", "citations": cited}]
    assert message(answer(content="It says a.", citations=cited), ASKED)["content"] == expected
    parts = [chunk({"content": "It says a."}), chunk({"citations": cited}), chunk({}, "stop")]
    deltas = [each["delta"] for each in message_events(parts, ASKED) if each["type"] == "content_block_delta"]
    assert deltas[1:] == [{"type": "citations_delta", "citation": cited[0]}]


def test_usage_without_a_count_is_zero_and_groq_s_own_is_found() -> None:
    assert set(message(answer(content="a"), ASKED)["usage"].values()) == {0, None}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    parts = [chunk({"content": "a"}), chunk({}, "stop", x_groq={"id": "r", "usage": usage})]
    streamed = put_together(message_events(parts, ASKED))
    assert streamed["usage"]["input_tokens"] == 7
    assert streamed["usage"]["output_tokens"] == 2


@pytest.mark.parametrize("places", [[3], [1, 4], [6, 7], [8, 9], list(range(20))])
def test_where_the_parts_of_a_call_are_cut_makes_no_difference(places: list[int]) -> None:
    arguments = '{"a\\"}": "\\\\"}'
    edges = [0, *(place for place in places if 0 < place < len(arguments)), len(arguments)]
    parts = [arguments[start:end] for start, end in pairwise(edges)]
    begun = chunk(call_part(0, name="one"))
    given = [
        begun,
        *(chunk(call_part(0, part)) for part in parts),
        chunk({"content": "Done."}),
        chunk({}, "tool_calls"),
    ]
    content = put_together(message_events(given, ASKED))["content"]
    assert [each.get("input", each.get("text")) for each in content] == [json.loads(arguments), "Done."]


def test_a_call_without_a_name_or_after_its_end_is_an_error() -> None:
    with pytest.raises(InvalidAnswerError):
        message(
            answer("tool_calls", tool_calls=[{"id": "a", "type": "custom", "custom": {"name": "x", "input": ""}}]),
            ASKED,
        )
    with pytest.raises(InvalidAnswerError):
        list(message_events([chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]})], ASKED))
    parts = [chunk(call_part(0, "{}", name="one")), chunk({"content": "a"}), chunk(call_part(0, '{"b": 1}'))]
    with pytest.raises(InvalidAnswerError):
        list(message_events(parts, ASKED))


def test_a_call_whose_name_comes_after_its_id_begins_with_it() -> None:
    parts = [
        chunk({"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": {"arguments": ""}}]}),
        chunk({"content": "So."}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "run", "arguments": ": 1"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        chunk({}, "tool_calls"),
    ]
    text, called = put_together(message_events(parts, ASKED))["content"]
    assert text["text"] == "So."
    assert (called["id"], called["name"], called["input"]) == ("call_0", "run", {"a": 1})


def test_a_stream_of_many_calls_by_turns_takes_no_longer_than_its_length() -> None:
    begun = [chunk(call_part(index, "", name="run")) for index in range(2_000)]
    parts = [chunk(call_part(index, piece)) for piece in ("{", "}") for index in range(2_000)]
    assert len(put_together(message_events([*begun, *parts, chunk({}, "tool_calls")], ASKED))["content"]) == 2_000


def test_edits_of_the_context_are_answered_with_none() -> None:
    asked = AskedMessage(model="m", manages_context=True)
    assert message(answer(content="a"), asked)["context_management"] == {"applied_edits": []}
    events = message_events([chunk({"content": "a"}, "stop")], asked)
    [ended] = [each for each in events if each["type"] == "message_delta"]
    assert ended["context_management"] == {"applied_edits": []}
