"""OpenAI's SDK asks for responses, over a real socket."""

import json
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from tests.chat_server import ChatServer
from tests.fakes.client import FakeProvider

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": False,
    }
]


class Person(BaseModel):
    """What a model is to answer."""

    name: str
    age: int


def test_a_text_is_answered_with_a_text(chat: ChatServer, fake: FakeProvider) -> None:
    response = chat.openai().responses.create(model="small", input="Say hello.", instructions="Be brief.", store=False)
    assert response.output_text
    assert (response.status, response.object, response.error) == ("completed", "response", None)
    assert [item.type for item in response.output] == ["message"]
    assert fake.last_body()["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello."},
    ]
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0


def test_a_streamed_answer_is_the_whole_one(chat: ChatServer, fake: FakeProvider) -> None:
    asked: dict[str, Any] = {"model": "small", "input": "Say hello.", "store": False}
    whole = chat.openai().responses.create(**asked)
    events: list[ResponseStreamEvent] = list(chat.openai().responses.create(**asked, stream=True))
    assert [event.type for event in events if "delta" not in event.type] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == whole.output_text
    assert last.response.usage == whole.usage
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text


def test_a_function_is_called_and_its_output_answered(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    client = chat.openai()
    asked: dict[str, Any] = {"model": "small", "tools": TOOLS, "store": False}
    first = client.responses.create(input="What is the weather?", **asked)
    [call] = first.output
    assert call.type == "function_call"
    assert call.name == "weather"
    assert "city" in json.loads(call.arguments)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}
    items: list[Any] = [{"role": "user", "content": "What is the weather?"}, call, output]
    second = client.responses.create(input=items, **asked)
    assert second.output_text == "Echo: 22 degrees"
    [_, called, answered] = fake.last_body()["messages"]
    assert called["tool_calls"][0]["function"] == {"name": "weather", "arguments": call.arguments}
    assert answered == {"role": "tool", "tool_call_id": call.call_id, "content": "22 degrees"}
    assert fake.last_body()["tools"][0]["function"]["name"] == "weather"


def test_the_sdk_s_own_stream_puts_a_call_together(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    with chat.openai().responses.stream(model="small", input="Weather?", tools=TOOLS, store=False) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds
    assert final.output[0].type == "function_call"
    assert "city" in json.loads(final.output[0].arguments)


def test_the_sdk_parses_what_a_schema_asks_for(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=None)
    client = chat.openai()
    parsed = client.responses.parse(model="small", input="Who?", text_format=Person, store=False)
    assert isinstance(parsed.output_parsed, Person)
    assert fake.last_body()["response_format"]["json_schema"]["name"] == "Person"
    with client.responses.stream(model="small", input="Who?", text_format=Person, store=False) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == parsed.output_parsed


@pytest.mark.parametrize("kind", ["web_search", "code_interpreter", "computer_use_preview", "image_generation", "mcp"])
def test_a_tool_that_nobody_runs_is_refused_by_its_name(chat: ChatServer, fake: FakeProvider, kind: str) -> None:
    answer = chat.post_to("/responses", {"model": "small", "input": "Hi", "tools": [{"type": kind}]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "tools[0].type"
    assert kind in error["message"]
    assert fake.requests() == []


def test_headers_say_how_the_response_came_about(chat: ChatServer, fake: FakeProvider) -> None:
    raw = chat.openai().responses.with_raw_response.create(model="small", input="Say hello.", store=False)
    assert raw.headers["x-sluice-deployment"] == "fake-1#small"
    assert raw.headers["x-sluice-cache"] == "miss"
    again = chat.openai().responses.with_raw_response.create(model="small", input="Say hello.", store=False)
    assert again.headers["x-sluice-cache"] == "hit"
    assert again.parse().output_text == raw.parse().output_text
