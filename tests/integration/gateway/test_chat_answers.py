"""Answers on their way back: guarded, repaired, cached, logged; and many at once."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.chat_server import ChatServer, logged, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider

SECRET = "sk-proj-Zq8Lw3Xv9Bn2Mk5Jh7Gf4Ds6Ap1Qo0RtYuIeWqZxCvBn"
JSON_OBJECT = {"type": "json_object"}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
    },
}


@pytest.fixture
def rich(chat: ChatServer) -> str:
    return chat.tenant("rich", budget_usd_per_month="10")


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": "Say hello."}]} | fields


def content_of(answer: httpx.Response) -> Any:
    return answer.json()["choices"][0]["message"]["content"]


def streamed_text(answer: httpx.Response) -> str:
    events = [json.loads(part[6:]) for part in answer.text.split("\n\n") if part.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", []))


def usage_of(chat: ChatServer) -> Counter[str]:
    total: Counter[str] = Counter()
    items = chat.aws.dynamodb.scan(TableName=chat.aws.table("USAGE_TABLE"))["Items"]
    for item in (item for item in items if "requests" in item):  # the others say what is cached
        for name in ("requests", "errors", "cache_hits", "prompt_tokens", "completion_tokens", "cost_nanousd"):
            total[name] += int(item[name]["N"])
    return total


def test_a_leaked_secret_is_withheld_paid_for_and_not_cached(chat: ChatServer, fake: FakeProvider, rich: str) -> None:
    fake.configure(answer=f"The key is {SECRET}.", usage={"prompt_tokens": 30, "completion_tokens": 40})
    for _ in range(2):
        answer = chat.post(body(), api_key=rich)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "secret-api-key"
        assert SECRET not in answer.text
    assert chat.count("RESPONSE_CACHE_TABLE") == 0
    counted = chat.counted()
    assert counted["deployment"]["tokens_per_minute"] == 140
    assert counted["tenant"]["nanousd_per_month"] == 2 * (30 * 1000 + 40 * 2000)
    assert usage_of(chat)["errors"] == 2
    fake.configure(answer=None)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"const": {"key": SECRET}}}}
    assert SECRET not in chat.post(body(tools=[tool]), api_key=rich).text


def test_a_rule_that_is_off_or_flags_lets_the_answer_pass(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer=f"The key is {SECRET}.")
    for mode in ("flag", "off"):
        key = chat.tenant(mode, guard_modes={"secret-api-key": mode})
        answer = chat.post(body(), api_key=key)
        assert answer.status_code == 200
        assert SECRET in content_of(answer)
        assert answer.headers.get("x-sluice-guard-flags") == ("secret-api-key" if mode == "flag" else None)


def test_invalid_json_is_asked_for_once_more(chat: ChatServer, fake: FakeProvider, rich: str) -> None:
    fake.configure(answers=["This is not JSON.", '{"a": 1}'])
    answer = chat.post(body(response_format=JSON_OBJECT), api_key=rich)
    assert answer.status_code == 200
    assert content_of(answer) == '{"a": 1}'
    assert len(fake.requests()) == 2
    counted = chat.counted()
    assert counted["deployment"]["requests_per_minute"] == 2
    assert counted["caller"] == {"requests_per_minute": 1, "requests_per_day": 1}
    assert counted["tenant"]["nanousd_per_month"] == usage_of(chat)["cost_nanousd"]
    assert content_of(chat.post(body(response_format=JSON_OBJECT), api_key=rich)) == '{"a": 1}'
    assert len(fake.requests()) == 2


@pytest.mark.parametrize(("response_format", "said"), [(JSON_OBJECT, "Not JSON."), (SCHEMA, '{"a": "Rosalind"}')])
def test_twice_invalid_json_is_a_502_and_not_cached(
    chat: ChatServer, fake: FakeProvider, response_format: Any, said: str
) -> None:
    fake.configure(answer=said)
    answer = chat.post(body(response_format=response_format))
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "server_error"
    assert "Rosalind" not in answer.text
    assert len(fake.requests()) == 2
    assert chat.count("RESPONSE_CACHE_TABLE") == 0


def test_json_is_repaired_where_that_is_safe(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answer='Here you are:\n```json\n{"a": 1,}\n```')
    answer = chat.post(body(response_format=SCHEMA))
    assert json.loads(content_of(answer)) == {"a": 1}
    assert len(fake.requests()) == 1
    assert json.loads(content_of(chat.post(body(response_format=SCHEMA)))) == {"a": 1}


def test_json_that_was_cut_off_is_answered_as_it_is_not_asked_for_again_and_not_cached(
    chat: ChatServer, fake: FakeProvider
) -> None:
    fake.configure(answer='{"a": "one two three four five six"}')
    for asked in (1, 2):
        answer = chat.post(body(response_format=JSON_OBJECT, max_tokens=3))
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["finish_reason"] == "length"
        assert answer.headers["x-sluice-cache"] == "miss"
        assert len(fake.requests()) == asked


def test_the_second_identical_request_is_a_hit_whole_or_streamed(
    chat: ChatServer, fake: FakeProvider, rich: str
) -> None:
    for first, second, seed in ((False, False, 1), (False, True, 2), (True, False, 3), (True, True, 4)):
        before = chat.counted()
        missed = chat.post(body(stream=first, seed=seed), api_key=rich)
        text = streamed_text(missed) if first else content_of(missed)
        asked = len(fake.requests())
        spent = chat.counted()
        assert spent["deployment"] != before.get("deployment")
        hit = chat.post(body(stream=second, seed=seed), api_key=rich)
        assert (streamed_text(hit) if second else content_of(hit)) == text == "Hello there."
        assert missed.headers["x-sluice-cache"] == "miss"
        assert hit.headers["x-sluice-cache"] == "hit"
        assert hit.headers["x-sluice-cost-usd"] == "0"
        assert hit.headers["x-sluice-deployment"] == "fake-1#small"
        assert len(fake.requests()) == asked == seed
        after = chat.counted()
        assert after["deployment"] == spent["deployment"]
        assert after["tenant"] == spent["tenant"]
        assert after["caller"]["requests_per_minute"] == 2 * seed
    assert usage_of(chat)["cache_hits"] == 4
    assert usage_of(chat)["requests"] == 8


def test_no_cache_asks_anew_and_keeps_the_new_answer(chat: ChatServer, fake: FakeProvider) -> None:
    fake.configure(answers=["first", "second"])
    assert content_of(chat.post(body())) == "first"
    fresh = chat.post(body(), headers={"cache-control": "No-Cache"})
    assert content_of(fresh) == "second"
    assert fresh.headers["x-sluice-cache"] == "skipped"
    assert content_of(chat.post(body())) == "second"
    assert len(fake.requests()) == 2


def test_tenants_never_share_an_answer_and_callers_of_one_do(chat: ChatServer, fake: FakeProvider) -> None:
    other, never = chat.tenant("other"), chat.tenant("never", cache_ttl_seconds=0)
    for key, cache in [
        (chat.api_key, "miss"),
        (chat.key("acme"), "hit"),
        (other, "miss"),
        (never, "skipped"),
        (never, "skipped"),
    ]:
        assert chat.post(body(), api_key=key).headers["x-sluice-cache"] == cache
    assert chat.count("RESPONSE_CACHE_TABLE") == 2


@pytest.fixture
def stormy(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "1")
    aws.set_credentials(gateway(fake, "log-1", timeout_s=0.3))
    with serving(aws) as chat:
        yield chat


def test_no_prompt_answer_or_key_is_ever_logged(
    stormy: ChatServer, fake: FakeProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("Quokkaprompt", "Wombatanswer", "Numbatarguments", "key-log-1", stormy.api_key.split("-")[2])
    fake.configure(answer="Wombatanswer is what I say, and more of it.")
    sent = body(
        messages=[{"role": "user", "content": "Quokkaprompt, please."}],
        tools=[{"type": "function", "function": {"name": "Numbatarguments", "parameters": {}}}],
    )
    with logged() as lines:
        for streamed in (False, True):
            fake.clear_faults()
            assert stormy.post(sent | {"stream": streamed}).status_code == 200
            faults = ["400", "500", "401", "429", "garbage", "cut", "hang", "raw", "error_midway", "content_not_text"]
            for seed, fault in enumerate(faults):
                fake.clear_faults()
                fake.add_fault(fault, times=None, message=f"Quokkaprompt Wombatanswer {words[3]}", retry_after="0")
                stormy.post(sent | {"stream": streamed, "seed": seed})
            stormy.post(sent | {"stream": streamed, "max_tokens": -1})
            stormy.post(json.dumps(sent)[:-1])
            stormy.post(sent | {"response_format": JSON_OBJECT, "seed": 99, "stream": streamed})
            stormy.post(sent, api_key=stormy.api_key[:-1] + "x")
        written = lines()
    captured = capfd.readouterr()
    text = json.dumps(written) + captured.out + captured.err
    for word in words:
        assert word not in text
    answered = [line for line in written if line.get("outcome") == "answered"]
    assert len(answered) >= 2
    wanted = {"request_id", "deployment", "model", "complexity", "cache", "attempts", "cost_usd", "tenant", "caller"}
    for line in answered:
        assert wanted <= line.keys()
        assert line["deployment"] == "log-1#small"
        assert line["tenant"] == "acme"


def test_64_callers_at_once_are_counted_exactly_and_never_over_the_limit(aws: Aws, fake: FakeProvider) -> None:
    limits = {"requests_per_minute": 1000, "tokens_per_minute": 10**7}
    aws.set_credentials(*(gateway(fake, f"m-{number}", models={"small": model(limits=limits)}) for number in range(2)))
    fake.configure(answer=None, latency_s=0.02)
    with serving(aws) as chat:
        chat.tenant("crowd", budget_usd_per_month="10")
        key = chat.key("crowd", limits={"requests_per_minute": 100, "requests_per_day": 1000})

        def ask(number: int) -> tuple[int, str]:
            sent = body(messages=[{"role": "user", "content": f"Number {number}"}], stream=number % 3 == 0)
            answer = chat.post(sent, api_key=key)
            if answer.status_code != 200:
                assert 1 <= int(answer.headers["retry-after"]) <= 63
                return answer.status_code, ""
            text = streamed_text(answer) if number % 3 == 0 else content_of(answer)
            assert text == f"Echo: Number {number}"
            return 200, text

        with ThreadPoolExecutor(64) as crowd:
            answers = list(crowd.map(ask, range(128)))
        assert Counter(status for status, _ in answers) == {200: 100, 429: 28}
        assert len({text for _, text in answers}) == 101
        assert len(fake.requests()) == 100
        for scope, state in chat.quota().items():
            if scope.startswith("caller#crowd"):
                assert state.totals == {"requests_per_minute": 100, "requests_per_day": 100}
        used = usage_of(chat)
        assert used["requests"] == 100
        taken = [state.totals for scope, state in chat.quota().items() if scope.startswith("deployment#")]
        assert sum(totals["requests_per_minute"] for totals in taken) == 100
        tokens = used["prompt_tokens"] + used["completion_tokens"]
        assert sum(totals["tokens_per_minute"] for totals in taken) == tokens
        assert chat.quota()["tenant#crowd"].totals["nanousd_per_month"] == used["cost_nanousd"]
