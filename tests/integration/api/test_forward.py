"""Containers reach the loopback interface through a forwarded port."""

import socket
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes import FakeProvider
from tools.forward import forwarding
from tools.processes import is_listening

# Another address of this machine that needs no set-up.
OTHER_HOST = "127.0.0.2"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(answer="x" * 200_000) as provider:
        yield provider


def _port(provider: FakeProvider) -> int:
    return int(provider.root_url.rpartition(":")[2])


def test_requests_and_answers_go_through_whole(provider: FakeProvider) -> None:
    port = _port(provider)
    assert not is_listening(port, OTHER_HOST)
    with forwarding(OTHER_HOST, port):
        answer = httpx.post(
            f"http://{OTHER_HOST}:{port}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "y" * 200_000}]},
            headers={"authorization": "Bearer k"},
        )
    assert answer.json()["choices"][0]["message"]["content"] == "x" * 200_000
    assert provider.last_body()["messages"][0]["content"] == "y" * 200_000
    assert not is_listening(port, OTHER_HOST)


def test_a_caller_that_goes_away_is_no_trouble(provider: FakeProvider) -> None:
    port = _port(provider)
    with forwarding(OTHER_HOST, port):
        for _ in range(3):
            socket.create_connection((OTHER_HOST, port)).close()
        assert httpx.get(f"http://{OTHER_HOST}:{port}/_fake/state").status_code == 200
