"""Messages to a deployment of Anthropic's: what a client sends arrives there as it came, as does what comes back."""

import json
from typing import Any

import httpx
import pytest

from tests.chat_server import serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider

type Json = dict[str, Any]

MARK = {"cache_control": {"type": "ephemeral"}}
BODY: Json = {
    "model": "claude",
    "max_tokens": 2_000,
    "system": [{"type": "text", "text": "You are an agent.", **MARK}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is the weather?", **MARK}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "A tool knows.", "signature": "c2lnbmVk"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}, **MARK},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "no such city"}],
                    "is_error": True,
                },
                {"type": "text", "text": "And now?"},
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "Knows it.", "input_schema": {"type": "object"}, **MARK}],
    "tool_choice": {"type": "none"},
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "metadata": {"user_id": "u-1"},
}


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_message_arrives_as_it_came(aws: Aws, fake: FakeProvider, is_streamed: bool) -> None:
    limits = {"requests_per_minute": 100, "tokens_per_minute": 100_000}
    models = {"claude": {"tier": "smart", "price": {"prompt_usd": 1.0, "completion_usd": 2.0}, "limits": limits}}
    aws.set_credentials(
        {
            "provider": "anthropic",
            "alias": "ant-1",
            "api_key": "key-1",
            "base_url": fake.anthropic_url,
            "models": models,
        }
    )
    sent = BODY | ({"stream": True} if is_streamed else {})
    with serving(aws) as chat:
        answer = httpx.post(chat.base_url + "/messages", headers={"x-api-key": chat.api_key}, json=sent, timeout=60)
        assert answer.status_code == 200, answer.text
        assert fake.last_body() == sent
    if is_streamed:
        data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        events = [json.loads(each) for each in data]
        kinds = [each["content_block"]["type"] for each in events if each["type"] == "content_block_start"]
        usage = next(each["usage"] for each in events if each["type"] == "message_delta")
        signed = [each for each in events if each.get("delta", {}).get("type") == "signature_delta"]
        assert len(signed) == 1
    else:
        message = answer.json()
        kinds, usage = [block["type"] for block in message["content"]], message["usage"]
        assert message["content"][0]["signature"]
    assert kinds == ["thinking", "redacted_thinking", "text"]
    assert usage["cache_read_input_tokens"] > 0
    assert usage["cache_creation_input_tokens"] > 0
