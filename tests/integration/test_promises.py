"""Ways in which a quota or a budget could be passed or lost, each once found and closed."""

from typing import Any

import httpx
import openai
import pytest

from sluice.quota.ledger import Ledger
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider

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
