"""Ways in which a quota or a budget could be passed or lost, each once found and closed."""

import base64
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET, budget_limit
from sluice.quota.scopes import tenant_scope
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider

WIDE = {"requests_per_minute": 100, "tokens_per_minute": 100_000}
HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
DEAR = {"tier": "fast", "price": {"prompt_usd": 1000.0, "completion_usd": 2000.0}}


def credential(fake: FakeProvider, alias: str, **model: Any) -> dict[str, Any]:
    """A credential for the model `small`."""
    return {
        "provider": "gateway",
        "alias": alias,
        "api_key": alias,
        "base_url": fake.openai_url,
        "models": {"small": {**DEAR, **model}},
    }


def test_calls_that_may_have_cost_something_are_paid_for_before_the_next(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(credential(fake, "cut-1"), credential(fake, "cut-2"))
    fake.add_fault("cut", times=None)
    with serving(aws) as chat:
        key = chat.tenant("poor", budget_usd_per_month=2.5)
        with pytest.raises(openai.APIStatusError):
            chat.openai(key).chat.completions.create(model="small", messages=HELLO, max_tokens=500)
        assert 0 < chat.counted()["tenant"]["nanousd_per_month"] <= 2_500_000_000


def test_an_answer_that_nobody_counted_costs_at_least_what_was_seen_of_it(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(credential(fake, "silent-1", limits={"tokens_per_minute": 100_000}))
    fake.configure(answer="word " * 4_000)
    fake.add_fault("no_usage", times=None)
    with serving(aws) as chat:
        key = chat.tenant("rich", budget_usd_per_month=1_000)
        for stream in (False, True):
            before = chat.counted().get("deployment", {}).get("tokens_per_minute", 0)
            body = {"model": "small", "messages": HELLO, "stream": stream}
            response = chat.post(body, api_key=key, headers={"cache-control": "no-cache"})
            assert response.status_code == 200
            assert chat.counted()["deployment"]["tokens_per_minute"] - before >= 4_000
        assert chat.counted()["tenant"]["nanousd_per_month"] >= 2 * 4_000 * 2_000_000


def test_a_caller_is_counted_for_a_paid_answer_even_if_the_second_one_fails(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(credential(fake, "once-1", limits={"requests_per_minute": 1}))
    fake.configure(answer="not JSON")
    with serving(aws) as chat:
        response = chat.post({"model": "small", "messages": HELLO, "response_format": {"type": "json_object"}})
        assert response.status_code == 429
        assert chat.counted()["caller"]["requests_per_minute"] == 1
        assert chat.counted()["deployment"]["requests_per_minute"] == 1


def test_a_deployment_whose_quota_cannot_be_counted_does_not_stop_the_others(aws: Aws, fake: FakeProvider) -> None:
    limits = {"limits": {"requests_per_minute": 10}}
    aws.set_credentials(credential(fake, "broken-1", **limits), credential(fake, "sound-1", **limits))
    # So large that DynamoDB refuses every update that adds to it.
    aws.dynamodb.put_item(
        TableName=aws.table("QUOTA_TABLE"),
        Item={"scope": {"S": "deployment#broken-1#small"}, "ballast": {"S": "x" * (400 * 1024 - 40)}},
    )
    with serving(aws) as chat:
        answer = chat.openai().chat.completions.with_raw_response.create(model="small", messages=HELLO)
        assert answer.headers["x-sluice-deployment"] == "sound-1#small"


def test_a_scope_without_limits_expires(aws: Aws) -> None:
    ledger = Ledger(aws.table("QUOTA_TABLE"))
    ledger.reserve("d", (), {"requests_per_minute": 1})
    [item] = aws.items("QUOTA_TABLE")
    assert int(item["expires_at"]["N"]) > ledger.now_ms() // 1000


def test_a_default_bound_is_reserved_and_sent(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.set_credentials(credential(fake, "bounded-1", limits={"tokens_per_minute": 1_000}))
    monkeypatch.setenv("DEFAULT_MAX_TOKENS", "200")
    with serving(aws) as chat:
        assert chat.post({"model": "small", "messages": HELLO}).status_code == 200
        assert fake.last_body()["max_tokens"] == 200
        assert chat.post({"model": "small", "messages": HELLO, "max_tokens": 7}).status_code == 200
        assert fake.last_body()["max_tokens"] == 7


def test_a_slow_model_is_asked_for_no_longer_an_answer_than_it_has_time_for(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials({"provider": "local", "alias": "local-1", "base_url": fake.openai_url})
    with serving(aws) as chat:
        for limit in ({"max_tokens": 4_000}, {"max_completion_tokens": 1_281}):
            assert chat.post({"model": "auto", "messages": HELLO, **limit}).status_code == 200
            sent = fake.last_body()
            assert (sent["max_tokens"], "max_completion_tokens" in sent) == (1_280, False)
        assert chat.post({"model": "auto", "messages": HELLO, "max_tokens": 7}).status_code == 200
        assert fake.last_body()["max_tokens"] == 7


def test_hex_digits_are_reserved_as_the_tokens_they_are(chat: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("hang", times=1)
    digits = "0123456789abcdef" * 500  # 8,000 characters, about 4,000 tokens
    with pytest.raises(httpx.TimeoutException):
        httpx.post(
            chat.base_url + "/chat/completions",
            headers={"authorization": f"Bearer {chat.api_key}"},
            json={"model": "small", "messages": [{"role": "user", "content": digits}], "max_tokens": 1},
            timeout=1,
        )
    assert chat.counted()["deployment"]["tokens_per_minute"] >= 3_000


def spent_usd(chat: ChatServer) -> float:
    return chat.counted()["tenant"].get("nanousd_per_month", 0) / 1e9


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_no_budget_is_overrun_by_many_at_once_whose_prompts_cost_more_than_they_look(
    aws: Aws, fake: FakeProvider, field: str
) -> None:
    """A provider that counts a token for each character, as nobody does."""
    aws.set_credentials(credential(fake, "dear-1", price={"prompt_usd": 2.0, "completion_usd": 2.0}))
    prompt = base64.b64encode(random.Random(3).randbytes(3_000)).decode()
    fake.configure(usage={"prompt_tokens": len(prompt) + 30, "completion_tokens": 1}, latency_s=0.2)
    with serving(aws) as chat:
        key = chat.tenant("poor", budget_usd_per_month=0.1)

        def ask(number: int) -> int:
            body = {"model": "small", "messages": [{"role": "user", "content": f"{number} {prompt}"}], field: 1}
            return chat.post(body, api_key=key).status_code

        with ThreadPoolExecutor(20) as callers:
            statuses = list(callers.map(ask, range(40)))
        assert set(statuses) == {200, 429}
        # Of many at once some may be refused that would have fitted, while others hold more than they cost. A refusal
        # is believed for a while, and what they held is given back.
        ends_at_s = time.monotonic() + 20
        while spent_usd(chat) <= 0.08 and time.monotonic() < ends_at_s:
            statuses.append(ask(len(statuses)))
            if statuses[-1] != 200:
                time.sleep(0.5)
        assert statuses.count(200) == len(fake.requests())
        assert 0.08 < spent_usd(chat) <= 0.1


def test_what_could_cost_more_than_is_left_is_refused_and_told_so(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(credential(fake, "dear-1", price={"prompt_usd": 0.0, "completion_usd": 100.0}))
    with serving(aws) as chat:
        key = chat.tenant("poor", budget_usd_per_month=0.1)
        body = {"model": "small", "messages": HELLO}
        refused = chat.post(body, api_key=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert "The tenant has $0.1 left this month" in refused.json()["error"]["message"]
        assert "lower max_tokens" in refused.json()["error"]["message"]
        assert "retry-after" not in refused.headers
        assert chat.post(body | {"max_tokens": 900}, api_key=key).status_code == 200
        assert not any("dollars" in request["raw"] for request in fake.requests())


def test_another_process_that_spent_a_budget_is_noticed(aws: Aws, fake: FakeProvider) -> None:
    """What this process saw of the budget is old: it reserves by what the write answers."""
    aws.set_credentials(credential(fake, "dear-1", price={"prompt_usd": 0.0, "completion_usd": 100.0}))
    with serving(aws) as chat:
        key = chat.tenant("shared", budget_usd_per_month=10)
        body = {"model": "small", "messages": HELLO}
        assert chat.post(body, api_key=key).status_code == 200
        other = Ledger(aws.table("QUOTA_TABLE"))
        left = 10_000_000_000 - chat.counted()["tenant"]["nanousd_per_month"]
        other.reserve(tenant_scope("shared"), (budget_limit(10_000_000_000),), {BUDGET: left - 60_000_000})
        refused = chat.post(body | {"seed": 1}, api_key=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert "may cost" in refused.json()["error"]["message"]
        assert chat.counted()["tenant"]["nanousd_per_month"] == 10_000_000_000 - 60_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_provider_refuses_was_sent_and_stays_counted(aws: Aws, fake: FakeProvider, stream: bool) -> None:
    aws.set_credentials(credential(fake, "strict-1", limits={"requests_per_minute": 10}))
    fake.add_fault("400", times=None)
    with serving(aws) as chat:
        chat.tenant("school")
        key = chat.key("school", limits={"requests_per_minute": 5})

        def ask(number: int) -> int:
            body = {"model": "small", "messages": HELLO, "seed": number, "stream": stream}
            return chat.post(body, api_key=key).status_code

        with ThreadPoolExecutor(20) as callers:
            statuses = list(callers.map(ask, range(60)))
        assert (statuses.count(400), statuses.count(429)) == (5, 55)
        assert len(fake.requests()) == 5
        assert chat.counted()["caller"]["requests_per_minute"] == 5
        assert chat.counted()["deployment"]["requests_per_minute"] == 5


def test_an_outage_of_three_deployments_is_counted_call_by_call_and_not_multiplied(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_SECONDS", "4")
    aws.set_credentials(*(credential(fake, f"down-{number}", limits=WIDE) for number in range(3)))
    fake.add_fault("504", times=None)
    with serving(aws) as chat:
        key = chat.tenant("rich", budget_usd_per_month=1_000)
        statuses = [
            chat.post({"model": "small", "messages": HELLO, "seed": number, "max_tokens": 20}, api_key=key).status_code
            for number in range(6)
        ]
        assert set(statuses) <= {503, 504}
        deployments = [state.totals for scope, state in chat.quota().items() if scope.startswith("deployment#")]
        asked = len(fake.requests())
        assert 3 <= asked <= 15  # five each, then the circuits are open
        assert sum(totals["requests_per_minute"] for totals in deployments) == asked
        assert all(totals["tokens_per_minute"] > 20 * totals["requests_per_minute"] for totals in deployments)
        # What may have been billed is paid for: 20 tokens of each call at least.
        assert chat.counted()["tenant"]["nanousd_per_month"] >= asked * 20 * 2_000_000
