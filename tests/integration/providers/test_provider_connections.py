"""Connections of the adapters with their real SDKs: kept, let go of, shared by threads."""

import gc
import threading

import httpcore

from sluice.providers import connections
from tests.adapters import chat, provider_for
from tests.fakes import FakeProvider


def test_connections_are_kept_whole_and_streamed(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    provider.complete(chat(), "m", 5)
    before = fake.state()["connections"]
    for _ in range(5):
        provider.complete(chat(), "m", 5)
        stream = provider.stream(chat(), "m", 5)
        list(stream)
        stream.close()
    # The one connection more is that of the question itself.
    assert fake.state()["connections"] == before + 1


def test_a_stream_that_is_closed_early_lets_go_of_its_connection(adapter: str, fake: FakeProvider) -> None:
    fake.configure(chunk_delay_s=0.02)
    provider = provider_for(adapter, fake)
    stream = provider.stream(chat(), "m", 5)
    next(iter(stream))
    stream.close()
    fake.configure(chunk_delay_s=0)
    assert provider.complete(chat(), "m", 5).chat.texts == ["Echo: What is two and two?"]


def test_forgotten_streams_do_not_block_the_pool(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    provider.complete(chat(), "m", 5)

    def forget_streams() -> None:
        for _ in range(150):
            next(iter(provider.stream(chat(), "m", 5)))

    # The collector strikes at any allocation, also at those that the pool makes while it holds its lock.
    thresholds = gc.get_threshold()
    gc.set_threshold(37)
    try:
        thread = threading.Thread(target=forget_streams, daemon=True)
        thread.start()
        thread.join(30)
    finally:
        gc.set_threshold(*thresholds)
    assert not thread.is_alive()


def test_one_provider_serves_many_threads(adapter: str, fake: FakeProvider) -> None:
    provider = provider_for(adapter, fake)
    texts: list[tuple[str, str]] = []

    def call(number: int) -> None:
        for streamed in (False, True):
            request = chat(messages=[{"role": "user", "content": f"number {number}"}])
            if streamed:
                answer = "".join(text for chunk in provider.stream(request, "m", 10) for _, text in chunk.deltas)
            else:
                answer = provider.complete(request, "m", 10).chat.texts[0]
            texts.append((answer, f"Echo: number {number}"))

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(texts) == 32
    assert all(answer == expected for answer, expected in texts)


def test_an_answer_collected_while_its_thread_is_within_the_pool_is_closed_later(fake: FakeProvider) -> None:
    provider = provider_for("openai", fake)
    fake.configure(chunk_delay_s=0.02)
    body = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    response = connections.send(
        "POST",
        httpcore.URL(fake.openai_url + "/chat/completions"),
        [(b"host", b"fake"), (b"authorization", b"Bearer key"), (b"content-length", str(len(body)).encode())],
        body,
        5,
    )
    parts = connections.Parts(response)
    with connections._within_pool():
        parts.close()
    assert len(connections._forgotten) == 1
    fake.configure(chunk_delay_s=0)
    provider.complete(chat(), "m", 5)
    assert not connections._forgotten
