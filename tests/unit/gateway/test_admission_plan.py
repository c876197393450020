"""Plan of an admitted request: who may answer, in which order, and within which shares."""

from typing import Any

import pytest

from sluice.errors import (
    NoProviderError,
    PermissionDeniedError,
    ProviderUnavailableError,
)
from sluice.routing.intent import Complexity
from sluice.routing.plan import Plan, plan
from tests.credentials import model
from tests.gateways import MemoryGateway, entry, in_conversation, said

HARD = "Compare these two. " * 80
STAND_INS = [
    entry(name, **{name: model(tier)}) for name, tier in (("large", "smart"), ("other", "fast"), ("third", "smart"))
]


def test_a_tenant_is_answered_by_models_that_it_may_use() -> None:
    tiers = {"large": "smart", "other": "fast", "third": "smart"}
    gateway = MemoryGateway(
        *(entry(name, **{name: model(tier)}) for name, tier in tiers.items()), allowed_models=("large",)
    )
    with pytest.raises(PermissionDeniedError):
        gateway.complete(model="other")
    gateway.script.replies["large"] = [ProviderUnavailableError("x")]
    with pytest.raises(NoProviderError):
        gateway.complete(model="large")
    assert gateway.asked() == ["large"]


def test_a_tenant_s_chain_takes_the_place_of_the_usual_stand_ins() -> None:
    for chains, stand_in in (({}, "third"), ({"large": ("other",)}, "other")):
        gateway = MemoryGateway(*STAND_INS, fallbacks=chains)
        gateway.script.replies["large"] = [ProviderUnavailableError("x")]
        assert gateway.complete(model="large").provenance.model == stand_in


def test_a_request_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway()
    planned: list[object] = []

    def planning(*args: Any, **more: Any) -> Plan:
        planned.append(args)
        return plan(*args, **more)

    monkeypatch.setattr("sluice.gateway.admission.plan", planning)
    gateway.complete(**in_conversation())
    assert len(planned) == 1


def test_who_has_a_budget_is_answered_by_models_with_a_price_alone() -> None:
    unknown = model()
    del unknown["price"]
    for has_budget in (False, True):
        budget = 10**12 if has_budget else None
        gateway = MemoryGateway(entry("one", small=unknown, dear=model()), budget_nanousd=budget)
        if has_budget:
            with pytest.raises(PermissionDeniedError):
                gateway.complete()
        else:
            gateway.complete()
        assert gateway.complete(model="dear", skip_cache=True).provenance.model == "dear"


def test_a_user_s_budget_asks_for_a_price_too() -> None:
    unknown = model()
    del unknown["price"]
    gateway = MemoryGateway(entry("one", small=unknown), user_limits={"budget_nanousd": 10**12})
    gateway.complete()
    with pytest.raises(PermissionDeniedError):
        gateway.complete(metadata={"sluice_user": "ada"})


@pytest.mark.parametrize(("text", "name"), [("Hi", "FAST_MODELS"), (HARD, "SMART_MODELS")])
def test_the_order_of_the_settings_is_that_of_a_tier(text: str, name: str) -> None:
    tier = name.partition("_")[0].lower()
    two = [entry(each, **{each: model(tier)}) for each in ("first", "second")]
    for order in ("first,second", "second,first"):
        gateway = MemoryGateway(*two, environment={name: order})
        assert gateway.complete(model="auto", **said(text)).provenance.model == order.partition(",")[0]


def test_a_tenant_without_routing_is_answered_in_the_order_of_priority() -> None:
    two = [entry("large", large=model("smart")), entry("small", small=model())]
    assert MemoryGateway(*two).complete(model="auto").provenance.model == "small"
    without = MemoryGateway(*two, is_routing_enabled=False).complete(model="auto").provenance
    assert (without.model, without.complexity) == ("large", None)


def test_a_task_says_how_hard_it_is() -> None:
    two = [entry("small", small=model()), entry("large", large=model("smart"))]
    gateway = MemoryGateway(*two)
    assert gateway.complete(model="auto", complexity=Complexity.COMPLEX).provenance.model == "large"
    assert gateway.complete(model="auto", **said("Hi")).provenance.model == "small"


def answers_of(gateway: MemoryGateway, times: int, name: str = "auto") -> list[str | None]:
    """The models that answer hard requests, one after the other."""
    fields = {"skip_cache": True, "no_store": True, **said(HARD)}
    return [gateway.complete(model=name, **fields).provenance.model for _ in range(times)]


def test_a_tenant_s_own_cap_is_of_its_own_requests_and_the_stack_s_of_all() -> None:
    two = [entry(each, **{each: model("smart")}) for each in ("large", "other")]
    order = {"SMART_MODELS": "large,other"}
    assert answers_of(MemoryGateway(*two, environment=order), 21) == ["large"] * 21
    capped = {**order, "SMART_MODEL_MAX_PERCENT": "50"}
    assert answers_of(MemoryGateway(*two, environment=capped), 21) == [*["large"] * 20, "other"]
    own = MemoryGateway(*two, environment=order, smart_model_max_percent=50)
    assert answers_of(MemoryGateway(*two, environment=order, smart_model_max_percent=100), 21) == ["large"] * 21
    # What others were answered is no part of it.
    for _ in range(30):
        own.admission._shares.note("large")
    assert answers_of(own, 21) == [*["large"] * 20, "other"]


def test_a_model_that_is_named_has_no_part_in_the_shares_of_auto() -> None:
    two = [entry(each, **{each: model("smart")}) for each in ("large", "other")]
    gateway = MemoryGateway(*two, environment={"SMART_MODELS": "large,other", "SMART_MODEL_MAX_PERCENT": "50"})
    answers_of(gateway, 20, "large")
    assert answers_of(gateway, 1) == ["large"]
