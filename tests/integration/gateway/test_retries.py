"""Retries: of a deployment that seldom fails all are made, and an outage is not multiplied by them."""

from collections.abc import Iterator
from random import Random

import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

BODY = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 20}


class NoPauses(Random):
    """Draws as any other, but for the pauses, which take no time."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@pytest.fixture
def chat(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setattr("sluice.routing.router._jitter", NoPauses(7))
    aws.set_credentials(gateway(fake, "one", models={"small": model(limits={"requests_per_minute": 1000})}))
    with serving(aws) as server:
        yield server


def test_what_fails_now_and_then_is_asked_again(chat: ChatServer, fake: FakeProvider) -> None:
    for number in range(4):
        fake.add_fault("503")
        answer = chat.post(BODY | {"seed": number})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-sluice-attempts"] == "2"
        for other in range(4):
            assert chat.post(BODY | {"seed": 10 + 4 * number + other}).headers["x-sluice-attempts"] == "1"


def test_retries_are_a_fifth_of_the_requests_where_every_second_fails(chat: ChatServer, fake: FakeProvider) -> None:
    key = chat.tenant("busy")
    for number in range(90):
        marked = {"user": "fault:503"} if number % 2 else {}
        status = chat.post(BODY | marked | {"seed": number}, api_key=key).status_code
        assert status == (503 if number % 2 else 200)
    # Three retries of each would make 225 of it.
    assert 90 < len(fake.requests()) <= 90 * 1.3


def test_an_outage_is_not_multiplied(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("503", times=None)
    for number in range(20):
        assert chat.post(BODY | {"seed": number}).status_code == 503
    # The circuit opens.
    assert len(fake.requests()) == 5


@pytest.mark.parametrize(("retries", "attempts", "calls"), [("0", "0", 2), ("1", "0", 4), ("1", "3", 3), ("3", "1", 1)])
def test_a_request_is_tried_as_often_as_the_stack_says(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, retries: str, attempts: str, calls: int
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("sluice.routing.router._jitter", NoPauses(7))
    monkeypatch.setattr("sluice.routing.router.Router._may_retry", lambda router, deployment: True)
    monkeypatch.setattr("sluice.routing.router.time.sleep", pauses.append)
    monkeypatch.setenv("MAX_RETRIES", retries)
    monkeypatch.setenv("MAX_ATTEMPTS", attempts)
    aws.set_credentials(gateway(fake, "one"), gateway(fake, "two"))
    fake.add_fault("503", times=None)
    with serving(aws) as chat:
        answer = chat.post(BODY)
        assert answer.status_code == 503
        assert len(fake.requests()) == calls
        # Nobody waits for what is not tried any more.
        assert len(pauses) == (calls - 1) // 2
        assert ("no attempt left" in answer.json()["error"]["message"]) is (calls == 1)
        fake.clear_faults()
        assert chat.post(BODY).status_code == 200
