"""A gateway of LiteLLM's shape as a provider: what answers cost is what it says, where nobody else says it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from functions.operations.app import ROUTES
from tests.chat_server import ChatServer, eventually, serving
from tests.conftest import Aws
from tests.fakes.litellm import COST_USD, KEY, FakeLiteLlm, key_info, page
from tests.rest_function import RestFunction
from tests.scripted_server import ScriptedServer, answer, close, http, keep_silent, raw

HELLO: list[Any] = [{"role": "user", "content": "A secret question."}]
PATH = "/api/v1/ai/gateway/key-info"
VECTORS = {"vectors": {"dimensions": 2}}
PRICE = {"prompt_usd": 1.0, "completion_usd": 1.0}


@pytest.fixture
def gateway() -> Iterator[FakeLiteLlm]:
    with ScriptedServer() as server:
        yield FakeLiteLlm(server)


def credential(gateway: FakeLiteLlm, alias: str = "lite", **more: Any) -> dict[str, Any]:
    models = {"small": {"tier": "fast"}, "priced": {"tier": "fast", "price": PRICE}, "embed": VECTORS}
    entry = {"provider": "custom_gateway", "alias": alias, "api_key": KEY, "base_url": gateway.base_url}
    return entry | {"models": models} | more


@pytest.fixture
def chat(aws: Aws, gateway: FakeLiteLlm, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("MAX_RETRIES", "0")
    aws.set_credentials(credential(gateway))
    with serving(aws) as server:
        yield server


def ask(chat: ChatServer, model: str = "small") -> httpx.Response:
    answered = chat.post({"model": model, "messages": HELLO}, headers={"cache-control": "no-cache"})
    assert answered.status_code == 200, answered.text
    return answered


def recorded_nanousd(chat: ChatServer) -> int:
    return sum(int(item["cost_nanousd"]["N"]) for item in chat.aws.items("USAGE_TABLE") if "cost_nanousd" in item)


def test_an_answer_costs_what_the_gateway_says(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    assert float(ask(chat).headers["x-sluice-cost-usd"]) == COST_USD
    eventually(lambda: recorded_nanousd(chat) == 1_230_000)
    [asked] = gateway.asked("/spend/calculate")
    assert asked["completion_response"]["model"] == "small"
    assert asked["completion_response"]["usage"]["total_tokens"] == 11
    assert "Hello." not in json.dumps(asked)
    assert "secret" not in json.dumps(asked)


def test_a_stream_costs_what_the_gateway_says_once_it_has_ended(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    chunks = list(chat.openai().chat.completions.create(model="small", messages=HELLO, stream=True))
    assert chunks
    eventually(lambda: recorded_nanousd(chat) == 1_230_000)
    assert len(gateway.asked("/spend/calculate")) == 1


def test_vectors_cost_what_the_gateway_says(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    found = chat.openai().embeddings.with_raw_response.create(model="embed", input=["one", "two"])
    assert float(found.headers["x-sluice-cost-usd"]) == COST_USD
    [asked] = gateway.asked("/spend/calculate")
    assert asked["completion_response"]["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    eventually(lambda: recorded_nanousd(chat) == 1_230_000)


def test_a_model_with_a_price_costs_that_and_nobody_is_asked(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    assert float(ask(chat, "priced").headers["x-sluice-cost-usd"]) == 0.000011
    assert gateway.asked("/spend/calculate") == []


@pytest.mark.parametrize(
    "act",
    [
        answer({"cost": 0.0}),
        answer({"cost": -1}),
        answer({"cost": 1e30}),
        answer({"cost": True}),
        answer({"cost": "0.5"}),
        answer({"cost": None}),
        answer({}),
        answer([1]),
        raw(http(b'{"cost": NaN}')),
        raw(http(b'{"cost": 1e999}')),
        raw(http(b"not JSON")),
        page(200),
        page(404),
        answer({"error": "broken"}, 500),
        answer({"error": "who?"}, 401),
        close,
    ],
    ids=lambda act: getattr(act, "__name__", ""),
)
def test_a_cost_that_can_t_be_had_is_not_known_and_the_answer_is_given(
    chat: ChatServer, gateway: FakeLiteLlm, act: Any
) -> None:
    gateway.acts["/spend/calculate"] = lambda _: act
    assert "x-sluice-cost-usd" not in ask(chat).headers
    vectors = chat.openai().embeddings.with_raw_response.create(model="embed", input="one")
    assert "x-sluice-cost-usd" not in vectors.headers
    flat = chat.root_url + "/api/v1/llm/completion"
    sent = {"authorization": f"Bearer {chat.api_key}"}
    said = httpx.post(flat, headers=sent, json={"prompt": "Hello?", "model": "small"}, timeout=60).json()
    assert said["cost_usd"] is None


def test_a_gateway_that_is_slow_to_say_it_is_not_waited_for(
    chat: ChatServer, gateway: FakeLiteLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.providers.custom_gateway._COST_TIMEOUT_S", 0.1)
    gateway.acts["/spend/calculate"] = lambda _: keep_silent
    assert "x-sluice-cost-usd" not in ask(chat).headers


def test_the_gateway_is_found_whether_its_url_ends_in_v1_or_not(
    aws: Aws, chat: ChatServer, gateway: FakeLiteLlm
) -> None:
    aws.set_credentials(credential(gateway, base_url=gateway.base_url + "/"))
    chat.restart()
    assert float(ask(chat).headers["x-sluice-cost-usd"]) == COST_USD


# ---- What keys have left ----


def shown(chat: ChatServer, role: str = "operator", status: int = 200) -> Any:
    """What is shown to somebody of the role."""
    found = RestFunction(ROUTES, chat.key("acme", role=role)).send(f"GET {PATH}")
    assert found.status == status, found.raw
    assert KEY not in found.raw
    return found.body


def test_operators_see_what_a_key_has_spent_and_has_left_and_never_the_key(
    chat: ChatServer, gateway: FakeLiteLlm
) -> None:
    assert shown(chat) == {
        "object": "list",
        "total_spend": 1.5,
        "data": [
            {
                "credential": "lite",
                "base_url": gateway.base_url,
                "status": "ok",
                "spend": 1.5,
                "max_budget": 10.0,
                "remaining": 8.5,
                "expires": "2027-01-01T00:00:00+00:00",
                "models": ["gpt-4o", "text-embedding-3-small"],
            }
        ],
    }


def test_a_key_without_a_budget_or_an_end_says_so(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    gateway.acts["/key/info"] = lambda _: answer(key_info(max_budget=None, expires=None, models=[]))
    [row] = shown(chat)["data"]
    assert (row["spend"], row["max_budget"], row["remaining"], row["expires"], row["models"]) == (
        1.5,
        None,
        None,
        None,
        [],
    )


def test_a_key_over_its_budget_has_nothing_left(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    gateway.acts["/key/info"] = lambda _: answer(key_info(spend=12))
    assert shown(chat)["data"][0]["remaining"] == 0


def test_what_can_t_be_is_not_believed_and_the_key_is_not_repeated(chat: ChatServer, gateway: FakeLiteLlm) -> None:
    lies = {"spend": -3, "max_budget": "much", "expires": KEY, "models": [KEY, f"gpt {KEY}", 7, "", "x" * 300, "ok"]}
    gateway.acts["/key/info"] = lambda _: answer(key_info(**lies))
    found = shown(chat)
    [row] = found["data"]
    assert found["total_spend"] is None
    assert (row["spend"], row["max_budget"], row["remaining"], row["expires"]) == (None, None, None, None)
    assert row["models"] == ["ok"]


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (page(404), "unreadable"),
        (page(200), "unreadable"),
        (answer({"detail": "Not Found"}, 404), "unreadable"),
        (answer({"info": None}), "unreadable"),
        (answer([KEY]), "unreadable"),
        (answer({"error": {"message": f"the key {KEY} is unknown"}}, 401), "refused"),
        (answer({"error": "broken"}, 500), "unreachable"),
        (close, "unreadable"),
    ],
)
def test_a_gateway_that_says_nothing_of_its_key_is_told_by_its_status(
    chat: ChatServer, gateway: FakeLiteLlm, act: Any, status: str
) -> None:
    gateway.acts["/key/info"] = lambda _: act
    found = shown(chat)
    assert found["total_spend"] is None
    assert [row["status"] for row in found["data"]] == [status]


def test_a_gateway_that_does_not_answer_is_not_waited_for(
    chat: ChatServer, gateway: FakeLiteLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.providers.custom_gateway._KEY_TIMEOUT_S", 0.1)
    gateway.acts["/key/info"] = lambda _: keep_silent
    assert [row["status"] for row in shown(chat)["data"]] == ["unreachable"]


def test_several_keys_are_summed_up_and_without_any_there_is_nothing_to_show(
    aws: Aws, chat: ChatServer, gateway: FakeLiteLlm
) -> None:
    aws.set_credentials(credential(gateway), credential(gateway, "other"))
    found = shown(chat)
    assert found["total_spend"] == 3.0
    assert [row["credential"] for row in found["data"]] == ["lite", "other"]
    aws.set_credentials()
    shown(chat, status=404)


def test_callers_do_not_see_it(chat: ChatServer) -> None:
    shown(chat, role="caller", status=403)
