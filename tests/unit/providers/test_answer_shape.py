"""Answers of every known shape become OpenAI's, and what is in it already is left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.chat import ChatChunk
from sluice.chat_stream import assemble, chunks_from_body
from sluice.providers.answer_shape import StreamNormalizer, normalized_answer
from sluice.providers.decoding import UnreadableError

type Json = dict[str, Any]


def whole(message: Any = None, reason: Any = "stop", **choice: Any) -> Json:
    message = {"role": "assistant", "content": "Hi."} if message is None else message
    return {"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": reason, **choice}]}


def message_of(message: Any) -> Json:
    found: Json = normalized_answer(whole(message))["choices"][0]["message"]
    return found


def test_what_is_in_shape_is_left_alone() -> None:
    body = whole({"role": "assistant", "content": "Hi.", "annotations": []}) | {
        "usage": {"prompt_tokens": 1},
        "x": None,
    }
    assert normalized_answer(body) == body


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "output_text", "text": "a"}], "a"),
        ([{"text": "a"}], "a"),
        (["a", "b"], "ab"),
        ({"type": "text", "text": "a"}, "a"),
        ([None, {"type": "text", "text": "a"}], "a"),
        ([], ""),
        ("a\ud83d", "a\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_contents_become_one_text(content: Any, text: str) -> None:
    assert message_of({"content": content})["content"] == text


def test_thoughts_refusals_and_images_among_the_parts_go_where_they_belong() -> None:
    message = message_of(
        {
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": "Let me "}, {"type": "text", "text": "see."}],
                },
                {"type": "text", "text": "Four."},
                {"type": "refusal", "refusal": "No."},
                {"type": "image_url", "image_url": {"url": "data:"}},
            ]
        }
    )
    assert message == {
        "content": "Four.",
        "reasoning_content": "Let me see.",
        "refusal": "No.",
        "content_parts": [{"type": "image_url", "image_url": {"url": "data:"}}],
    }


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "refusal"])
def test_other_texts_may_be_parts_too(name: str) -> None:
    assert message_of({"content": "a", name: [{"type": "reasoning", "text": "b"}, "c"]})[name] == "bc"


@pytest.mark.parametrize("message", ["a", ["a"], {"content": 42}, {"content": {"x": 1}}, {"reasoning": 1}])
def test_what_could_not_be_guarded_is_refused(message: Any) -> None:
    with pytest.raises(UnreadableError):
        normalized_answer(whole(message))


@pytest.mark.parametrize(
    ("given", "shown", "native"),
    [
        ("stop", "stop", None),
        ("length", "length", None),
        ("STOP", "stop", "STOP"),
        ("eos_token", "stop", "eos_token"),
        ("end_turn", "stop", "end_turn"),
        ("SAFETY", "content_filter", "SAFETY"),
        ("unheard_of", None, "unheard_of"),
        ("", None, None),
        ("null", None, None),
        ("None", None, None),
        (1, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_a_finish_reason_is_one_of_openais_or_null(given: Any, shown: str | None, native: str | None) -> None:
    for choice in (
        normalized_answer(whole(reason=given))["choices"][0],
        (StreamNormalizer().chunk({"choices": [{"delta": {}, "finish_reason": given}]}) or {})["choices"][0],
    ):
        assert choice["finish_reason"] == shown
        assert choice.get("native_finish_reason") == native


TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"content": [TOKEN], "refusal": None}, {"content": [TOKEN], "refusal": None}),
        ({"content": [None, "Hi", {"logprob": -1}, TOKEN]}, {"content": [TOKEN]}),
        ({"content": [{"token": "Hi"}]}, {"content": [{"token": "Hi", "logprob": None}]}),
        ({"content": [{**TOKEN, "top_logprobs": {"Hi": -0.5}}]}, {"content": [{**TOKEN, "top_logprobs": None}]}),
        ({"content": {"Hi": -0.5}}, {"content": None}),
        ({"tokens": ["Hi"], "token_logprobs": [-0.5]}, {"tokens": ["Hi"], "token_logprobs": [-0.5]}),
        ([-0.5], None),
    ],
)
def test_likelihoods_are_those_of_tokens_with_a_text(given: Any, shown: Any) -> None:
    choice = {"index": 0, "finish_reason": "stop", "logprobs": given}
    whole = normalized_answer({"choices": [{**choice, "message": {"content": "Hi"}}]})
    assert whole["choices"][0]["logprobs"] == shown
    chunk = StreamNormalizer().chunk({"choices": [{**choice, "delta": {"content": "Hi"}}]})
    assert chunk is not None
    assert chunk["choices"][0]["logprobs"] == shown


@pytest.mark.parametrize("name", ["thinking_blocks", "annotations"])
def test_what_is_thought_or_cited_in_a_list_is_objects(name: str) -> None:
    assert message_of({"content": "Hi", name: ["x", {"type": "y"}, None]})[name] == [{"type": "y"}]
    assert message_of({"content": "Hi", name: "x"}) == {"content": "Hi"}


def test_an_end_after_tool_calls_says_so() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    choice = normalized_answer(whole({"content": None, "tool_calls": calls}))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    normalizer = StreamNormalizer()
    normalizer.chunk({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]})
    last = normalizer.chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assert last is not None
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert last["choices"][0]["native_finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("choice", "content"),
    [
        ({"text": "a"}, "a"),
        ({"delta": {"content": "a"}}, "a"),
        ({"message": None, "delta": {"content": "a"}}, "a"),
        ({"message": {"content": "a"}, "index": None}, "a"),
        ({"message": {"content": "a"}, "index": "0"}, "a"),
        ({"message": {"content": "a"}, "index": 0.0}, "a"),
        ({"message": {"content": "a"}, "logprobs": []}, "a"),
        ({"message": {"content": "a"}, "logprobs": "none"}, "a"),
    ],
)
def test_odd_choices_are_read(choice: Json, content: str) -> None:
    [shaped] = normalized_answer({"choices": [None, choice]})["choices"]
    assert shaped["message"]["content"] == content
    assert shaped["index"] == 0
    assert "delta" not in shaped
    assert shaped.get("logprobs") is None


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": None},
        {"id": "", "object": "", "created": 0, "model": "", "choices": []},
        {"type": "ping"},
        {},
    ],
)
def test_a_chunk_without_anything_in_it_is_none(body: Json) -> None:
    assert StreamNormalizer().chunk(body) is None


@pytest.mark.parametrize("body", [{"usage": {"prompt_tokens": 1}}, {"choices": [], "prompt_filter_results": [1]}])
def test_a_chunk_without_choices_that_says_something_is_kept(body: Json) -> None:
    assert StreamNormalizer().chunk(body) == {**body, "choices": []}


def test_what_nobody_would_judge_does_not_come_along() -> None:
    chunk = StreamNormalizer().chunk(
        {"choices": [{"delta": {"content": "a"}, "message": {"content": "all that was said"}}]}
    )
    assert chunk == {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}


def test_a_choice_without_a_delta_is_read_from_its_message_or_text() -> None:
    normalizer = StreamNormalizer()
    odd: list[Json] = [{"message": {"content": "a"}}, {"text": "a"}, {"delta": {"content": ["a"]}}]
    for choice in odd:
        chunk = normalizer.chunk({"choices": [choice]})
        assert chunk is not None
        assert chunk["choices"][0]["delta"]["content"] == "a"
    assert normalizer.chunk({"choices": [{"index": 0, "delta": None}]}) == {
        "choices": [{"index": 0, "delta": {}, "finish_reason": None}]
    }


def streamed(*deltas: Json, end: Json | None = None) -> Json:
    normalizer = StreamNormalizer()
    bodies: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    bodies.append({"choices": [{"index": 0, "delta": end or {}, "finish_reason": "stop"}]})
    chunks = [chunk for body in bodies if (chunk := normalizer.chunk(body)) is not None]
    for chunk in chunks:
        str(chunk).encode()  # no half of a character in any of them
    message: Json = assemble(ChatChunk(chunk) for chunk in chunks)["choices"][0]["message"]
    return message


@pytest.mark.parametrize("name", ["content", "reasoning", "reasoning_content", "refusal"])
def test_a_character_that_is_cut_between_chunks_is_joined(name: str) -> None:
    assert streamed({name: "a\ud83d"}, {name: "\ude00b"})[name] == "a\U0001f600b"
    assert streamed({name: "a\ud83d"}, {}, {name: "b"})[name] == "a\ufffdb"
    assert streamed({name: "a\ud83d"})[name] == "a\ufffd"
    assert streamed({name: "\ude00a"})[name] == "\ufffda"
    assert streamed({name: "a"}, end={name: "\ud83d"})[name] == "a\ufffd"


def test_a_character_of_arguments_that_is_cut_between_chunks_is_joined() -> None:
    def part(text: str) -> Json:
        return {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": text}}]}

    [call] = streamed(part('{"x": "\ud83d'), part('\ude00"}'))["tool_calls"]
    assert call["function"]["arguments"] == '{"x": "\U0001f600"}'
    [call] = streamed(part('"\ud83d'))["tool_calls"]
    assert call["function"]["arguments"] == '"\ufffd'


halves = st.text(st.characters(include_characters="\ud83d\ude00", exclude_categories=[]), max_size=8)


@given(parts=st.lists(halves, max_size=8))
def test_a_text_is_the_same_wherever_it_is_cut(parts: list[str]) -> None:
    text = "".join(parts)
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert (streamed(*({"content": part} for part in parts))["content"] or "") == expected


calls = st.lists(
    st.fixed_dictionaries(
        {"function": st.fixed_dictionaries({"name": st.just("f"), "arguments": st.sampled_from(['{"x": 1}', "{}"])})},
        optional={"id": st.sampled_from(["a", "b", ""]), "index": st.sampled_from([0, 1, None])},
    ),
    min_size=1,
    max_size=3,
)


@given(calls=calls, content=st.none() | halves, reason=st.sampled_from(["stop", "tool_calls", "STOP"]))
def test_an_answer_is_the_same_whole_and_streamed(calls: list[Json], content: str | None, reason: str) -> None:
    shaped = normalized_answer(whole({"role": "assistant", "content": content, "tool_calls": calls}, reason))
    normalizer = StreamNormalizer()
    chunks = [normalizer.chunk(chunk.body) for chunk in chunks_from_body(shaped, include_usage=True)]
    again = assemble(ChatChunk(chunk) for chunk in chunks if chunk is not None)
    assert again["choices"] == shaped["choices"]
    assert len(again["choices"][0]["message"]["tool_calls"]) == len(calls)
