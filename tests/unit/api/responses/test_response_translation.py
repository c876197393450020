"""What is asked of a response says the same as the chat that it becomes, and what can't be carried is refused."""

import typing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses import ResponseInputItemParam, ToolParam, response_create_params

from sluice.api.responses.body import ResponseRequest
from sluice.api.responses.items import items_of, messages_of
from sluice.api.responses.reasoning import signature_item
from sluice.api.responses.request import input_items, translated
from sluice.chat import ChatRequest, JsonObject
from sluice.errors import InvalidRequestError

texts = st.text(min_size=1, max_size=12)
urls = st.just("https://example.org/cat.png")
thinking = st.one_of(
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
)
text_parts = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
asked_parts = st.one_of(
    text_parts,
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.fixed_dictionaries({"url": urls, "detail": st.sampled_from(["low", "high", "auto"])}),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("file"),
            "file": st.fixed_dictionaries({"file_data": texts}, optional={"filename": texts}),
        }
    ),
    st.fixed_dictionaries({"type": st.just("input_audio"), "input_audio": st.just({"data": "", "format": "wav"})}),
)
contents = st.one_of(texts, st.lists(asked_parts, min_size=1, max_size=3))
questions = st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "developer"]), "content": contents})
results = st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": texts, "content": contents})
calls = st.one_of(
    st.fixed_dictionaries(
        {
            "id": texts,
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
        },
        optional={"extra_content": st.fixed_dictionaries({"google": st.dictionaries(texts, texts, max_size=1)})},
    ),
    st.fixed_dictionaries(
        {"id": texts, "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": texts, "input": texts})}
    ),
)
answers = (
    st.fixed_dictionaries(
        {"role": st.just("assistant")},
        optional={
            "reasoning_content": texts,
            "thinking_blocks": st.lists(thinking, min_size=1, max_size=2),
            "content": st.one_of(texts, st.lists(text_parts, min_size=2, max_size=3)),
            "refusal": texts,
            "phase": st.sampled_from(["commentary", "final_answer"]),
            "tool_calls": st.lists(calls, min_size=1, max_size=3),
        },
    )
    .map(lambda message: _without_phase_of_nothing(message))
    .filter(lambda message: len(message) > 1)
)


def _without_phase_of_nothing(message: JsonObject) -> JsonObject:
    says = message.keys() & {"content", "refusal"}
    return message if says else {name: value for name, value in message.items() if name != "phase"}


@st.composite
def conversations(draw: st.DrawFn) -> list[JsonObject]:
    """Messages of a chat, of which no two in a row are an assistant's: those might be one."""
    found: list[JsonObject] = []
    for _ in range(draw(st.integers(1, 6))):
        is_after_answer = bool(found) and found[-1]["role"] == "assistant"
        found.append(draw(st.one_of(questions, results) if is_after_answer else st.one_of(questions, results, answers)))
    return found


@given(conversations())
def test_messages_become_items_and_the_same_messages_again(messages: list[JsonObject]) -> None:
    assert messages_of(items_of(messages)) == messages


@given(conversations())
def test_items_become_messages_and_the_same_items_again(messages: list[JsonObject]) -> None:
    items = items_of(messages)
    assert items_of(messages_of(items)) == items


@given(conversations())
def test_a_response_asks_what_its_items_say(messages: list[JsonObject]) -> None:
    body = ResponseRequest.model_validate(
        {"model": "m", "input": items_of(messages), "instructions": "Be brief.", "reasoning": {"context": "all_turns"}}
    )
    chat = translated(body, input_items(body)).chat
    plain = chat.model_dump(exclude_unset=True)["messages"]
    assert (
        plain
        == ChatRequest.model_validate(
            {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, *messages]}
        ).model_dump(exclude_unset=True)["messages"]
    )


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
SIGNED = {"google": {"thought_signature": "s1"}}


def signature(call_id: str, said: str) -> JsonObject:
    """The item of what has to go back with a call."""
    return signature_item(call_id, {"google": {"thought_signature": said}})


def test_a_signature_goes_back_with_the_call_after_it_or_before_it() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "1"}
    for items in ([signature("c1", "s1"), CALL, output], [CALL, signature("c1", "s1"), output]):
        [call] = messages_of(items)[0]["tool_calls"]
        assert call["extra_content"] == SIGNED
    again = [signature("c1", "s1"), CALL, output, signature("c1", "s2"), CALL, output]
    signed = [call["extra_content"] for message in messages_of(again) for call in message.get("tool_calls", [])]
    assert signed == [SIGNED, {"google": {"thought_signature": "s2"}}]


def test_a_signature_does_not_part_an_answer() -> None:
    said = {"type": "message", "role": "assistant", "content": "Let me see."}
    other = {**CALL, "call_id": "c2"}
    [message] = messages_of([said, signature("c1", "s1"), CALL, signature("c3", "of no call"), other])
    assert message["content"] == "Let me see."
    assert [call.get("extra_content") for call in message["tool_calls"]] == [SIGNED, None]


def test_what_was_beside_an_answer_s_text_is_not_sent_back_and_no_reason_to_refuse() -> None:
    answered = "msg_" + "0" * 32 + "_1_0"
    item: JsonObject = {"type": "message", "role": "assistant", "content": "x", "id": answered, "images": ["y"]}
    assert messages_of([item]) == [{"role": "assistant", "content": "x"}]
    with pytest.raises(InvalidRequestError, match="images"):
        messages_of([{**item, "id": "msg_1"}])


def of(**fields: Any) -> ChatRequest:
    body = ResponseRequest.model_validate({"model": "m", "input": "Hi", **fields})
    return translated(body, input_items(body)).chat


def of_user(part: JsonObject) -> JsonObject:
    return {"role": "user", "content": [part]}


OPTIONS: list[tuple[JsonObject, JsonObject]] = [
    ({"max_output_tokens": 5}, {"max_completion_tokens": 5}),
    ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    ({"text": {"verbosity": "low", "format": {"type": "text"}}}, {"verbosity": "low"}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            }
        },
    ),
    (
        {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True, "description": "d"}]},
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}}
            ]
        },
    ),
    (
        {
            "tools": [
                {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
            ]
        },
        {
            "tools": [
                {
                    "type": "custom",
                    "custom": {
                        "name": "c",
                        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                    },
                }
            ]
        },
    ),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    (
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    (
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
    ),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"user": "u", "safety_identifier": "s"}, {"user": "u", "safety_identifier": "s"}),
    ({"prompt_cache_key": "k", "service_tier": "flex"}, {"prompt_cache_key": "k", "service_tier": "flex"}),
    ({"seed": 7, "stop": ["x"]}, {"seed": 7, "stop": ["x"]}),
    ({"top_k": 5}, {"top_k": 5}),
    ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    ({"metadata": {"lesson": "7", "sluice_user": "ada"}}, {"metadata": {"sluice_user": "ada"}}),
    ({"conversation": {"id": "c"}}, {"metadata": {"sluice_conversation_id": "c"}}),
    ({"store": True, "truncation": "auto", "max_tool_calls": 3, "background": False}, {}),
]


@pytest.mark.parametrize(("given", "wanted"), OPTIONS, ids=lambda each: ",".join(each))
def test_an_option_of_a_response_is_one_of_the_chat(given: JsonObject, wanted: JsonObject) -> None:
    asked = of(**given).model_dump(exclude_unset=True)
    rest = {name: value for name, value in asked.items() if name not in {"model", "messages"}}
    assert rest == wanted


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"moderation": {}}, "moderation"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"n": 2}, "n"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"include": ["everything"]}, "include[0]"),
        ({"reasoning": {"summary": "concise"}}, "reasoning.summary"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
        ({"tools": [{"type": "function", "name": "f", "output_schema": {}}]}, "tools[0].output_schema"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
            "input[0].content[0].file_url",
        ),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "assistant", "content": "x", "phase": "doubt"}]}, "input[0].phase"),
        ({"input": [{"role": "assistant", "content": "x", "phase": ["commentary"]}]}, "input[0].phase"),
        ({"input": [{"role": "user", "content": "x", "phase": "commentary"}]}, "input[0].phase"),
        ({"input": [{"role": "assistant", "content": "x", "mood": "good"}]}, "input[0].mood"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]}, "input[0].arguments"),
        (
            {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}]},
            "input[0].encrypted_content",
        ),
        (
            {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "sluice1.AAAA"}]},
            "input[0].encrypted_content",
        ),
        ({"conversation": "c", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"metadata": {"sluice_user": "u" * 200}}, "metadata.sluice_user"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_can_t_be_carried_is_refused_by_its_name(given: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        of(**given)
    assert raised.value.param == param


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.sampled_from(["message", "user", "text"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "name",
                    "format",
                    "summary",
                    "detail",
                    "image_url",
                    "mode",
                    "tools",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
objects = st.dictionaries(
    st.sampled_from(["type", "role", "content", "call_id", "output", "summary", "encrypted_content", "name", "id"]),
    st.one_of(anything, st.sampled_from(["function_call", "function_call_output", "reasoning", "assistant"])),
    max_size=5,
)


@example({"input": [{"role": ["user"], "content": "x"}]})
@example({"input": [{"role": "assistant", "content": [{"type": {}, "text": "x"}]}]})
@example({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u", "detail": []}]}]})
@example({"input": [{"role": "user", "content": "x"}], "reasoning": {"mode": []}})
@example({"input": [{"role": "user", "content": "x"}], "reasoning": {"summary": {}}})
@given(
    st.fixed_dictionaries(
        {"input": st.lists(objects, min_size=1, max_size=3)},
        optional={
            "tools": st.lists(objects, max_size=2),
            "tool_choice": objects,
            "text": objects,
            "reasoning": st.dictionaries(st.sampled_from(["effort", "summary", "mode", "context"]), anything),
            "conversation": objects,
            "stream_options": objects,
            "seed": anything,
        },
    )
)
def test_whatever_is_asked_is_carried_or_refused(given: JsonObject) -> None:
    try:
        of(**given)
    except InvalidRequestError as error:
        assert error.param  # noqa: PT017 -- it may also be carried


# What each field of OpenAI's may say. None of them may be left unsaid.
SAMPLES: JsonObject = {
    "access_programs": {"cyber": "standard"},
    "background": True,
    "context_management": [{"type": "compaction"}],
    "image": {"context_compression": "enabled"},
    "moderation": {"model": "m"},
    "prompt": {"id": "p"},
    "prompt_cache_options": {"mode": "explicit"},
}


@pytest.mark.parametrize("name", sorted(response_create_params.ResponseCreateParamsBase.__annotations__))
def test_each_field_that_openai_documents_is_known_or_refused(name: str) -> None:
    if name in SAMPLES:
        with pytest.raises(InvalidRequestError) as raised:
            of(**{name: SAMPLES[name]})
        assert raised.value.param == name
    else:
        assert name in ResponseRequest.model_fields


def kinds_of(union: Any) -> list[str]:
    """The values that `type` may have in the members of a union of TypedDicts."""
    members = [typing.get_type_hints(member).get("type") for member in typing.get_args(union)]
    return sorted({kind for member in members for kind in _literals(member)})


def _literals(annotation: Any) -> list[str]:
    found = []
    for each in typing.get_args(annotation):
        found += [each] if isinstance(each, str) else _literals(each)
    return found


@pytest.mark.parametrize(
    "kind", [each for each in kinds_of(ToolParam) if each not in {"function", "custom", "file_search"}]
)
def test_each_tool_of_openai_s_own_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=kind) as raised:
        of(tools=[{"type": kind}])
    assert raised.value.param == "tools[0].type"


CARRIED = {
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "file_search_call",
}


@pytest.mark.parametrize("kind", [each for each in kinds_of(ResponseInputItemParam) if each not in CARRIED])
def test_each_item_of_tools_that_nobody_runs_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=kind) as raised:
        of(input=[{"type": kind, "id": "x"}])
    assert raised.value.param == "input[0].type"
