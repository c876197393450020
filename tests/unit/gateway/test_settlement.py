"""Settlement of requests: what an answer used and cost, and failed calls."""

from decimal import Decimal
from typing import Any

import pytest

from sluice.chat import Usage
from sluice.errors import NoProviderError, ProviderTimeoutError
from sluice.providers.base import RateLimitHeaders
from sluice.quota.limits import BUDGET
from sluice.quota.scopes import deployment_scope, key_spend_scope
from tests.credentials import PRICE, model
from tests.gateways import COST_NANOUSD, MemoryGateway, entry, in_conversation, reserved, said
from tests.scripted_providers import USAGE, Reply, body

BUDGETED: dict[str, Any] = {"budget_nanousd": 10**12}
TIERED = {**PRICE, "service_tiers": {"flex": {"prompt_usd": 0.5, "completion_usd": 1.0}}}
UNPRICED = {name: value for name, value in model().items() if name != "price"}
SAYS_COSTS = {**entry("one", small=UNPRICED), "provider": "custom_gateway"}


def answered(gateway: MemoryGateway, reply: Reply, **fields: Any) -> None:
    """Let a request be answered with a reply."""
    gateway.script.replies["one"] = [reply]
    gateway.complete(**fields)


def test_without_a_count_what_was_reserved_counts_as_used() -> None:
    gateway = MemoryGateway(**BUDGETED)
    answered(gateway, Reply(body=body(usage=None)), max_tokens=100)
    [record] = gateway.records.added
    assert record.usage.completion_tokens == 100
    assert record.usage.prompt_tokens > 40
    assert (gateway.spent(), gateway.taken("one#small")["tokens"]) == (record.cost_nanousd, record.usage.total_tokens)


def test_without_a_count_what_can_be_seen_counts_where_it_is_more() -> None:
    gateway = MemoryGateway(**BUDGETED)
    answered(gateway, Reply(body=body("word " * 400, usage=None)), max_tokens=100)
    assert gateway.records.added[0].usage.completion_tokens > 390


def test_what_can_be_seen_is_counted_as_it_is_written_and_not_as_json_escapes_it() -> None:
    gateway = MemoryGateway()
    answered(gateway, Reply(body=body("日本語" * 100, usage=None)), max_tokens=1)
    assert 100 < gateway.records.added[0].usage.completion_tokens < 900


@pytest.mark.parametrize(
    ("prompt", "completion", "choices", "is_believed"),
    [
        (10, 5, None, True),
        (900, 100, None, True),
        (900, 101, None, False),
        (900, 1_100, 2, True),
        (900, 1_101, 2, False),
    ],
)
def test_a_count_beyond_what_the_model_takes_is_not_believed(
    prompt: int, completion: int, choices: int | None, is_believed: bool
) -> None:
    gateway = MemoryGateway(entry("one", small=model(context_window=1_000)))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    answered(gateway, Reply(body=body(usage=usage)), max_tokens=50, **({"n": choices} if choices else {}))
    [record] = gateway.records.added
    assert (record.usage == Usage(prompt, completion)) == is_believed
    assert is_believed or record.usage.completion_tokens == 50 * (choices or 1)


def test_the_characters_of_an_answer_are_settled_where_they_are_limited() -> None:
    limits = {"requests_per_minute": 10, "characters_per_month": 10**6}
    gateway = MemoryGateway(entry("one", small=model(limits=limits)))
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"},
        {"index": 2, "message": None, "finish_reason": "stop"},
        {"index": 3, "message": {"role": "assistant", "content": "sixsix"}, "finish_reason": "stop"},
    ]
    answered(gateway, Reply(body={"choices": choices, "usage": USAGE}), **said("12345"))
    assert gateway.used(deployment_scope("one#small"))["characters_per_month"] == 5 + 4 + 6


def test_what_no_answer_can_be_read_of_is_settled_as_it_was_reserved() -> None:
    """A stream may have come to something that nobody expects: it is paid for all the same."""
    limits = {"requests_per_minute": 10, "characters_per_month": 10**6}
    gateway = MemoryGateway(entry("one", small=model(limits=limits)), **BUDGETED)
    number = {"choices": [{"index": 0, "message": {"role": "assistant", "content": 7}}]}
    gateway.script.replies["one"] = [Reply(body=number)]
    gateway.complete(**said("12345"), max_tokens=100)
    [record] = gateway.records.added
    assert record.usage.completion_tokens == 100
    assert gateway.spent() == record.cost_nanousd
    assert gateway.used(deployment_scope("one#small"))["characters_per_month"] == 5


def test_what_a_deployment_s_headers_say_is_learned() -> None:
    gateway = MemoryGateway()
    headers = RateLimitHeaders(remaining={"requests_per_minute": 40})
    answered(gateway, Reply(rate_limits=headers))
    assert gateway.taken("one#small")["requests"] == 60


@pytest.mark.parametrize(
    ("asked", "given", "nanousd"),
    [
        (None, None, COST_NANOUSD),
        ("flex", None, COST_NANOUSD // 2),
        (None, "flex", COST_NANOUSD // 2),
        ("flex", "default", COST_NANOUSD),
    ],
)
def test_an_answer_costs_what_its_service_tier_does(asked: str | None, given: str | None, nanousd: int) -> None:
    gateway = MemoryGateway(entry("one", small=model(price=TIERED)), **BUDGETED)
    tier: dict[str, Any] = {"service_tier": given} if given else {}
    reply = Reply(body=body(**tier))
    answered(gateway, reply, **({"service_tier": asked} if asked else {}))
    assert (gateway.records.added[0].cost_nanousd, gateway.spent()) == (nanousd, nanousd)


def test_a_call_of_a_service_tier_is_reserved_and_charged_as_such() -> None:
    tiered = entry("one", small=model(price=TIERED))
    usual = reserved(MemoryGateway(tiered, **BUDGETED), max_tokens=100)[BUDGET]
    assert reserved(MemoryGateway(tiered, **BUDGETED), max_tokens=100, service_tier="flex")[BUDGET] == usual // 2
    scarce: dict[str, Any] = {"budget_nanousd": 9 * usual}
    most = reserved(MemoryGateway(tiered, **scarce), max_tokens=100)[BUDGET]
    assert reserved(MemoryGateway(tiered, budget_nanousd=4 * usual), max_tokens=100, service_tier="flex")[BUDGET] == (
        most // 2
    )
    costs = []
    for fields in ({}, {"service_tier": "flex"}):
        gateway = MemoryGateway(tiered, **BUDGETED)
        gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
        with pytest.raises(NoProviderError):
            gateway.complete(max_tokens=100, **fields)
        costs.append(gateway.spent())
        request, context = gateway.request({"max_tokens": 100, **fields}), gateway.context({})
        assert gateway.gateway.check(request, gateway.principal, context) == costs[-1]
    assert costs == [usual, usual // 2]


@pytest.mark.parametrize(("says_usd", "nanousd"), [(Decimal("0.003"), 3_000_000), (None, 0)])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_has_no_price_costs_what_its_provider_says(
    says_usd: Decimal | None, nanousd: int, is_streamed: bool
) -> None:
    gateway = MemoryGateway(SAYS_COSTS)
    gateway.script.replies["one"] = [Reply(cost_usd=says_usd)]
    if is_streamed:
        gateway.read()
    else:
        assert gateway.complete().provenance.cost_usd == says_usd
    assert gateway.records.added[0].cost_nanousd == nanousd


def test_a_price_counts_before_what_a_provider_says() -> None:
    gateway = MemoryGateway({**entry("one"), "provider": "custom_gateway"}, **BUDGETED)
    answered(gateway, Reply(cost_usd=Decimal(1)))
    assert gateway.spent() == COST_NANOUSD


def test_each_call_that_may_be_billed_is_recorded_once_however_the_request_ends() -> None:
    two = (entry("one"), entry("two"))
    for is_answered in (False, True):
        gateway = MemoryGateway(*two, **BUDGETED)
        gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
        gateway.script.replies["two"] = [Reply() if is_answered else ProviderTimeoutError("slow")]
        if is_answered:
            gateway.complete(**in_conversation())
        else:
            with pytest.raises(NoProviderError):
                gateway.complete(**in_conversation())
        found = sorted((record.credential, record.is_error) for record in gateway.records.added)
        assert found == [("one", True), ("two", not is_answered)]
        assert gateway.spent() == sum(record.cost_nanousd for record in gateway.records.added)
        failed = next(record for record in gateway.records.added if record.credential == "one")
        assert failed.usage.prompt_tokens > 0
        assert failed.usage.completion_tokens > 0


def test_a_failed_call_is_not_recorded_again_where_an_answer_is_asked_for_once_more() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"))
    gateway.script.replies["one"] = [ProviderTimeoutError("slow"), Reply(body=body("{}"))]
    gateway.script.replies["two"] = [Reply(body=body("no JSON")), Reply(body=body("{}"))]
    gateway.complete(response_format={"type": "json_object"})
    assert [record.is_error for record in gateway.records.added].count(True) == 2
    assert len(gateway.records.added) == 3


def test_the_tokens_of_failed_calls_count_against_limits_of_tokens() -> None:
    gateway = MemoryGateway(entry("one"), entry("two"), key={"tokens_per_day": 10**6})
    gateway.script.replies["one"] = [ProviderTimeoutError("slow")]
    gateway.complete(max_tokens=100)
    failed = next(record for record in gateway.records.added if record.is_error)
    used = gateway.used(key_spend_scope("acme", "key00001"))
    assert used == {"tokens_per_day": failed.usage.total_tokens + 15}
