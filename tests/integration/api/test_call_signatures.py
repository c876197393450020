"""Signatures of calls, which Gemini wants back, go through the other APIs to their clients and back."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.fakes.gemini import SIGNATURE

type Json = dict[str, Any]

SIGNED = {"google": {"thought_signature": SIGNATURE}}
PARAMETERS: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION: Any = {"role": "user", "content": "Is it raining?"}


@pytest.fixture
def chat(aws: Aws, fake: FakeProvider) -> Iterator[ChatServer]:
    """A server whose only model is Gemini's, which calls the tool that it is given."""
    fake.configure(answer=None)
    aws.set_credentials(
        {
            "provider": "gemini",
            "alias": "g-1",
            "api_key": "key-1",
            "base_url": fake.gemini_url,
            "models": {"pro": {"tier": "smart", "context_window": 100_000}},
        }
    )
    with serving(aws) as running:
        yield running


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_message_s_call_goes_back_signed(chat: ChatServer, fake: FakeProvider, is_streamed: bool) -> None:
    client = anthropic.Anthropic(base_url=chat.root_url, api_key=chat.api_key, max_retries=0)
    options: Json = {
        "model": "pro",
        "max_tokens": 50,
        "tools": [{"name": "weather", "input_schema": PARAMETERS}],
    }
    if is_streamed:
        with client.messages.stream(messages=[QUESTION], **options) as stream:
            first: Any = stream.get_final_message()
    else:
        first = client.messages.create(messages=[QUESTION], **options)
    [call] = [block for block in first.content if block.type == "tool_use"]
    result: Json = {"type": "tool_result", "tool_use_id": call.id, "content": "Yes."}
    turns: Any = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=turns, **options)
    assert second.content[0].type == "text"
    assert fake.last_body()["messages"][1]["tool_calls"][0]["extra_content"] == SIGNED


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_response_s_call_goes_back_signed(
    chat: ChatServer, fake: FakeProvider, is_streamed: bool, is_stored: bool
) -> None:
    client = chat.openai()
    options: Json = {
        "model": "pro",
        "store": is_stored,
        "tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}],
    }
    if is_streamed:
        with client.responses.stream(input=[QUESTION], **options) as stream:
            first: Any = stream.get_final_response()
    else:
        first = client.responses.create(input=[QUESTION], **options)
    [call] = [item for item in first.output if item.type == "function_call"]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Yes."}
    if is_stored:
        client.responses.create(input=[result], previous_response_id=first.id, **options)
    else:
        said = [item.model_dump(exclude_unset=True) for item in first.output]
        client.responses.create(input=[QUESTION, *said, result], **options)
    assert fake.last_body()["messages"][1]["tool_calls"][0]["extra_content"] == SIGNED
