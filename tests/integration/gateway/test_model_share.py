"""A smart model's share of what `auto` routes, over a real socket."""

from typing import Any

import pytest

from tests.chat_server import ChatServer, logged
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

LONG = "Compare these two designs and weigh their trade-offs, step by step. " * 120


def answered_by(chat: ChatServer, number: int, name: str = "auto", *, api_key: str | None = None) -> str:
    body = {"model": name, "messages": [{"role": "user", "content": f"{number}. {LONG}"}], "max_tokens": 5}
    answer = chat.post(body, api_key=api_key)
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


def test_a_tenant_s_own_cap_takes_the_place_of_the_stack_s(smart: ChatServer) -> None:
    half, none = smart.tenant("half", smart_model_max_percent=50), smart.tenant("none", smart_model_max_percent=100)
    for number in range(20):
        assert answered_by(smart, number, api_key=none) == "scarce"
        assert answered_by(smart, number, api_key=half) == "scarce"
    # The stack's cap is on what all tenants ask together, theirs on what they ask themselves.
    assert answered_by(smart, 20) == "wide"
    assert answered_by(smart, 20, api_key=none) == "scarce"
    assert [answered_by(smart, number, api_key=half) for number in range(20, 24)] == ["wide"] * 4


def test_the_share_is_a_metric(smart: ChatServer) -> None:
    with logged() as lines:
        answered_by(smart, 0)
        answered_by(smart, 0)
        answered_by(smart, 1, "scarce")
        smart.post({"model": "auto", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 5})
    shares = [each.get("SmartModelShare") for each in lines() if each.get("message") == "request"]
    # A hit of the cache is nobody's, and who names a model routes nothing.
    assert shares == [100, None, None, 0]
