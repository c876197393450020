"""Chats as Anthropic's Messages API is asked them, and what of them it has no place for."""

import json
from typing import Any

import pytest

from sluice.chat import ChatRequest
from sluice.providers.messages_request import messages_body
from sluice.providers.messages_schema import supported_schema
from sluice.providers.messages_uncarried import uncarried

type Json = dict[str, Any]

MARK = {"type": "ephemeral", "ttl": "1h"}
PNG = {"url": "data:image/png;base64,AAAA"}
HELLO: list[Json] = [{"role": "user", "content": "Hello."}]


def body_of(messages: list[Json] = HELLO, **fields: Any) -> Json:
    request = ChatRequest.model_validate({"model": "auto", "messages": messages, **fields})
    assert list(uncarried(request)) == []
    allowed = {"top_k", "thinking", "cache_control"}
    return messages_body(request, "claude", 1000, streamed=False, allowed_fields=allowed)


def turns_of(*messages: Json) -> list[Json]:
    turns: list[Json] = body_of(list(messages))["messages"]
    return turns


def refused(messages: list[Json] = HELLO, **fields: Any) -> list[str]:
    request = ChatRequest.model_validate({"model": "auto", "messages": messages, **fields})
    return [where for where, why in uncarried(request) if why]


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def call(identity: str, name: str = "f", arguments: Any = "{}") -> Json:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_the_least_request_has_a_limit_and_a_turn() -> None:
    assert body_of() == {
        "model": "claude",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": [text("Hello.")]}],
    }
    assert body_of(max_completion_tokens=5)["max_tokens"] == 5


def test_system_messages_come_before_the_turns_with_their_marks() -> None:
    body = body_of(
        [
            {"role": "system", "content": [text("Be brief."), text("Be kind.", cache_control=MARK)]},
            {"role": "developer", "content": "In French.", "cache_control": MARK},
            *HELLO,
        ]
    )
    assert body["system"] == [
        text("Be brief."),
        text("Be kind.", cache_control=MARK),
        text("In French.", cache_control=MARK),
    ]
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_answers_of_tools_are_one_turn_with_what_is_said_after_them() -> None:
    image = {"type": "image_url", "image_url": PNG}
    turns = turns_of(
        *HELLO,
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [call("a.1", arguments='{"x": 1}'), call("b", "g", "")],
        },
        {"role": "tool", "tool_call_id": "a.1", "content": [text("4"), image], "cache_control": MARK},
        {"role": "tool", "tool_call_id": "b", "content": "", "is_error": True},
        {"role": "user", "content": "And?"},
    )
    assert turns[1:] == [
        {
            "role": "assistant",
            "content": [
                text("Wait."),
                {"type": "tool_use", "id": "a_1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a_1",
                    "content": [
                        text("4"),
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                    "cache_control": MARK,
                },
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                text("And?"),
            ],
        },
    ]


def test_thoughts_go_back_first_if_they_are_signed() -> None:
    signed = {"type": "thinking", "thinking": "So.", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "d"}
    said = {
        "role": "assistant",
        "content": "Four.",
        "reasoning_content": "So.",
        "thinking_blocks": [signed, {"type": "thinking", "thinking": "Not signed."}, redacted, "nothing"],
    }
    assert turns_of(*HELLO, said)[1]["content"] == [signed, redacted, text("Four.")]


def test_images_and_documents_become_blocks() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "T"}
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "b.pdf"}}
    web = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    content = turns_of({"role": "user", "content": [text(""), web, pdf, {**document, "cache_control": MARK}]})
    assert content[0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
            "title": "b.pdf",
        },
        {**document, "cache_control": MARK},
    ]


def test_tools_and_their_choice() -> None:
    function = {"name": "f", "description": "d", "parameters": {"properties": {"x": {}}}, "strict": True}
    tools = [{"type": "function", "function": function, "cache_control": MARK}, {"function": {"name": "g"}}]
    body = body_of(tools=tools, tool_choice="required", parallel_tool_calls=False)
    assert body["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"x": {}}},
            "strict": True,
            "cache_control": MARK,
        },
        {"name": "g", "input_schema": {"type": "object"}},
    ]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    named = {"type": "function", "function": {"name": "g"}}
    assert body_of(tools=tools, tool_choice=named)["tool_choice"] == {"type": "tool", "name": "g"}
    assert body_of(tools=tools, tool_choice="none")["tool_choice"] == {"type": "none"}
    assert "tool_choice" not in body_of(tools=tools)
    assert "tool_choice" not in body_of(tool_choice="auto")


def test_settings_are_called_what_they_are_there() -> None:
    body = body_of(
        stop="END",
        temperature=0.5,
        top_p=1,
        top_k=5,
        user="ada",
        service_tier="default",
        reasoning_effort="minimal",
        cache_control=MARK,
        n=1,
        logprobs=False,
        frequency_penalty=0.0,
        seed=None,
        metadata={"purpose": "test"},
    )
    assert {name: value for name, value in body.items() if name not in ("model", "messages", "max_tokens")} == {
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_k": 5,
        "metadata": {"user_id": "ada"},
        "service_tier": "standard_only",
        "output_config": {"effort": "low"},
        "cache_control": MARK,
    }
    assert body_of(stop=["a", "b"])["stop_sequences"] == ["a", "b"]
    assert body_of(reasoning_effort="none")["thinking"] == {"type": "disabled"}
    assert body_of(thinking={"type": "enabled", "budget_tokens": 1024})["thinking"]["budget_tokens"] == 1024
    assert body_of(metadata={"user_id": "u"}, user="ada")["metadata"] == {"user_id": "u"}


def test_a_format_is_held_to_or_asked_for_and_never_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    body = body_of(response_format=asked, reasoning_effort="high")
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}},
        "effort": "high",
    }
    [said] = body_of(response_format={"type": "json_object"})["system"]
    assert "JSON object" in said["text"]
    assert "system" not in body_of(response_format={"type": "text"})


def test_a_schema_loses_what_is_refused_there_and_no_more() -> None:
    schema = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "pattern": "a+", "minLength": 1, "enum": ["a", {"minimum": 1}]},
            "list": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "integer"}}},
        },
        "required": ["pattern"],
        "$defs": {"maximum": {"anyOf": [{"type": "integer", "maximum": 3}, {"type": "null"}]}},
    }
    assert supported_schema(schema) == {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "enum": ["a", {"minimum": 1}]},
            "list": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "integer"}}},
        },
        "required": ["pattern"],
        "$defs": {"maximum": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"n": 2}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 0}, "seed"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content", "content": "a"}}, "prediction"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"store": True}, "store"),
        ({"verbosity": "low"}, "verbosity"),
        ({"temperature": 1.5}, "temperature"),
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"stop": [1]}, "stop"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f", "parameters": [1]}}]}, "tools[0].function.parameters"),
        ({"tools": "f"}, "tools"),
        ({"tools": ["f"]}, "tools"),
        ({"tool_choice": "some"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": "f"}}, "tool_choice"),
    ],
)
def test_what_has_no_place_there_is_named(fields: Json, where: str) -> None:
    assert refused(**fields) == [where]


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "function", "name": "f", "content": "4"}, "role"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://a"}}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "file", "file": "a"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "document", "source": "a"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}, "content[0]"),
        (
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "content", "content": [{"source": {"file_id": "f"}}]}}
                ],
            },
            "content[0]",
        ),
        ({"role": "system", "content": [{"type": "image_url", "image_url": PNG}]}, "content[0].type"),
        ({"role": "assistant", "content": [{"type": "image_url", "image_url": PNG}]}, "content[0].type"),
        ({"role": "assistant", "tool_calls": [call("a", arguments='{"x": ')]}, "tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [call("a", arguments="[1]")]}, "tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "custom": {"name": "c"}}]}, "tool_calls[0]"),
        ({"role": "assistant", "tool_calls": {"0": 1}}, "tool_calls[0]"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "tool", "content": "4"}, "tool_call_id"),
    ],
)
def test_what_of_a_message_has_no_place_there_is_named(message: Json, where: str) -> None:
    assert refused([*HELLO, message]) == [f"messages[1].{where}"]


def test_nothing_is_carried_that_json_could_not_say() -> None:
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}
    body = body_of([{"role": "user", "content": [document, text("Read.")], "name": "ada", "X-Unknown": 1}])
    assert json.loads(json.dumps(body)) == body
    assert body["messages"] == [{"role": "user", "content": [document, text("Read.")]}]
