"""Operations and usage on the deployed stack: what the chat app counted, the functions show."""

from typing import Any

import httpx

from tests.e2e.conftest import FAKE_MODEL
from tools.stack import RunningStack


def get(stack: RunningStack, path: str, key: str) -> httpx.Response:
    root = stack.stack.base_url.removesuffix("/v1")
    return httpx.get(root + path, headers={"authorization": f"Bearer {key}"}, timeout=60)


def ask(stack: RunningStack) -> dict[str, Any]:
    root = stack.stack.base_url.removesuffix("/v1")
    answer = httpx.post(
        f"{root}/api/v1/llm/completion",
        json={"prompt": "What do operators see?", "model": FAKE_MODEL, "user_id": "ada@school.example"},
        headers={"authorization": f"Bearer {stack.stack.api_key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_operators_see_what_was_asked_and_clear_what_is_cached(stack: RunningStack) -> None:
    operator = stack.stack.operator_key
    before = get(stack, "/api/groq/cache/stats", operator).json()
    assert [ask(stack)["cached"], ask(stack)["cached"]] == [False, True]
    after = get(stack, "/api/groq/cache/stats", operator).json()
    assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (1, 1)
    [row] = [
        each
        for each in get(stack, "/api/groq/quota", operator).json()["data"]
        if each["deployment"] == f"fake-1#{FAKE_MODEL}"
    ]
    assert row["warnings"] == []
    health = get(stack, "/api/groq/health", operator).json()
    assert {each["circuit"] for each in health["data"]} == {"CLOSED"}
    root = stack.stack.base_url.removesuffix("/v1")
    cleared = httpx.post(f"{root}/api/groq/cache/clear", headers={"authorization": f"Bearer {operator}"}, timeout=60)
    assert cleared.status_code == 200
    assert ask(stack)["cached"] is False
    assert get(stack, "/api/groq/quota", stack.stack.api_key).status_code == 403


def test_a_user_s_usage_is_found_by_its_name(stack: RunningStack) -> None:
    ask(stack)
    shown = get(stack, "/api/v1/llm/usage/ada%40school.example", stack.stack.api_key)
    assert shown.status_code == 200, shown.text
    assert shown.json()["user_id"] == "ada@school.example"
    assert shown.json()["totals"]["requests"] >= 1
    assert get(stack, "/api/v1/llm/usage/nobody", stack.stack.api_key).status_code == 404
