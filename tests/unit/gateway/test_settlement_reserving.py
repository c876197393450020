"""What is reserved of budgets and limits of tokens before a provider is asked."""

from typing import Any

import pytest

from sluice.errors import InvalidRequestError, QuotaExceededError
from sluice.quota.limits import BUDGET
from sluice.quota.scopes import key_spend_scope
from tests.credentials import PRICE, model
from tests.gateways import MemoryGateway, entry, reserved, said
from tests.scripted_providers import body

BUDGETED: dict[str, Any] = {"budget_nanousd": 10**12}
FREE = {"prompt_usd": 0.0, "completion_usd": 0.0}


def test_the_dearest_deployment_that_may_answer_is_reserved_for() -> None:
    alone = reserved(MemoryGateway(**BUDGETED), max_tokens=100)[BUDGET]
    dear = model("smart", price={"prompt_usd": 10.0, "completion_usd": 20.0})
    stand_ins = MemoryGateway(entry("two", large=dear), entry("one"), fallbacks={"small": ("large",)}, **BUDGETED)
    assert reserved(stand_ins, max_tokens=100)[BUDGET] == 10 * alone
    # So is what a call can cost at most, where little is left.
    fields = {"max_tokens": 100, **said("Hello there, world. " * 10)}
    estimated = reserved(MemoryGateway(budget_nanousd=10**7), **fields)[BUDGET]
    most = reserved(MemoryGateway(budget_nanousd=10**6), **fields)[BUDGET]
    assert most > estimated
    stand_ins = MemoryGateway(
        entry("two", large=dear), entry("one"), fallbacks={"small": ("large",)}, budget_nanousd=10**7
    )
    assert reserved(stand_ins, **fields)[BUDGET] == 10 * most
    assert reserved(MemoryGateway(**BUDGETED), max_tokens=200)[BUDGET] == alone + 100 * 2_000


def test_tokens_are_reserved_for_who_needs_most_of_them() -> None:
    spend = key_spend_scope("acme", "key00001")
    key: dict[str, Any] = {"tokens_per_minute": 10**6}
    alone = reserved(MemoryGateway(key=key), spend)["tokens_per_minute"]
    brief = entry("two", brief=model(max_completion_tokens=10))
    both = MemoryGateway(entry("one"), brief, key=key, fallbacks={"small": ("brief",)})
    assert reserved(both, spend)["tokens_per_minute"] == alone
    both = MemoryGateway(entry("one", brief=model(max_completion_tokens=10)), entry("two"), key=key)
    fields = {"model": "brief"}
    assert reserved(both, spend, **fields)["tokens_per_minute"] == alone


def test_who_has_little_left_reserves_what_a_call_can_cost_at_most() -> None:
    fields = {**said("Hello there, world"), "max_tokens": 10}
    usual = reserved(MemoryGateway(**BUDGETED), **fields)[BUDGET]
    most = reserved(MemoryGateway(budget_nanousd=9 * usual), **fields)[BUDGET]
    assert most > usual


def test_what_is_to_be_cached_is_reserved_at_what_that_may_cost() -> None:
    part = {"type": "text", "text": "Hello there, world", "cache_control": {"type": "ephemeral"}}
    marked = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 10}
    plain = {**said("Hello there, world"), "max_tokens": 10}
    writes = {**PRICE, "cache_write_usd": 1.5, "long_cache_write_usd": 3.0}

    def most(price: dict[str, Any], fields: dict[str, Any]) -> int:
        marking = {**entry("one", small=model(price=price)), "allowed_fields": ["messages.cache_control"]}
        return reserved(MemoryGateway(marking, budget_nanousd=700_000), **fields)[BUDGET]

    completion_nanousd = 10 * 2_000
    assert most(writes, marked) - completion_nanousd == 3 * (most(PRICE, marked) - completion_nanousd)
    assert most(writes, plain) == most(PRICE, plain)


def test_a_guess_of_the_answer_s_length_is_no_reason_to_refuse_and_a_stated_one_is() -> None:
    key: dict[str, Any] = {"tokens_per_minute": 200}
    assert MemoryGateway(key=key).complete().body == body()
    with pytest.raises(QuotaExceededError):
        MemoryGateway(key=key).complete(max_tokens=300)


def test_what_is_free_takes_from_no_budget_and_still_from_limits_of_tokens() -> None:
    free = entry("one", small=model(price=FREE))
    spend = key_spend_scope("acme", "key00001")
    gateway = MemoryGateway(free, budget_nanousd=0, key={"tokens_per_minute": 10**6})
    gateway.complete()
    assert (gateway.spent(), gateway.used(spend)) == (0, {"tokens_per_minute": 15})
    assert "tenant#acme" not in gateway.dynamodb.items


def test_who_has_no_limit_reserves_nothing() -> None:
    gateway = MemoryGateway()
    gateway.complete()
    assert sorted(gateway.dynamodb.items) == ["caller#acme#key00001", "deployment#one#small"]


def test_what_is_foreseen_is_what_a_request_would_be_estimated_at() -> None:
    gateway = MemoryGateway(**BUDGETED)
    request = gateway.request({"max_tokens": 100})
    deployment = gateway.registry.deployments[0]
    tokens = gateway.settlement.foreseen_tokens(deployment, request)
    assert tokens.completion_tokens == 100
    nanousd = gateway.settlement.foreseen_nanousd(deployment, request)
    assert nanousd == tokens.prompt_tokens * 1_000 + 100 * 2_000
    assert reserved(gateway, max_tokens=100)[BUDGET] == nanousd


def test_a_stated_limit_beyond_the_model_s_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        MemoryGateway(entry("one", small=model(max_completion_tokens=100))).complete(max_tokens=101)
