import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sluice.chat import ChatChunk
from sluice.chat_stream import assemble, chunks_from_body

texts = st.text(max_size=12)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
        },
        optional={"extra_content": st.dictionaries(texts, texts, max_size=2)},
    ),
    max_size=3,
)
token_logprobs = st.lists(
    st.fixed_dictionaries(
        {"token": texts, "logprob": st.floats(-9, 0), "bytes": st.none(), "top_logprobs": st.just([])}
    ),
    max_size=3,
)
message_objects = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | texts},
    optional={
        "refusal": st.none() | texts,
        "tool_calls": calls,
        "reasoning": texts,
        "thinking_blocks": st.lists(
            st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}), max_size=2
        ),
        "annotations": st.just([]),
        "function_call": st.fixed_dictionaries({"name": texts, "arguments": texts}),
        "audio": st.none() | st.fixed_dictionaries({"id": texts, "data": texts, "expires_at": st.integers(0, 9)}),
    },
)
choice_objects = st.fixed_dictionaries(
    {"message": message_objects, "finish_reason": st.sampled_from(["stop", "length", "tool_calls"])},
    optional={
        "logprobs": st.none()
        | st.fixed_dictionaries({"content": st.none() | token_logprobs, "refusal": st.none() | token_logprobs}),
        "stop_reason": st.none() | texts,
    },
)
completions = st.fixed_dictionaries(
    {
        "id": texts,
        "object": st.just("chat.completion"),
        "created": st.integers(0, 2**31),
        "model": texts,
        "choices": st.lists(choice_objects, min_size=1, max_size=3).map(
            lambda choices: [{"index": index, **choice} for index, choice in enumerate(choices)]
        ),
    },
    optional={
        "usage": st.fixed_dictionaries({"prompt_tokens": st.integers(0, 9), "completion_tokens": st.integers(0, 9)}),
        "system_fingerprint": st.none() | texts,
        "service_tier": st.just("default"),
        "x_groq": st.fixed_dictionaries({"id": texts}),
        "citations": st.lists(texts, max_size=2),
    },
)


@given(body=completions)
def test_chunks_of_an_answer_assemble_to_that_answer(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    assert assemble(chunks_from_body(body, include_usage=True)) == before
    assert body == before


@given(body=completions)
def test_without_usage_only_usage_is_missing(body: dict[str, Any]) -> None:
    chunks = chunks_from_body(body, include_usage=False)
    assert all("usage" not in chunk.body for chunk in chunks)
    assert assemble(chunks) == {name: value for name, value in body.items() if name != "usage"}


@given(body=completions, data=st.data())
def test_text_cut_anywhere_assembles_to_the_whole(body: dict[str, Any], data: st.DataObject) -> None:
    chunks: list[ChatChunk] = []
    for chunk in chunks_from_body(body, include_usage=True):
        chunks += _cut(chunk, data)
    assert assemble(chunks) == body


def _cut(chunk: ChatChunk, data: st.DataObject) -> list[ChatChunk]:
    """Deliver the text and the tool arguments of a chunk in two parts."""
    if not chunk.body["choices"]:
        return [chunk]
    [choice] = chunk.body["choices"]
    first, second = copy.deepcopy(choice["delta"]), {}
    if isinstance(first.get("content"), str):
        at = data.draw(st.integers(0, len(first["content"])))
        first["content"], second["content"] = first["content"][:at], first["content"][at:]
    for call in first.get("tool_calls") or []:
        arguments = call["function"]["arguments"]
        at = data.draw(st.integers(0, len(arguments)))
        call["function"]["arguments"] = arguments[:at]
        second.setdefault("tool_calls", []).append({"index": call["index"], "function": {"arguments": arguments[at:]}})
    rest = {"index": choice["index"], "delta": second, "finish_reason": None}
    return [
        ChatChunk({**chunk.body, "choices": [{**choice, "delta": first}]}),
        ChatChunk({**chunk.body, "choices": [rest]}),
    ]


@given(body=completions)
def test_each_chunk_is_one_as_the_openai_sdk_knows_it(body: dict[str, Any]) -> None:
    for chunk in chunks_from_body(body, include_usage=True):
        if "usage" in body:
            chunk.body["usage"] = chunk.body["usage"] and {**chunk.body["usage"], "total_tokens": 0}
        ChatCompletionChunk.model_validate(json.loads(json.dumps(chunk.body)), strict=True)


def test_the_openai_sdk_validates_both_forms() -> None:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    chunks = [ChatCompletionChunk.model_validate(chunk.body) for chunk in chunks_from_body(body, include_usage=True)]
    assert [bool(chunk.choices) for chunk in chunks] == [True, True, False]
    calls = chunks[0].choices[0].delta.tool_calls
    assert calls is not None
    assert calls[0].index == 0
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == 3
    ChatCompletion.model_validate(assemble(ChatChunk(chunk.to_dict()) for chunk in chunks))


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0, **more: Any) -> ChatChunk:
    return ChatChunk(
        {
            "id": "a",
            "object": "chat.completion.chunk",
            "created": 7,
            "model": "m",
            "choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}],
            **more,
        }
    )


def test_a_stream_as_groq_sends_it() -> None:
    body = assemble(
        [
            _chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}, system_fingerprint="fp"),
            _chunk({"content": "Hel"}, system_fingerprint="fp"),
            _chunk({"content": "lo"}, system_fingerprint="fp"),
            _chunk({}, "stop", x_groq={"id": "req_1", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
        ]
    )
    assert body == {
        "id": "a",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp",
        "x_groq": {"id": "req_1"},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


def test_a_stream_as_azure_begins_it() -> None:
    opening = ChatChunk({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []})
    body = assemble([opening, _chunk({"role": "assistant", "content": "Hi"}, "stop")])
    assert (body["id"], body["created"], body["model"]) == ("a", 7, "m")
    assert body["prompt_filter_results"] == []


def test_parallel_tool_calls_grow_each_by_itself() -> None:
    body = assemble(
        [
            _chunk(
                {
                    "tool_calls": [
                        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}
                    ]
                }
            ),
            _chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                }
            ),
            _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
            _chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            _chunk({}, "tool_calls"),
        ]
    )
    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_tool_calls_without_an_index_are_told_apart_by_their_id() -> None:
    body = assemble(
        [
            _chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}),
            _chunk({"tool_calls": [{"function": {"arguments": "}"}}]}),
            _chunk({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "[]"}}]}),
            _chunk({}, "tool_calls"),
        ]
    )
    arguments = [call["function"]["arguments"] for call in body["choices"][0]["message"]["tool_calls"]]
    assert arguments == ["{}", "[]"]


def test_choices_and_logprobs_of_a_stream_are_kept_apart() -> None:
    def part(index: int, text: str) -> ChatChunk:
        chunk = _chunk({"content": text}, index=index)
        chunk.body["choices"][0]["logprobs"] = {"content": [{"token": text}], "refusal": None}
        return chunk

    body = assemble(
        [part(1, "b"), part(0, "a"), part(1, "d"), part(0, "c"), _chunk({}, "stop", 0), _chunk({}, "length", 1)]
    )
    assert [choice["message"]["content"] for choice in body["choices"]] == ["ac", "bd"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    assert body["choices"][1]["logprobs"] == {"content": [{"token": "b"}, {"token": "d"}], "refusal": None}


@pytest.mark.parametrize("body", [{}, {"choices": None}, {"choices": [{"delta": None}]}])
def test_chunks_that_say_nothing_are_borne(body: dict[str, Any]) -> None:
    assembled = assemble([ChatChunk(body)])
    assert assembled["object"] == "chat.completion"
    assert all(choice["message"] == {"role": "assistant", "content": None} for choice in assembled["choices"])


def test_what_was_stated_first_holds() -> None:
    chunks = [_chunk({"role": "assistant", "content": "a"}), _chunk({"role": "tool", "content": "b"}, "stop")]
    chunks[1].body.update({"id": "other", "created": 8, "model": "m-0001", "system_fingerprint": "late"})
    body = assemble(chunks)
    assert (body["id"], body["created"], body["model"], body["system_fingerprint"]) == ("a", 7, "m", "late")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "ab"}


def test_calls_that_share_an_index_are_two_in_a_stream() -> None:
    calls = [
        {"id": name, "index": 0, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"
    ]
    body = {"choices": [{"index": 0, "message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    delta = chunks_from_body(body, include_usage=False)[0].body["choices"][0]["delta"]
    assert [call["index"] for call in delta["tool_calls"]] == [0, 1]


def test_the_input_of_a_custom_call_grows() -> None:
    body = assemble(
        [
            _chunk({"tool_calls": [{"index": 0, "id": "a", "custom": {"name": "sql", "input": "sel"}}]}),
            _chunk({"tool_calls": [{"index": 0, "custom": {"input": "ect"}}]}),
        ]
    )
    [call] = body["choices"][0]["message"]["tool_calls"]
    assert call["custom"] == {"name": "sql", "input": "select"}


@pytest.mark.parametrize("has_index", [True, False])
def test_what_a_model_thought_grows_block_by_block(has_index: bool) -> None:
    parts: list[dict[str, Any]] = [
        {"index": 0, "type": "thinking", "thinking": "Two "},
        {"index": 0, "type": "thinking", "thinking": "and two."},
        {"index": 0, "type": "thinking", "signature": "s1"},
        {"index": 1, "type": "redacted_thinking", "data": "d"},
        {"index": 2, "type": "thinking", "thinking": "Four."},
        {"index": 2, "type": "thinking", "thinking": "", "signature": "s2"},
    ]
    if not has_index:
        parts = [{name: value for name, value in part.items() if name != "index"} for part in parts]
    body = assemble(_chunk({"thinking_blocks": [part]}) for part in parts)
    assert body["choices"][0]["message"]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Two and two.", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "Four.", "signature": "s2"},
    ]
