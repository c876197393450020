"""Idempotency keys of streams, and of clients that ask again by themselves or hang up."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import httpx
import openai
import pytest

from sluice.api.idempotency import REPLAYED
from sluice.idempotency.store import IdempotencyStore
from tests.chat_server import ChatServer, eventually
from tests.fakes.client import FakeProvider
from tests.idempotency import BODY, KEY, STREAM, ask, kept


def test_a_stream_is_replayed_byte_for_byte(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="Grüße, 你好 \U0001f600, and \u2028 a line.")
    first, second = ask(chat, STREAM), ask(chat, STREAM)
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert len(fake.requests()) == 1


def test_the_openai_sdk_reads_a_replayed_stream_as_the_first(chat: ChatServer, fake: FakeProvider) -> None:
    client = chat.openai()
    asked: dict[str, Any] = {**BODY, "stream_options": {"include_usage": True}, "extra_headers": KEY}
    streams = [list(client.chat.completions.create(**asked, stream=True)) for _ in range(2)]
    assert streams[0] == streams[1]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streams[1] if chunk.choices) == "Hello there."
    raw = client.chat.completions.with_raw_response.create(**BODY, extra_headers={"Idempotency-Key": "another"})
    again = client.chat.completions.with_raw_response.create(**BODY, extra_headers={"Idempotency-Key": "another"})
    assert again.parse() == raw.parse()
    assert again.headers[REPLAYED] == "true"
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(**BODY, extra_headers=KEY)
    assert len(fake.requests()) == 2


def test_the_sdk_s_own_retry_gets_the_answer_that_was_lost_on_the_way(chat: ChatServer, fake: FakeProvider) -> None:
    class Losing(httpx.HTTPTransport):
        sent = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            self.sent += 1
            if self.sent == 1:
                answer.read()
                raise httpx.ReadError("the connection is gone")
            return answer

    transport = Losing()
    client = chat.openai(max_retries=1, http_client=httpx.Client(transport=transport))
    answer = client.chat.completions.with_raw_response.create(**BODY, extra_headers=KEY)
    assert answer.headers[REPLAYED] == "true"
    assert (transport.sent, len(fake.requests())) == (2, 1)


def test_the_sdk_waits_for_an_answer_that_is_under_way(chat: ChatServer, fake: FakeProvider) -> None:
    claimed, answers = threading.Event(), threading.Event()
    keep = IdempotencyStore.keep

    def keep_later(self: IdempotencyStore, *arguments: Any) -> bool:
        claimed.set()
        assert answers.wait(30)
        return keep(self, *arguments)

    def refused(response: httpx.Response) -> None:
        if response.status_code == 409:
            answers.set()

    with mock.patch.object(IdempotencyStore, "keep", keep_later), ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, chat, BODY)
        assert claimed.wait(30)
        client = chat.openai(max_retries=3, http_client=httpx.Client(event_hooks={"response": [refused]}))
        answer = client.chat.completions.with_raw_response.create(**BODY, extra_headers=KEY)
        assert first.result().status_code == 200
    assert answer.headers[REPLAYED] == "true"
    assert len(fake.requests()) == 1


def hang_up(chat: ChatServer, body: Any) -> None:
    """Ask for a stream, and hang up after its first event."""
    host, port = chat.root_url.removeprefix("http://").split(":")
    raw = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {chat.api_key}\r\n"
        f"idempotency-key: order-1\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + raw)
        received = b""
        while b"data: " not in received:
            received += connection.recv(4096)


def test_a_stream_whose_caller_hangs_up_is_read_to_its_end_and_kept(chat: ChatServer, fake: FakeProvider) -> None:
    text = "One two three four five six seven eight nine ten."
    fake.configure(answer=text, chunk_delay_s=0.02)
    hang_up(chat, STREAM)
    eventually(lambda: any("head" in item for item in kept(chat)), within_s=20)
    answer = ask(chat, STREAM)
    assert (answer.headers[REPLAYED], answer.content.endswith(b"data: [DONE]\n\n")) == ("true", True)
    events = [json.loads(part[6:]) for part in answer.text.split("\n\n")[:-2]]
    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in events if each["choices"]) == text
    assert len(fake.requests()) == 1


def test_a_stream_that_broke_off_is_asked_anew(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("cut")
    assert "answer_interrupted" in ask(chat, STREAM).text
    assert kept(chat) == []
    answer = ask(chat, STREAM)
    assert (REPLAYED in answer.headers, answer.content.endswith(b"data: [DONE]\n\n")) == (False, True)


def test_a_stream_that_was_withheld_half_way_is_replayed_with_its_error(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="No JSON.")
    body = STREAM | {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON?"}]}
    first, second = ask(chat, body), ask(chat, body)
    assert "invalid_answer" in first.text
    assert second.content == first.content
    assert len(fake.requests()) == 1
