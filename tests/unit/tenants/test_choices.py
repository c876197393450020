"""What a tenant chose, within what an admin allows."""

from dataclasses import replace
from typing import Any

import pytest

from sluice.cache.policy import CachePolicy
from sluice.errors import FeatureDisabledError, InvalidRequestError, PreconditionFailedError
from sluice.gateway.tenant_settings import TenantSettings, smart_share
from sluice.guards.rules import Mode
from sluice.settings import Settings
from sluice.tenants.choices import FEATURES, Category, Choice, check_enabled, choice_of, narrowed, with_choice
from sluice.tenants.preference_types import dashboard, defaults, merged, question_answering, resolved
from sluice.tenants.tenant import GuardModel, GuardModels, Tenant
from sluice.tenants.versions import check_version, entity_tag

TENANT = Tenant("school", "The school")
USUAL = Settings.from_environment({})


def choosing(tenant: Tenant, category: Category, **values: Any) -> Tenant:
    return narrowed(with_choice(tenant, category, Choice(values=values, version=1)))


def test_a_tenant_that_chose_nothing_is_as_an_admin_made_it() -> None:
    assert narrowed(TENANT) is TENANT
    assert choice_of(TENANT, "models") == Choice()


@pytest.mark.parametrize(
    ("allowed", "wanted", "holds"),
    [
        (None, ["a", "b"], ("a", "b")),
        (("a", "b"), ["b"], ("b",)),
        # An admin took "a" away after it was chosen.
        (("b",), ["a", "b"], ("b",)),
        (("b",), ["a"], ()),
    ],
)
def test_models_are_those_chosen_that_an_admin_allows(
    allowed: tuple[str, ...] | None, wanted: list[str], holds: tuple[str, ...]
) -> None:
    assert choosing(replace(TENANT, allowed_models=allowed), "models", allowed_models=wanted).allowed_models == holds


@pytest.mark.parametrize(("allowed", "wanted", "holds"), [(None, 5.5, 5.5), (10.0, 5.0, 5.0), (2.0, 5.0, 2.0)])
def test_a_budget_is_the_smaller_of_the_two(allowed: float | None, wanted: float, holds: float) -> None:
    own = None if allowed is None else int(allowed * 10**9)
    tenant = choosing(replace(TENANT, budget_nanousd=own), "cost_limits", budget_usd_per_month=wanted)
    assert tenant.budget_nanousd == int(holds * 10**9)


def test_limits_of_users_are_the_smaller_of_the_two_each() -> None:
    own = {"budget_nanousd": 2 * 10**9, "tokens_per_minute": 100}
    wanted = {"budget_usd_per_month": 5.0, "tokens_per_minute": 50, "tokens_per_day": 900}
    tenant = choosing(replace(TENANT, user_limits=own), "cost_limits", user_limits=wanted)
    assert tenant.user_limits == {"budget_nanousd": 2 * 10**9, "tokens_per_minute": 50, "tokens_per_day": 900}


def test_what_only_bounds_defaults_takes_the_place_of_an_admins() -> None:
    own = replace(TENANT, default_max_tokens=100, cache_policy="all", fallbacks={"a": ("b",), "c": ("d",)})
    tenant = choosing(own, "models", default_max_tokens=50, fallbacks={"a": ["e"]}, routing_enabled=False)
    assert tenant.default_max_tokens == 50
    assert tenant.fallbacks == {"a": ("e",), "c": ("d",)}
    assert tenant.is_routing_enabled is False
    holds = TenantSettings.of(choosing(own, "policies", cache_policy="off", cache_ttl_seconds=9), USUAL)
    assert (holds.cache_policy, holds.cache_ttl_s) == (CachePolicy.OFF, 9)


@pytest.mark.parametrize(
    ("stack", "own", "wanted", "holds"),
    [
        ("flag", None, "block", Mode.BLOCK),
        ("block", None, "flag", Mode.BLOCK),
        ("off", "flag", "off", Mode.FLAG),
        ("off", None, "flag", Mode.FLAG),
    ],
)
def test_guards_do_more_by_choice_and_never_less(stack: Any, own: Any, wanted: str, holds: Mode) -> None:
    settings = replace(USUAL, guard_mode=stack)
    tenant = choosing(replace(TENANT, guard_mode=own), "policies", guard_mode=wanted)
    rule = "prompt-injection"
    modes = TenantSettings.of(tenant, settings).guard_modes
    assert modes.get(rule, Mode.BLOCK) is holds


def test_a_rule_does_more_by_choice_and_never_less() -> None:
    own = replace(TENANT, guard_modes={"personal-email": "block", "personal-phone": "off"})
    tenant = choosing(own, "policies", guard_modes={"personal-email": "off", "personal-phone": "flag"})
    modes = TenantSettings.of(tenant, USUAL).guard_modes
    assert modes["personal-email"] is Mode.BLOCK
    assert modes["personal-phone"] is Mode.FLAG


def test_a_guard_model_is_chosen_where_an_admin_has_none() -> None:
    own = GuardModel("admins-guard")
    chosen = {
        side: {"model": "own-guard", "threshold": 0.5, "when_unavailable": "block"} for side in ("prompt", "answer")
    }
    tenant = choosing(replace(TENANT, guard_models=GuardModels(prompt=own)), "policies", guard_models=chosen)
    assert tenant.guard_models == GuardModels(prompt=own, answer=GuardModel("own-guard", 0.5, "block"))


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_refused_that_is_off_and_no_other(feature: str) -> None:
    tenant = choosing(TENANT, "features", **{feature: False})
    for each in FEATURES:
        if each == feature:
            with pytest.raises(FeatureDisabledError, match=feature):
                check_enabled(each, tenant)
        else:
            check_enabled(each, tenant)


@pytest.mark.parametrize("if_match", ["", '"3"', '"1", "3"', "*", ' "3" '])
def test_a_change_is_made_of_the_version_that_was_seen(if_match: str) -> None:
    check_version(if_match, 3)


@pytest.mark.parametrize(("if_match", "version"), [('"2"', 3), ('W/"3"', 3), ("*", 0), ('"0"', 1)])
def test_a_change_is_refused_of_another_version(if_match: str, version: int) -> None:
    with pytest.raises(PreconditionFailedError):
        check_version(if_match, version)


@pytest.mark.parametrize("if_match", ["3", '"3', "none", '"3" "4"', '"' + "9" * 2_000 + '"'])
def test_what_is_no_version_is_refused(if_match: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_version(if_match, 3)


def test_a_tag_is_quoted() -> None:
    assert entity_tag(3) == '"3"'


def test_preferences_are_as_is_usual_where_nothing_was_chosen() -> None:
    found = resolved("agent_config", {"questionAnswering": {"confidenceThreshold": 0.5}, "gone": True})
    assert found["questionAnswering"] == {
        "primaryModel": None,
        "fallbackModel": None,
        "responseStyle": "detailed",
        "confidenceThreshold": 0.5,
        "analysisDepth": "advanced",
        "customPrompts": [],
    }
    assert found["insightGeneration"] == {"analysisDepth": "advanced", "proactiveInsights": True, "customPrompts": []}
    assert found.keys() == defaults("agent_config").keys()


def test_a_change_leaves_the_other_fields_of_a_group() -> None:
    before = {"questionAnswering": {"primaryModel": "a", "responseStyle": "brief"}}
    after = merged(before, {"questionAnswering": {"primaryModel": "b"}})
    assert after == {"questionAnswering": {"primaryModel": "b", "responseStyle": "brief"}}
    assert merged(before, {"questionAnswering": {"primaryModel": None, "responseStyle": None}}) == {}


def test_what_a_type_does_not_say_is_as_all_agents_do() -> None:
    agent = {
        "questionAnswering": {"responseStyle": "brief", "primaryModel": "a"},
        "dashboardAI": {"anomalyDetection": False},
    }
    asked = question_answering(agent, {"primaryModel": "b", "responseStyle": None})
    assert (asked.primaryModel, asked.responseStyle, asked.confidenceThreshold) == ("b", "brief", 0.8)
    shown = dashboard(agent, {"trend_analysis": False})
    assert shown["anomaly_detection"] is False
    assert shown["trend_analysis"] is False
    assert shown["narrative_generation"] is True
    assert dashboard(agent, {"anomaly_detection": True})["anomaly_detection"] is True


@pytest.mark.parametrize(
    ("own", "wanted", "share", "is_own"),
    [(None, None, 15.0, False), (None, 100.0, 15.0, True), (None, 5.0, 5.0, True), (50.0, 100.0, 50.0, True)],
)
def test_a_share_of_smart_models_is_never_more_than_is_allowed(
    own: float | None, wanted: float | None, share: float, is_own: bool
) -> None:
    tenant = replace(TENANT, smart_model_max_percent=own)
    if wanted is not None:
        tenant = choosing(tenant, "models", smart_model_max_percent=wanted)
    assert smart_share(tenant, replace(USUAL, smart_model_max_percent=15.0)) == (share, is_own)


def test_what_a_newer_version_wrote_of_a_choice_is_left_out() -> None:
    stored = {"models": {"values": {"default_max_tokens": 9}, "version": 2, "newer": True}}
    tenant = replace(TENANT, choices=stored)
    assert choice_of(tenant, "models").version == 2
    assert narrowed(tenant).default_max_tokens == 9
