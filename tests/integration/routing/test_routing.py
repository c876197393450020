"""Which deployment answers: by name, alias, replacement, tier, fallback, priority; and what is left when none can."""

from typing import Any

import pytest

from sluice.api.authentication import authenticate
from sluice.chat import ChatRequest
from sluice.composition import App, part
from sluice.errors import QuotaExceededError
from sluice.gateway.pipeline import Gateway
from sluice.gateway.request import RequestContext
from sluice.quota.ledger import Ledger
from sluice.quota.wait_words import in_words
from sluice.routing.deadline import Deadline
from sluice.storage.client import dynamodb
from sluice.tenants.principal import Principal
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.fakes.dynamodb import TrustingClient

SHORT: list[Any] = [{"role": "user", "content": "Say hello."}]
LONG: list[Any] = [{"role": "user", "content": "Compare these. " * 100}]
# 2026-01-15 10:20:30.500 UTC
NOON_S = 1_768_472_430.5


def body(name: str = "small", **fields: Any) -> dict[str, Any]:
    return {"model": name, "messages": SHORT, "max_tokens": 20} | fields


def test_names_aliases_and_tiers_find_their_model(aws: Aws, fake: FakeProvider) -> None:
    models = {"small": model(aliases=["little"]), "large": model("smart", fallbacks=["small"])}
    aws.set_credentials(gateway(fake, "one", models=models), gateway(fake, "two", models=models))
    with serving(aws) as chat:
        # Equal in all else: priority decides.
        assert chat.post(body(seed=1)).headers["x-sluice-deployment"] == "one#small"
        for name, messages, used, complexity in [
            ("small", SHORT, "small", "simple"),
            ("little", SHORT, "small", "simple"),
            ("large", SHORT, "large", "simple"),
            ("auto", SHORT, "small", "simple"),
            ("auto", LONG, "large", "complex"),
        ]:
            answer = chat.post(body(name, messages=messages), headers={"cache-control": "no-cache"})
            assert answer.status_code == 200
            assert answer.headers["x-sluice-model"] == used
            assert answer.headers["x-sluice-complexity"] == complexity
            assert fake.last_body()["model"] == used
        narrow = chat.tenant("narrow", allowed_models=["large"])
        assert chat.post(body("auto", messages=LONG), api_key=narrow).headers["x-sluice-model"] == "large"
        # A model that stands in must be allowed too.
        fake.add_fault("500", times=None, model="large")
        assert chat.post(body("large", seed=1)).headers["x-sluice-model"] == "small"


def test_a_model_that_is_gone_is_answered_by_its_replacement(aws: Aws, fake: FakeProvider) -> None:
    groq = {"provider": "groq", "alias": "g", "api_key": "key-g", "base_url": fake.groq_url}
    aws.set_credentials(groq)
    with serving(aws) as chat:
        answer = chat.post(body("llama3-8b-8192"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-sluice-model"] == fake.last_body()["model"] == "llama-3.1-8b-instant"


def test_smart_falls_back_to_fast_when_its_quota_is_gone(aws: Aws, fake: FakeProvider) -> None:
    scarce = model("smart", limits={"requests_per_day": 1})
    aws.set_credentials(gateway(fake, "one", models={"large": scarce, "small": model()}))
    with serving(aws) as chat:
        used = [chat.post(body("auto", messages=LONG, seed=seed)).headers["x-sluice-model"] for seed in range(3)]
        assert used == ["large", "small", "small"]
        counted = {scope: state.totals for scope, state in chat.quota().items() if scope.startswith("deployment#")}
        assert counted["deployment#one#large"]["requests_per_day"] == 1
        assert counted["deployment#one#small"]["requests_per_day"] == 2


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


def gateway_at(clock: Clock) -> Gateway:
    """A gateway like a process's own, whose ledger has another clock."""

    class AppAtItsTime(App):
        @part
        def ledger(self) -> Ledger:
            return Ledger(self.settings.quota_table, clock, client=TrustingClient(dynamodb()))

    return AppAtItsTime.from_environment().gateway


class Caller:
    """Asks a gateway, each time for something else."""

    def __init__(self, clock: Clock, principal: Principal) -> None:
        self.clock = clock
        self.gateway = gateway_at(clock)
        self.principal = principal
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1
        request = ChatRequest.model_validate(body(seed=self.asked, max_tokens=None))
        self.gateway.complete(request, self.principal, RequestContext(f"r-{self.asked}", Deadline.after(5)))

    def is_let_in_after(self, seconds: float) -> bool:
        before_s = self.clock.now_s
        self.clock.now_s += seconds
        try:
            self.ask()
        except QuotaExceededError:
            self.clock.now_s = before_s
            return False
        return True


def all_counted(chat: ChatServer) -> dict[tuple[str, str], int]:
    """What is counted, by scope and limit."""
    return {
        (scope, name): total for scope, state in chat.quota().items() for name, total in state.totals.items() if total
    }


@pytest.mark.parametrize(
    ("key_limits", "model_limits", "admitted", "code"),
    [
        ({"requests_per_minute": 3}, {}, 3, "rate_limit_exceeded"),
        ({"requests_per_day": 2}, {}, 2, "rate_limit_exceeded"),
        ({}, {"requests_per_minute": 2}, 2, "rate_limit_exceeded"),
        ({}, {"requests_per_day": 3}, 3, "rate_limit_exceeded"),
    ],
)
def test_retry_after_is_right_to_the_second_and_a_refusal_consumes_nothing(
    aws: Aws, fake: FakeProvider, key_limits: Any, model_limits: Any, admitted: int, code: str
) -> None:
    aws.set_credentials(gateway(fake, "one", models={"small": model(limits=model_limits)}))
    fake.configure(rate_limit_headers=False)
    with serving(aws) as chat:
        chat.tenant("rich", budget_usd_per_month="10", cache_ttl_seconds=0)
        key = chat.key("rich", limits=key_limits)
        caller = Caller(Clock(), authenticate(f"Bearer {key}", chat.app.verifier))
        for number in range(admitted):
            caller.clock.now_s += 0.7 * number
            caller.ask()
        before = all_counted(chat)
        with pytest.raises(QuotaExceededError) as refused:
            caller.ask()
        wait_s = refused.value.retry_after_s
        assert refused.value.code == code
        assert wait_s is not None
        assert f"Try again in {in_words(wait_s).split(',')[0]}" in refused.value.message
        assert all_counted(chat) == before
        assert len(fake.requests()) == admitted
        assert not caller.is_let_in_after(wait_s - 1)
        # Meanwhile some of it has expired, and nothing was added.
        assert all(total <= before[counted] for counted, total in all_counted(chat).items())
        assert caller.is_let_in_after(wait_s)


def test_a_budget_that_is_gone_is_insufficient_quota_and_consumes_nothing(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(gateway(fake, "one"))
    with serving(aws) as chat:
        key = chat.tenant("poor", budget_usd_per_month="0.000120", cache_ttl_seconds=0)
        assert chat.post(body(), api_key=key).status_code == 200
        before = all_counted(chat)
        for streamed in (False, True):
            answer = chat.post(body(seed=1, max_tokens=100, stream=streamed), api_key=key)
            assert answer.status_code == 429, answer.text
            assert answer.json()["error"]["code"] == "insufficient_quota"
            assert all_counted(chat) == before
        assert len(fake.requests()) == 1
        # What is left may still be spent.
        assert chat.post(body(seed=2), api_key=key).status_code == 200


def test_all_deployments_out_of_quota_is_429_with_the_shortest_wait(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(
        gateway(fake, "one", models={"small": model(limits={"requests_per_day": 1})}),
        gateway(fake, "two", models={"small": model(limits={"requests_per_minute": 1})}),
    )
    with serving(aws) as chat:
        for seed in range(2):
            assert chat.post(body(seed=seed)).status_code == 200
        before = all_counted(chat)
        answer = chat.post(body(seed=3))
        assert answer.status_code == 429
        # The minute and its margins, not the day.
        assert 50 <= int(answer.headers["retry-after"]) <= 63
        assert all_counted(chat) == before
        assert len(fake.requests()) == 2


def test_a_request_larger_than_any_limit_is_the_callers_fault(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(gateway(fake, "one", models={"small": model(limits={"tokens_per_minute": 1000})}))
    with serving(aws) as chat:
        answer = chat.post(body(max_tokens=2000))
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "request_exceeds_limit"
        assert "tokens_per_minute" in answer.json()["error"]["message"]
        assert all_counted(chat) == {}
        assert fake.requests() == []
