"""A smart model's share of what `auto` routes, over a real socket."""

from typing import Any

import pytest

from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

LONG = "Compare these two designs and weigh their trade-offs, step by step. " * 120


def answered_by(chat: ChatServer, number: int, name: str = "auto") -> str:
    body = {"model": name, "messages": [{"role": "user", "content": f"{number}. {LONG}"}], "max_tokens": 5}
    answer = chat.post(body)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-sluice-model"]


@pytest.fixture
def smart(aws: Aws, chat: ChatServer, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """Two smart models, of which the scarce one is asked first, as long as it has at most 15 % of the requests."""
    monkeypatch.setenv("SMART_MODEL_MAX_PERCENT", "15")
    monkeypatch.setenv("SMART_MODELS", "scarce")
    monkeypatch.setenv("CALLER_REQUESTS_PER_MINUTE", "1000")
    wide: dict[str, Any] = {"limits": {"requests_per_minute": 10_000}}
    models = {"small": model("fast", **wide), "scarce": model("smart", **wide), "wide": model("smart", **wide)}
    aws.set_credentials(gateway(fake, "fake-1", models=models))
    chat.restart()
    return chat


def test_a_scarce_model_is_spared_while_another_of_its_tier_is_able(smart: ChatServer, fake: FakeProvider) -> None:
    assert {answered_by(smart, number) for number in range(20)} == {"scarce"}
    assert [answered_by(smart, number) for number in range(20, 26)] == ["wide"] * 6
    # Whoever names it gets it, and it stands in where the other fails.
    assert answered_by(smart, 26, "scarce") == "scarce"
    fake.add_fault("500", times=1)
    assert answered_by(smart, 27) == "scarce"
