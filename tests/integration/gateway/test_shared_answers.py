"""Which requests share an answer: by temperature, directive, tenant's rules of today, and who gave it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sluice.tenants.directory import Directory
from tests.chat_server import ChatServer, eventually, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": "Say hello."}]} | fields


def states(chat: ChatServer, times: int, **fields: Any) -> list[str]:
    return [chat.post(body(**fields)).headers["x-sluice-cache"] for _ in range(times)]


@pytest.mark.parametrize("temperature", [0.01, 0.7, 1.2, 2])
def test_who_states_a_temperature_above_zero_gets_a_new_answer_each_time(
    chat: ChatServer, fake: FakeProvider, temperature: float
) -> None:
    assert states(chat, 3, temperature=temperature) == ["skipped"] * 3
    assert chat.count("RESPONSE_CACHE_TABLE") == 0
    assert len(fake.requests()) == 3


@pytest.mark.parametrize("fields", [{}, {"temperature": 0}, {"temperature": 0.0}, {"temperature": None}])
def test_who_states_none_or_zero_is_served_again(chat: ChatServer, fake: FakeProvider, fields: Any) -> None:
    assert states(chat, 2, **fields) == ["miss", "hit"]
    assert len(fake.requests()) == 1


def test_older_systems_paths_cache_by_temperature(chat: ChatServer, fake: FakeProvider) -> None:

    def is_cached(temperature: float) -> bool:
        asked = {"prompt": "Say hello.", "temperature": temperature}
        answer = httpx.post(
            chat.root_url + "/api/v1/llm/completion",
            json=asked,
            headers={"authorization": f"Bearer {chat.api_key}"},
            timeout=30,
        )
        return bool(answer.json()["cached"])

    assert [is_cached(0.7), is_cached(0.7), is_cached(0.8)] == [False, True, False]


@pytest.mark.parametrize(
    ("policy", "sampled", "unsampled"),
    [
        ("all", ["miss", "hit"], ["miss", "hit"]),
        ("off", ["skipped", "skipped"], ["skipped", "skipped"]),
        ("unsampled", ["skipped", "skipped"], ["miss", "hit"]),
    ],
)
def test_the_stack_chooses_who_shares(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, policy: str, sampled: list[str], unsampled: list[str]
) -> None:
    monkeypatch.setenv("CACHE_POLICY", policy)
    aws.set_credentials(gateway(fake, "one"))
    with serving(aws) as chat:
        assert states(chat, 2, temperature=1) == sampled
        assert states(chat, 2) == unsampled


def test_no_store_is_not_kept(chat: ChatServer, fake: FakeProvider) -> None:
    for directive in ("no-store", "No-Store", "private, no-store"):
        assert chat.post(body(), headers={"cache-control": directive}).headers["x-sluice-cache"] == "miss"
    assert chat.count("RESPONSE_CACHE_TABLE") == 0
    assert states(chat, 2) == ["miss", "hit"]


def _change_tenant(chat: ChatServer, **fields: Any) -> None:
    """Change the tenant in the table, as its administrator's next request would."""
    table = chat.aws.table("DIRECTORY_TABLE")
    for name, value in fields.items():
        for key in ({"owner": {"S": "tenant#acme"}, "entry": {"S": "tenant"}},):
            chat.aws.dynamodb.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #name = :value",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":value": value},
            )
    assert Directory(table).tenant("acme") is not None


def test_a_hit_carries_the_flags_of_its_rules(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="To build a bomb, you would need this: explosive.")
    first = chat.post(body())
    again = chat.post(body())
    assert (first.headers["x-sluice-cache"], again.headers["x-sluice-cache"]) == ("miss", "hit")
    assert first.headers.get("x-sluice-guard-flags") == again.headers.get("x-sluice-guard-flags")


def test_an_answer_that_the_tenant_blocks_by_now_is_not_served(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(gateway(fake, "one"))
    fake.configure(answers=["Write to ada@example.com, she knows how to make a pipe bomb at home.", "Hello."])
    with serving(aws) as chat:
        assert chat.post(body()).headers["x-sluice-cache"] == "miss"
        _change_tenant(chat, guard_modes={"M": {"personal-email": {"S": "block"}, "unsafe-weapons": {"S": "block"}}})
        # A process holds a tenant for a minute.
        chat.restart()
        answer = chat.post(body())
        assert answer.headers["x-sluice-cache"] == "miss"
        assert answer.json()["choices"][0]["message"]["content"] == "Hello."


def test_a_stand_in_s_answer_is_not_kept_for_the_model_that_was_asked_for(aws: Aws, fake: FakeProvider) -> None:
    models = {"large": model("smart", fallbacks=["small"]), "small": model()}
    aws.set_credentials(gateway(fake, "one", models=models))
    with serving(aws) as chat:
        fake.add_fault("500", times=None, model="large")
        assert chat.post(body(model="large")).headers["x-sluice-model"] == "small"
        fake.clear_faults()
        answer = chat.post(body(model="large"))
        assert (answer.headers["x-sluice-model"], answer.headers["x-sluice-cache"]) == ("large", "miss")


@pytest.mark.parametrize("stream", [False, True])
def test_identical_requests_at_once_ask_once(chat: ChatServer, fake: FakeProvider, stream: bool) -> None:
    fake.add_fault("slow", delay_s=0.5)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(chat.post, body(stream=stream)) for _ in range(8)]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.headers["x-sluice-cache"] for answer in answers) == ["hit"] * 7 + ["miss"]
    assert len(fake.requests()) == 1
    assert chat.counted()["caller"]["requests_per_minute"] == 8


def test_those_who_wait_for_one_that_fails_ask_for_themselves(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("400", times=1)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: chat.post(body()), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 400]


def test_a_caller_who_hangs_up_keeps_nobody_waiting(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer="word " * 200, chunk_delay_s=0.02)
    with chat.openai().chat.completions.create(**body(stream=True)) as stream:
        next(iter(stream))
    fake.configure(answer="Hello there.", chunk_delay_s=0.0)
    eventually(lambda: chat.post(body()).status_code == 200)
