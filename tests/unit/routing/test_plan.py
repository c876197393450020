"""Who may answer a request, in which order, and why nobody may."""

import json
from typing import Any

import pytest

from sluice.catalog.catalog import catalog
from sluice.catalog.model import Tier
from sluice.chat import ChatRequest
from sluice.errors import (
    ContextOverflowError,
    InvalidRequestError,
    NoProviderError,
    NotFoundError,
    PermissionDeniedError,
    SluiceError,
)
from sluice.providers.credentials import parse_credentials
from sluice.providers.registry import Registry
from sluice.routing.intent import Complexity
from sluice.routing.plan import Plan, RoutingPolicy, chain, plan

SMALL = {"tier": "fast", "context_window": 8000, "max_completion_tokens": 1000, "aliases": ["little"]}
LARGE = {"tier": "smart", "context_window": 32_000, "fallbacks": ["small"]}
BOTH = {"small": SMALL, "large": LARGE}


def registry(*entries: dict[str, Any]) -> Registry:
    return Registry.build(catalog(), parse_credentials(json.dumps({"credentials": entries})))


def entry(alias: str, models: dict[str, Any] = BOTH, **more: Any) -> dict[str, Any]:
    base = {"provider": "gateway", "alias": alias, "api_key": "k", "base_url": "http://127.0.0.1:1/v1"}
    return base | {"models": models} | more


def planned(model: str, *entries: dict[str, Any], allowed: tuple[str, ...] | None = None, **fields: Any) -> Plan:
    return planned_by(RoutingPolicy(allowed_models=allowed), model, *entries, **fields)


def planned_by(policy: RoutingPolicy, model: str, *entries: dict[str, Any], **fields: Any) -> Plan:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]} | fields
    return plan(ChatRequest.model_validate(body), registry(*entries), policy)


def groups(found: Plan) -> list[list[str]]:
    return [[deployment.id for deployment in group] for group in found.groups]


def refused(error: type[SluiceError], *arguments: Any, **fields: Any) -> SluiceError:
    with pytest.raises(error) as raised:
        planned(*arguments, **fields)
    return raised.value


def said(characters: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "x" * characters}]


def test_a_budget_is_spent_on_nothing_without_a_price() -> None:
    models = {
        "dear": {"tier": "fast", "price": {"prompt_usd": 1.0, "completion_usd": 2.0}},
        "free": {"tier": "fast", "price": "free"},
        "unknown": {"tier": "fast"},
    }
    by = RoutingPolicy(needs_price=True)
    found = planned_by(by, "auto", entry("one", models))
    assert {each.model.id for each in found.deployments} == {"dear", "free"}
    found = planned_by(RoutingPolicy(), "auto", entry("one", models))
    assert {each.model.id for each in found.deployments} == set(models)
    with pytest.raises(PermissionDeniedError, match='"price": "free"') as raised:
        planned_by(by, "unknown", entry("one", models))
    assert (raised.value.code, raised.value.param) == ("model_without_price", "model")
    free = {"unknown": {"tier": "fast", "price": "free"}}
    assert groups(planned_by(by, "unknown", entry("one", models), entry("two", free)))[0] == ["two#unknown"]


def test_a_name_or_alias_pins_the_model_and_its_fallbacks_follow() -> None:
    one, two = entry("one"), entry("two")
    assert groups(planned("small", one, two)) == [["one#small", "two#small"]]
    assert groups(planned("little", one, two)) == [["one#small", "two#small"]]
    assert planned("little", one).model == "small"
    assert groups(planned("large", one, two)) == [["one#large", "two#large"], ["one#small", "two#small"]]


HOSTED = {"tier": "fast", "context_window": 8000}


def test_a_chain_ends_in_whoever_serves_the_tier_or_a_smaller_one() -> None:
    """With all keys of a model's provider failing, the other providers' keys are not idle."""
    big = {"tier": "smart", "context_window": 32_000}
    hosted = entry("hf", {"hosted": HOSTED})
    assert groups(planned("big", entry("one", {"big": big}), hosted)) == [["one#big"], ["hf#hosted"]]
    both = planned("big", entry("one", {"big": big, "other": big}), hosted)
    assert groups(both) == [["one#big"], ["one#other"], ["hf#hosted"]]
    assert groups(planned("small", entry("one", {"small": SMALL}), hosted)) == [["one#small"], ["hf#hosted"]]


def test_a_small_model_has_no_stand_in_in_the_scarce_tier() -> None:
    assert groups(planned("small", entry("one"))) == [["one#small"]]


def test_models_that_serve_no_tier_stand_in_for_nobody() -> None:
    judge = {"tier": "fast", "context_window": 8000, "serves": []}
    assert groups(planned("small", entry("one", {"small": SMALL, "judge": judge}))) == [["one#small"]]
    assert groups(planned("judge", entry("one", {"judge": judge}))) == [["one#judge"]]


@pytest.mark.parametrize("name", ["large", "big"])
def test_a_tenant_s_chain_replaces_the_catalogue_s(name: str) -> None:
    models = {"small": SMALL, "large": LARGE | {"aliases": ["big"]}, "hosted": HOSTED}
    by = RoutingPolicy(chains={"large": ["hosted", "little"]})
    assert groups(planned_by(by, name, entry("one", models))) == [["one#large"], ["one#hosted"], ["one#small"]]
    assert groups(planned_by(RoutingPolicy(chains={name: []}), name, entry("one", models))) == [["one#large"]]
    unknown = RoutingPolicy(chains={name: ["gone"]})
    assert groups(planned_by(unknown, name, entry("one", models))) == [["one#large"]]


def test_a_chain_is_shown_as_it_would_be_followed() -> None:
    found = registry(entry("one", {"small": SMALL, "large": LARGE, "hosted": HOSTED}))
    assert chain(found.deployments_for("large"), found) == ["small", "hosted"]
    assert chain(found.deployments_for("large"), found, RoutingPolicy(allowed_models=("large", "hosted"))) == ["hosted"]
    assert chain(found.deployments_for("large"), found, RoutingPolicy(chains={"large": []})) == []


def test_the_stack_orders_the_models_of_a_tier() -> None:
    models = {"small": SMALL, "large": LARGE, "hosted": HOSTED}
    by = RoutingPolicy(orders={Tier.FAST: ("hosted",), Tier.SMART: ("nobody", "large")})
    assert groups(planned_by(by, "auto", entry("one", models))) == [["one#hosted"], ["one#small"]]
    hard = planned_by(by, "auto", entry("one", models), messages=said(1001))
    assert groups(hard) == [["one#large"], ["one#hosted"], ["one#small"]]


def test_auto_goes_to_the_tier_and_from_smart_to_fast() -> None:
    assert groups(planned("auto", entry("one"))) == [["one#small"]]
    assert groups(planned("auto", entry("one"), messages=said(1001))) == [["one#large"], ["one#small"]]
    assert groups(planned("auto", entry("one", {"small": SMALL}), messages=said(1001))) == [["one#small"]]


def test_auto_spares_the_smart_tier_only_where_a_small_model_can_answer() -> None:
    one = entry("one")
    assert groups(planned("auto", entry("one", {"large": LARGE}))) == [["one#large"]]
    assert groups(planned("auto", one, allowed=("large",))) == [["one#large"]]
    assert groups(planned("auto", one, max_tokens=2000)) == [["one#large"]]
    by_groq = {"provider": "groq", "alias": "g", "api_key": "k", "models": {"small": SMALL}}
    elsewhere = entry("one", {"large": LARGE})
    assert groups(planned("auto", by_groq, elsewhere, logit_bias={"1": 1})) == [["one#large"]]
    assert groups(planned("auto", by_groq, elsewhere)) == [["g#small"]]


def test_images_go_to_models_that_can_see() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    shown = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    blind = SMALL | {"text_only": True}
    assert groups(planned("auto", entry("one", {"small": blind, "large": LARGE}), messages=shown)) == [["one#large"]]
    assert groups(planned("small", entry("one"), messages=shown)) == [["one#small"]]
    assert groups(planned("small", entry("one", {"small": blind}))) == [["one#small"]]
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert groups(planned("small", entry("one", {"small": blind}), messages=[refusal, *said(1)])) == [["one#small"]]
    wrong = refused(InvalidRequestError, "small", entry("one", {"small": blind}), messages=shown)
    assert (wrong.param, wrong.message) == (
        "messages",
        "messages: the model takes text only, no images or sounds.",
    )


def test_only_what_is_allowed_and_switched_on_is_planned() -> None:
    one = entry("one")
    assert groups(planned("large", one, allowed=("small",))) == [["one#small"]]
    assert groups(planned("large", one, allowed=("large",))) == [["one#large"]]
    assert groups(planned("small", one, allowed=("little",))) == [["one#small"]]
    assert refused(PermissionDeniedError, "small", one, allowed=("large",)).param == "model"
    refused(NoProviderError, "small", entry("off", enabled=False))
    refused(NoProviderError, "auto")
    assert refused(NotFoundError, "nobody", one).param == "model"


def test_who_surely_cannot_take_it_is_left_out() -> None:
    one = entry("one")
    assert groups(planned("large", one, max_tokens=2000)) == [["one#large"]]
    assert groups(planned("large", one, messages=said(60_000))) == [["one#large"]]
    too_long = refused(ContextOverflowError, "small", one, messages=said(60_000))
    assert too_long.param == "messages"
    assert "8000" in too_long.message
    for name in ("max_tokens", "max_completion_tokens"):
        too_much = refused(InvalidRequestError, "small", one, **{name: 1001})
        assert too_much.param == name
        assert "1000" in too_much.message
    assert groups(planned("small", one, max_tokens=1000, messages=said(30_000))) == [["one#small"]]


def test_a_provider_that_cannot_take_a_field_is_left_out() -> None:
    groq = {"provider": "groq", "alias": "g", "api_key": "k", "models": {"small": SMALL}}
    assert groups(planned("small", groq, entry("one"))) == [["g#small", "one#small"]]
    assert groups(planned("small", groq, entry("one"), logprobs=True)) == [["one#small"]]
    assert groups(planned("small", groq, entry("one"), logprobs=None)) == [["g#small", "one#small"]]
    assert refused(InvalidRequestError, "small", groq, logprobs=True).param == "logprobs"


def test_a_model_that_cannot_take_a_field_is_left_out_unless_it_asks_for_nothing() -> None:
    models = {"small": {**SMALL, "unsupported_fields": ["temperature", "top_k"]}}
    other = entry("one", allowed_fields=["top_k"])
    mine = entry("m", models, allowed_fields=["top_k"])
    assert groups(planned("small", mine, other, temperature=0.5)) == [["one#small"]]
    assert groups(planned("small", mine, other, top_k=5)) == [["one#small"]]
    assert groups(planned("small", mine, other, temperature=1)) == [["m#small", "one#small"]]
    found = refused(InvalidRequestError, "small", mine, temperature=0)
    assert (found.param, found.message) == ("temperature", "temperature is not supported by the model.")


def test_who_speaks_another_protocol_is_left_out_for_what_it_can_t_carry() -> None:
    claude = {"provider": "anthropic", "alias": "a", "api_key": "k", "models": {"small": SMALL}}
    assert groups(planned("small", claude, entry("one"))) == [["one#small", "a#small"]]
    assert groups(planned("small", claude, entry("one"), seed=1)) == [["one#small"]]
    assert refused(InvalidRequestError, "small", claude, seed=1).param == "seed"
    document = [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://a"}}]}]
    assert groups(planned("small", claude, entry("one"), messages=document)) == [["a#small"]]


def test_a_model_that_is_over_its_share_comes_after_the_others_of_its_tier() -> None:
    models = {
        "small": SMALL,
        "scarce": {"tier": "smart", "context_window": 32_000},
        "wide": {"tier": "smart", "context_window": 32_000},
    }
    long = [{"role": "user", "content": "word " * 3_000}]

    def order(*over: str, model: str = "auto", **more: Any) -> list[list[str]]:
        policy = RoutingPolicy(over_share=over, **more)
        found = planned_by(policy, model, entry("one", models), messages=long)
        return [[each.model.id for each in group] for group in found.groups]

    assert order() == [["scarce", "wide"], ["small"]]
    assert order("scarce") == [["wide"], ["scarce"], ["small"]]
    # With all of them over it, or none beside it, it answers all the same, before a smaller one.
    assert order("scarce", "wide") == [["scarce"], ["wide"], ["small"]]
    assert order("wide", "scarce") == [["wide"], ["scarce"], ["small"]]
    assert order("scarce", orders={Tier.SMART: ("scarce", "wide")}) == [["wide"], ["scarce"], ["small"]]
    assert order("scarce", allowed_models=("scarce", "small")) == [["scarce"], ["small"]]
    # The small tier has no share to keep to, and whoever names a model gets it.
    assert order("small") == order()
    assert order("scarce", model="scarce")[0] == ["scarce"]


BY_PRIORITY = RoutingPolicy(by_priority=True)
# Two of one priority, and one behind them.
POOL = (entry("last"), entry("first", priority=1), entry("second", {"other": SMALL | {"aliases": []}}, priority=1))


@pytest.mark.parametrize("messages", [said(10), said(5_000)])
def test_by_priority_auto_is_the_primary_s_model_and_all_others_follow_one_by_one(messages: list[Any]) -> None:
    found = planned_by(BY_PRIORITY, "auto", *POOL, messages=messages)
    assert groups(found) == [["first#small"], ["first#large"], ["second#other"], ["last#small"], ["last#large"]]
    assert (found.model, found.complexity) == ("small", None)
    assert [found.prefers(each) for each in found.deployments] == [True, False, False, True, False]


def test_by_priority_a_named_model_comes_before_its_stand_ins_each_by_priority() -> None:
    found = planned_by(BY_PRIORITY, "large", *POOL)
    assert groups(found)[:4] == [["first#large"], ["last#large"], ["first#small"], ["last#small"]]
    assert found.model == "large"


def test_by_priority_shares_orders_and_a_task_s_complexity_say_nothing() -> None:
    policy = RoutingPolicy(by_priority=True, orders={Tier.FAST: ["other"], Tier.SMART: ["large"]}, over_share=["small"])
    body = ChatRequest.model_validate({"model": "auto", "messages": said(10)})
    for complexity in (None, *Complexity):
        found = plan(body, registry(*POOL), policy, complexity)
        assert found.deployments[0].id == "first#small"


def test_by_priority_the_primary_is_the_first_that_can_take_the_request() -> None:
    assert planned_by(BY_PRIORITY, "auto", *POOL, max_tokens=20_000).model == "large"
    narrow = RoutingPolicy(by_priority=True, allowed_models=("other",))
    assert groups(planned_by(narrow, "auto", *POOL)) == [["second#other"]]
    with pytest.raises(NoProviderError):
        planned_by(BY_PRIORITY, "auto", entry("off", enabled=False))
