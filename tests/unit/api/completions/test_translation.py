"""Text completions as chats: what both have is carried there and back, and the rest is refused by name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.api.completions.request_models import CompletionRequest
from sluice.api.completions.translation import chat_request, text_chunks, text_completion
from sluice.api.envelope import to_json
from sluice.chat_stream import chunks_from_body
from sluice.errors import InvalidRequestError
from sluice.validation.body import parse_body

type Json = dict[str, Any]


def to_chat(**fields: Any) -> Json:
    """The body of the chat that a request becomes."""
    body = {"model": "m", "prompt": "Hello"} | fields
    return chat_request(parse_body(to_json(body), CompletionRequest)).model_dump(exclude_unset=True)


def answer(**choice: Any) -> Json:
    """A `chat.completion` of one choice."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"} | choice]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return {"id": "x", "object": "chat.completion", "created": 7, "model": "m", "choices": choices, "usage": usage}


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
settings_of_both: Any = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(1, 16),
        "stop": texts | st.lists(texts, min_size=1, max_size=4),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "seed": st.integers(),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "logit_bias": st.dictionaries(texts, st.integers(-100, 100), max_size=2),
        "user": texts,
        "stream": st.booleans(),
        "stream_options": st.just({"include_usage": True}),
        "metadata": st.just({"a": "b"}),
    },
)


@settings(deadline=None, max_examples=50)
@given(texts, st.integers(1, 4096), settings_of_both)
def test_what_both_apis_have_is_carried_as_it_is(prompt: str, max_tokens: int, fields: Json) -> None:
    chat = to_chat(prompt=prompt, max_tokens=max_tokens, **fields)
    assert chat.pop("messages") == [{"role": "user", "content": prompt}]
    assert chat == {"model": "m", "max_tokens": max_tokens} | fields


def test_what_says_nothing_is_no_field() -> None:
    nothing = {"best_of": 1, "echo": False, "suffix": "", "logprobs": None, "max_tokens": None, "stop": None}
    assert to_chat(prompt=["Hello"], **nothing) == to_chat()
    assert to_chat()["max_tokens"] == 16


def test_likelihoods_are_asked_for_as_a_chat_asks() -> None:
    asked = to_chat(logprobs=2)
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
    assert "top_logprobs" not in to_chat(logprobs=0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages"),
        ({"tools": []}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"logprobs": 21}, "logprobs"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        to_chat(**fields)
    assert refused.value.param == param


def test_an_answer_is_a_text_with_all_that_was_beside_it() -> None:
    whole = text_completion(answer() | {"system_fingerprint": "fp", "X-More": 1})
    assert whole == {
        "id": "x",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "text": "Hi there", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "system_fingerprint": "fp",
        "X-More": 1,
    }


def test_what_was_thought_is_beside_the_text() -> None:
    [choice] = text_completion(answer(message={"content": "4", "reasoning_content": "2 and 2"}))["choices"]
    assert choice == {
        "index": 0,
        "text": "4",
        "logprobs": None,
        "finish_reason": "stop",
        "reasoning_content": "2 and 2",
    }


def test_likelihoods_come_as_text_completions_have_them() -> None:
    content = [
        {
            "token": "Hi",
            "logprob": -0.1,
            "top_logprobs": [{"token": "Hi", "logprob": -0.1}, {"token": "Ho", "logprob": -3}],
        },
        {"token": " there", "logprob": -0.2, "top_logprobs": []},
    ]
    body = answer(logprobs={"content": content})
    expected = {
        "tokens": ["Hi", " there"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"Hi": -0.1, "Ho": -3}, {}],
        "text_offset": [0, 2],
    }
    assert text_completion(body)["choices"][0]["logprobs"] == expected
    first = answer(message={"content": "Hi"}, logprobs={"content": content[:1]}, finish_reason=None)
    second = answer(message={"content": " there"}, logprobs={"content": content[1:]})
    chunks = [chunk for body in (first, second) for chunk in chunks_from_body(body, include_usage=False)]
    offsets = [
        choice["logprobs"]["text_offset"]
        for chunk in text_chunks(chunks)
        for choice in chunk["choices"]
        if choice["logprobs"]
    ]
    assert offsets == [[0], [2]]


def test_chunks_are_texts_and_the_last_has_the_usage() -> None:
    chunks = list(text_chunks(chunks_from_body(answer(), include_usage=True)))
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "Hi there"
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]] == [None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] is not None


logprobs_of_tokens = st.lists(
    st.fixed_dictionaries(
        {
            "token": texts,
            "logprob": st.floats(-9, 0),
            "top_logprobs": st.lists(st.fixed_dictionaries({"token": texts, "logprob": st.floats(-9, 0)}), max_size=2),
        }
    ),
    min_size=1,
    max_size=3,
)
answered_choices: Any = st.lists(
    st.fixed_dictionaries(
        {
            "message": st.fixed_dictionaries(
                {"role": st.just("assistant"), "content": st.none() | texts},
                optional={"refusal": texts, "reasoning_content": texts},
            ),
            "finish_reason": st.sampled_from(["stop", "length", "content_filter", None]),
        },
        optional={"logprobs": st.none() | st.fixed_dictionaries({"content": logprobs_of_tokens})},
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=50)
@given(answered_choices)
def test_a_streamed_text_is_the_whole_one_and_says_all_that_the_chat_does(choices: list[Json]) -> None:
    body = answer() | {"choices": [choice | {"index": index} for index, choice in enumerate(choices)]}
    whole = [dict(choice) for choice in text_completion(body)["choices"]]
    for choice, chat_choice in zip(whole, choices, strict=True):
        message = chat_choice["message"]
        assert choice["text"] == (message["content"] or "") + message.get("refusal", "")
        assert choice.get("reasoning_content") == message.get("reasoning_content")
        assert choice["finish_reason"] == chat_choice["finish_reason"]
        tokens = (chat_choice.get("logprobs") or {"content": []})["content"]
        told: Any = choice["logprobs"] or {"tokens": [], "token_logprobs": []}
        assert told["tokens"] == [each["token"] for each in tokens]
        assert told["token_logprobs"] == [each["logprob"] for each in tokens]
    streamed: Json = {}
    parts: Any = text_chunks(chunks_from_body(body, include_usage=True))
    for part in (part for chunk in parts for part in chunk["choices"]):
        built = streamed.setdefault(part["index"], {"text": ""})
        built |= {name: value for name, value in part.items() if value is not None and name != "text"}
        built["text"] += part["text"]
    said: list[Json] = [{name: value for name, value in choice.items() if value is not None} for choice in whole]
    for choice_said in said:
        assert streamed.get(choice_said["index"], {"index": choice_said["index"], "text": ""}) == choice_said
