"""Chat through every stage: the official SDKs on one side, a fake provider on a real socket on the other."""

from decimal import Decimal
from typing import Any

from tests.chat_server import ChatServer
from tests.fakes.client import FakeProvider

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]


def test_an_openai_client_gets_a_whole_answer(chat: ChatServer, fake: FakeProvider) -> None:
    answer = chat.openai().chat.completions.with_raw_response.create(model="small", messages=HELLO)
    completion = answer.parse()
    assert completion.choices[0].message.content == "Hello there."
    assert completion.usage is not None
    headers = answer.headers
    assert headers["x-sluice-deployment"] == "fake-1#small"
    assert headers["x-sluice-model"] == "small"
    assert headers["x-sluice-cache"] == "miss"
    assert headers["x-sluice-attempts"] == "1"
    assert headers["x-sluice-complexity"] == "simple"
    assert headers["x-ratelimit-limit-requests"] == "100"
    assert headers["x-ratelimit-remaining-requests"] == "99"
    millionths = completion.usage.prompt_tokens + 2 * completion.usage.completion_tokens
    assert Decimal(headers["x-sluice-cost-usd"]) * 1_000_000 == millionths


def test_an_openai_client_gets_a_streamed_answer(chat: ChatServer, fake: FakeProvider) -> None:
    chunks = list(chat.openai().chat.completions.create(model="small", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there."
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
