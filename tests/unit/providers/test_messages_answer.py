"""Answers of Anthropic's Messages API in OpenAI's shape, whole and streamed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import ChatChunk, Usage
from sluice.chat_stream import assemble
from sluice.providers.answer_shape import StreamNormalizer, normalized_answer
from sluice.providers.decoding import Decoded, UnreadableError
from sluice.providers.messages_answer import MessagesDialect, usage_of

type Json = dict[str, Any]

DIALECT = MessagesDialect(1_700_000_000)


def message(*content: Json, reason: str | None = "end_turn", usage: Any = None, **more: Any) -> Json:
    counted = {"input_tokens": 10, "output_tokens": 5} if usage is None else usage
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": counted,
        **more,
    }


def events_of(whole: Json, cuts: tuple[int, ...] = (1,)) -> list[Json]:
    """The events that Anthropic would stream a message by, each text cut into pieces of these sizes."""
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(whole["content"]):
        deltas: list[Json] = []
        start = dict(block)
        match block["type"]:
            case "text":
                start["text"] = ""
                deltas = [{"type": "text_delta", "text": part} for part in pieces(block["text"], cuts)]
            case "thinking":
                start |= {"thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": part} for part in pieces(block["thinking"], cuts)]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            case "tool_use":
                start["input"] = {}
                said = json.dumps(block["input"], ensure_ascii=False)
                parts = [] if said == "{}" else ["", *pieces(said, cuts)]
                deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events += [{"type": "content_block_stop", "index": index}, {"type": "ping"}]
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    events.append(
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": whole["usage"]["output_tokens"]}}
    )
    return [*events, {"type": "message_stop"}]


def pieces(text: str, cuts: tuple[int, ...]) -> list[str]:
    found = []
    for size in cuts:
        found.append(text[:size])
        text = text[size:]
    return [piece for piece in (*found, text) if piece]


def streamed(*events: Json) -> list[Json]:
    """The chunks as the rest of the gateway sees them."""
    normalizer = StreamNormalizer()
    objects = DIALECT.translated(Decoded(event) for event in events)
    bodies = (normalizer.chunk(decoded.body) for decoded in objects if decoded.body is not None)
    return [body for body in bodies if body is not None]


def whole(body: Json) -> Json:
    answer: Json = normalized_answer(DIALECT.answer(body))
    return answer


THOUGHT = {"type": "thinking", "thinking": "So it is.", "signature": "s"}
REDACTED = {"type": "redacted_thinking", "data": "d"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Paris"}}


def test_a_whole_answer_has_all_of_it() -> None:
    body = whole(message(THOUGHT, REDACTED, {"type": "text", "text": "Wait."}, USE, reason="tool_use"))
    assert body == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "claude",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Wait.",
                    "tool_calls": [
                        {
                            "id": "toolu_1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"city": "Paris"}'},
                        }
                    ],
                    "reasoning_content": "So it is.",
                    "thinking_blocks": [THOUGHT, REDACTED],
                },
                "finish_reason": "tool_calls",
                "native_finish_reason": "tool_use",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        },
    }


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("something_new", None),
        (None, None),
    ],
)
def test_each_end_has_its_word(reason: str | None, ending: str | None) -> None:
    said = message({"type": "text", "text": "a"}, reason=reason)
    assert whole(said)["choices"][0]["finish_reason"] == ending
    endings = [choice["finish_reason"] for chunk in streamed(*events_of(said)) for choice in chunk["choices"]]
    assert endings[-1] == ending


texts = st.text(max_size=20)
blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s" + text}, texts),
    st.just(REDACTED),
    st.builds(
        lambda number, given: {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": given},
        st.integers(0, 10**9),
        st.dictionaries(texts, texts | st.integers() | st.none(), max_size=2),
    ),
)


@given(
    st.lists(blocks, max_size=5, unique_by=lambda block: block.get("id", json.dumps(block))),
    st.lists(st.integers(1, 7), max_size=4),
)
def test_a_stream_says_what_the_whole_answer_says(content: list[Json], cuts: list[int]) -> None:
    said = message(*content, reason="end_turn")
    assembled = assemble(ChatChunk(chunk) for chunk in streamed(*events_of(said, tuple(cuts))))
    expected = whole(said)
    ours, theirs = assembled["choices"][0]["message"], expected["choices"][0]["message"]
    assert {name: value for name, value in ours.items() if value} == {
        name: value for name, value in theirs.items() if value
    }
    assert assembled["usage"] == expected["usage"]
    assert assembled["choices"][0]["finish_reason"] == expected["choices"][0]["finish_reason"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    said = message({**USE, "input": {}}, reason="tool_use")
    [call] = assemble(ChatChunk(chunk) for chunk in streamed(*events_of(said)))["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == "{}"


def test_arguments_that_come_at_once_with_their_call_are_kept() -> None:
    events = [event for event in events_of(message(USE, reason="tool_use")) if event["type"] != "content_block_delta"]
    events[1]["content_block"]["input"] = USE["input"]
    [call] = assemble(ChatChunk(chunk) for chunk in streamed(*events))["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == USE["input"]


def test_the_sequence_that_ended_an_answer_is_kept() -> None:
    said = message({"type": "text", "text": "a"}, reason="stop_sequence", stop_sequence="END")
    assert whole(said)["choices"][0]["stop_sequence"] == "END"
    assert assemble(ChatChunk(chunk) for chunk in streamed(*events_of(said)))["choices"][0]["stop_sequence"] == "END"


def test_what_was_cached_and_what_was_taken_in_are_part_of_the_prompt() -> None:
    counted = usage_of(
        {
            "input_tokens": 3,
            "output_tokens": 4,
            "cache_read_input_tokens": 50,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 2},
        }
    )
    assert counted is not None
    assert counted["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert Usage.from_body({"usage": counted}) == Usage(73, 4, 50, 20, 5)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": 3},
        {"input_tokens": -1, "output_tokens": 4},
        {"input_tokens": 3, "output_tokens": "four"},
        {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": -7},
        {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": True},
        [3, 4],
        None,
    ],
)
def test_counts_that_can_not_be_are_none(usage: Any) -> None:
    assert usage_of(usage) is None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start"},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_start", "index": -1, "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": 0, "delta": "a"},
        {"type": "content_block_delta", "index": None, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 42}},
        {"type": "message_delta", "delta": None},
    ],
)
def test_an_event_of_wrong_types_is_unreadable(event: Json) -> None:
    with pytest.raises(UnreadableError):
        streamed(event)


def test_an_event_that_nobody_knows_says_nothing() -> None:
    said = message({"type": "text", "text": "a"})
    [start, *rest] = events_of(said)
    unknown: list[Json] = [
        {"type": "progress", "percent": 50},
        {},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "new_delta"}},
    ]
    assert streamed(start, *unknown, *rest) == streamed(start, *rest)


def test_blocks_that_nobody_knows_are_kept_beside_the_text() -> None:
    used = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}
    cited = {"type": "text", "text": "a", "citations": [{"type": "page_location"}]}
    found = whole(message(cited, used))["choices"][0]["message"]
    assert (found["content_parts"], found["citations"]) == ([used], [{"type": "page_location"}])


def test_what_is_no_message_is_left_to_who_reads_it() -> None:
    for body in ({"type": "error", "error": {"type": "api_error"}}, [1], "a", None, {"content": "a"}, {}):
        assert DIALECT.answer(body) is body
    with pytest.raises(UnreadableError):
        DIALECT.answer(message("a"))  # type: ignore[arg-type]
