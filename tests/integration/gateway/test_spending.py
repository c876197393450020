"""Budgets and limits of tokens of API keys and of users, beside their tenant's budget."""

import base64
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sluice.quota.item import QuotaItem
from tests.chat_server import ChatServer, eventually, serving
from tests.conftest import Aws
from tests.counted import counted
from tests.credentials import gateway, model
from tests.dynamodb_calls import counting
from tests.fakes.client import FakeProvider

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
ADA = {"metadata": {"sluice_user": "ada"}}
RICH = {"budget_usd_per_month": 1_000}


def dear(fake: FakeProvider, prompt_usd: float, completion_usd: float) -> dict[str, Any]:
    price = {"prompt_usd": prompt_usd, "completion_usd": completion_usd}
    return gateway(fake, "dear-1", models={"small": model(price=price, limits={})})


def limited(chat: ChatServer, whose: str, limits: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A key whose own limits these are, or its user's, or its tenant's, and what a request of it says of its user."""
    if whose == "tenant":
        return chat.tenant("poor", **limits), {}
    if whose == "key":
        chat.tenant("poor", **RICH)
        return chat.key("poor", limits=limits), {}
    if whose == "user of a tenant":
        return chat.tenant("poor", **RICH, user_limits=limits), ADA
    chat.tenant("poor", **RICH, user_limits={"budget_usd_per_month": 1_000})
    return chat.key("poor", user_limits=limits), ADA


def spent(chat: ChatServer, name: str = "nanousd_per_month") -> dict[str, int]:
    """What counts of a limit, by the kind of scope."""
    found = {}
    for scope, state in chat.quota().items():
        kind = scope.split("#")[0] if "#user#" not in scope else "user"
        if name in state.totals and kind in {"tenant", "spend", "user"}:
            found[{"spend": "key"}.get(kind, kind)] = state.totals[name]
    return found


@pytest.mark.parametrize("whose", ["key", "user of a tenant", "user of a key"])
def test_no_budget_is_overrun_by_many_at_once_whose_prompts_cost_more_than_they_look(
    aws: Aws, fake: FakeProvider, whose: str
) -> None:
    """A provider that counts a token for each character, as nobody does."""
    aws.set_credentials(dear(fake, 2.0, 2.0))
    prompt = base64.b64encode(random.Random(3).randbytes(3_000)).decode()
    fake.configure(usage={"prompt_tokens": len(prompt) + 30, "completion_tokens": 1}, latency_s=0.1)
    with serving(aws) as chat:
        key, labels = limited(chat, whose, {"budget_usd_per_month": 0.1})

        def ask(number: int) -> int:
            messages = [{"role": "user", "content": f"{number} {prompt}"}]
            return chat.post(
                {"model": "small", "messages": messages, "max_tokens": 1, **labels}, api_key=key
            ).status_code

        with ThreadPoolExecutor(10) as callers:
            statuses = list(callers.map(ask, range(30)))
        assert set(statuses) == {200, 429}
        assert statuses.count(200) == len(fake.requests())
        of = spent(chat)
        assert 80_000_000 < of["key" if whose == "key" else "user"] <= 100_000_000
        assert len(set(of.values())) == 1, of


@pytest.mark.parametrize("whose", ["tenant", "key", "user of a tenant", "user of a key"])
def test_a_refusal_says_whose_budget_it_was_and_gives_back_what_the_others_had_reserved(
    aws: Aws, fake: FakeProvider, whose: str
) -> None:
    aws.set_credentials(dear(fake, 0.0, 100.0))
    with serving(aws) as chat:
        key, labels = limited(chat, whose, {"budget_usd_per_month": 0.01})
        for stream in (False, True):
            body = {"model": "small", "messages": HELLO, "max_tokens": 5_000, "stream": stream, **labels}
            refused = chat.post(body, api_key=key)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (429, "insufficient_quota")
            assert error["message"].startswith(f"The {'API key' if whose == 'key' else whose.split()[0]} ")
            assert "$0.01 of $0.01 is left, and this costs about $0.5" in error["message"]
            assert not any(spent(chat).values())
            # The request is counted no more than its dollars are.
            assert not any(state.totals.get("requests_per_minute") for state in chat.quota().values())
        assert fake.requests() == []
        assert (
            chat.post({"model": "small", "messages": HELLO, "max_tokens": 50, **labels}, api_key=key).status_code == 200
        )


def test_each_user_of_a_key_has_a_budget_of_its_own(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(dear(fake, 0.0, 100.0))
    fake.configure(usage={"prompt_tokens": 10, "completion_tokens": 90})
    with serving(aws) as chat:
        key = chat.tenant("class", user_limits={"budget_usd_per_month": 0.01})

        def ask(user: str, seed: int) -> int:
            body = {
                "model": "small",
                "messages": HELLO,
                "max_tokens": 90,
                "seed": seed,
                "metadata": {"sluice_user": user},
            }
            return chat.post(body, api_key=key).status_code

        assert [ask("ada", 1), ask("ada", 2)] == [200, 429]
        assert [ask("bob", 3), ask("", 4), ask("", 5)] == [200, 200, 200]


@pytest.mark.parametrize("limit", ["tokens_per_minute", "tokens_per_day"])
@pytest.mark.parametrize("whose", ["key", "user of a tenant"])
def test_tokens_are_taken_as_estimated_and_settled_as_used(
    aws: Aws, fake: FakeProvider, whose: str, limit: str
) -> None:
    aws.set_credentials(dear(fake, 1.0, 1.0))
    fake.configure(usage={"prompt_tokens": 20, "completion_tokens": 180})
    with serving(aws) as chat:
        key, labels = limited(chat, whose, {limit: 900})

        def ask(seed: int, **more: Any) -> Any:
            body = {"model": "small", "messages": HELLO, "seed": seed, **labels, **more}
            return chat.post(body, api_key=key)

        # Without max_tokens, what is guessed of the answer is no more than what is left.
        assert [ask(seed, stream=seed == 1).status_code for seed in range(4)] == [200] * 4
        scope = "key" if whose == "key" else "user"
        assert spent(chat, limit)[scope] == 800
        refused = ask(5, max_tokens=300)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        said = refused.json()["error"]["message"]
        assert f"out of {limit.replace('_', ' ')}: 100 of 900 are left" in said
        assert "Try again in " in said
        assert int(refused.headers["retry-after"]) > 0
        too_much = ask(6, max_tokens=2_000)
        assert "has too small a limit" in too_much.json()["error"]["message"]
        assert "retry-after" not in too_much.headers
        assert spent(chat, limit)[scope] == 800


def test_a_stream_that_is_cut_off_is_paid_for_by_all(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(dear(fake, 1_000.0, 1_000.0))
    fake.configure(answer="word " * 50, chunk_delay_s=0.02)
    with serving(aws) as chat:
        chat.tenant("poor", **RICH, user_limits={"budget_usd_per_month": 500})
        key = chat.key("poor", limits={"budget_usd_per_month": 900, "tokens_per_day": 10_000})
        with chat.openai(key).chat.completions.create(
            model="small", messages=HELLO, max_tokens=400, stream=True, metadata={"sluice_user": "ada"}
        ) as stream:
            next(iter(stream))
        eventually(lambda: len(set(spent(chat).values())) == 1 and chat.count("USAGE_TABLE") == 1)
        of = spent(chat)
        # What the provider will say is not known: as much as was reserved.
        assert set(of) == {"tenant", "key", "user"}
        assert of["key"] >= 400 * 1_000_000
        assert spent(chat, "tokens_per_day") == {"key": of["key"] // 1_000_000}


def test_calls_that_may_have_cost_something_are_paid_for_before_the_next(aws: Aws, fake: FakeProvider) -> None:
    models = {"small": model(price={"prompt_usd": 1_000.0, "completion_usd": 2_000.0})}
    aws.set_credentials(gateway(fake, "cut-1", models=models), gateway(fake, "cut-2", models=models))
    fake.add_fault("cut", times=None)
    with serving(aws) as chat:
        chat.tenant("poor", **RICH)
        key = chat.key("poor", limits={"budget_usd_per_month": 2.5, "tokens_per_day": 100_000})
        body = {"model": "small", "messages": HELLO, "max_tokens": 500}
        assert chat.post(body, api_key=key).status_code in {429, 502, 503, 504}
        of = spent(chat)
        assert 0 < of["key"] == of["tenant"] <= 2_500_000_000
        assert spent(chat, "tokens_per_day")["key"] >= 500 * len(fake.requests())


_KILLED = """
import sys
from sluice.chat import ChatRequest
from sluice.composition import App
from sluice.gateway.request import RequestContext
from sluice.routing.deadline import Deadline
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.principal import Principal
app = App.from_environment()
found = app.verifier.verify(ApiKeyToken.parse(sys.argv[1]))
messages = [{"role": "user", "content": "Say hello."}]
metadata = {"sluice_user": "ada"}
request = ChatRequest(model="small", messages=messages, max_tokens=400, metadata=metadata)
app.gateway.complete(request, Principal(found.key, found.tenant), RequestContext("req_1", Deadline.after(60)))
"""


def test_what_a_killed_process_had_reserved_stays_taken_of_all(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(dear(fake, 1.0, 1_000.0))
    fake.add_fault("hang", times=1)
    with serving(aws) as chat:
        chat.tenant("poor", **RICH, user_limits={"budget_usd_per_month": 0.7})
        key = chat.key("poor", limits={"budget_usd_per_month": 900, "tokens_per_day": 10_000})
        killed = subprocess.Popen([sys.executable, "-c", _KILLED, key], env=aws.process_environment())
        try:
            eventually(lambda: len(fake.requests()) == 1, within_s=60)
        finally:
            killed.kill()
            killed.wait()
        of = spent(chat)
        assert set(of) == {"tenant", "key", "user"}
        assert min(of.values()) >= 400_000_000
        body = {"model": "small", "messages": HELLO, "max_tokens": 400}
        refused = chat.post(body | ADA, api_key=key)
        assert refused.status_code == 429
        assert refused.json()["error"]["message"].startswith("The user is out of dollars per month: $0.2")
        assert chat.post(body, api_key=key).status_code == 200


def test_limits_of_spending_cost_a_reservation_and_a_settlement_each_and_nothing_where_there_are_none(
    aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials(dear(fake, 1.0, 1.0))
    with serving(aws) as chat:
        plain = chat.tenant("plain")
        both = chat.key("plain", limits={"budget_usd_per_month": 100, "tokens_per_minute": 100_000})
        writes = {}
        for first, key in ((0, plain), (3, both)):
            for seed in range(first, first + 3):  # the first of a process reads what there is
                with counting() as asked:
                    body = {"model": "small", "messages": HELLO, "max_tokens": 5, "temperature": 0, "seed": seed}
                    assert chat.post(body, api_key=key).status_code == 200
                    writes[key] = sorted(asked)
            with counting() as asked:
                assert chat.post(body, api_key=key).headers["x-sluice-cache"] == "hit"
                writes[f"{key} cached"] = sorted(asked)
        assert len(writes[both]) == len(writes[plain]) + 2
        assert len(writes[f"{both} cached"]) == len(writes[f"{plain} cached"])


def test_a_budget_needs_a_price_whosever_it_is(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(gateway(fake, "free-1", models={"small": {"tier": "fast"}}))
    with serving(aws) as chat:
        body = {"model": "small", "messages": HELLO}
        for whose in ("key", "user of a tenant"):
            key = chat.tenant(whose.split()[0], user_limits={"budget_usd_per_month": 1})
            if whose == "key":
                key = chat.key("key", limits={"budget_usd_per_month": 1})
            refused = chat.post(body | ({} if whose == "key" else ADA), api_key=key)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_without_price")
        assert chat.post(body, api_key=chat.key("user", limits={"tokens_per_day": 5_000})).status_code == 200


def test_items_of_spending_stay_small(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(dear(fake, 1.0, 1.0))
    with serving(aws) as chat:
        chat.tenant("plain")
        key = chat.key(
            "plain", limits={"budget_usd_per_month": 100, "tokens_per_minute": 10**6, "tokens_per_day": 10**7}
        )
        assert chat.post({"model": "small", "messages": HELLO}, api_key=key).status_code == 200
        [item] = [item for item in aws.items("QUOTA_TABLE") if item["scope"]["S"].startswith("spend#")]
        assert counted(QuotaItem(item)).totals.keys() == {"tokens_per_minute", "tokens_per_day", "nanousd_per_month"}
