"""Settings as they hold for a tenant: its own, else the stack's."""

from dataclasses import replace

import pytest

from sluice.cache.policy import CachePolicy
from sluice.chat import ChatRequest
from sluice.conversations.window import WindowLimits
from sluice.gateway.tenant_settings import TenantSettings
from sluice.guards.rules import Mode
from sluice.settings import Settings
from sluice.tenants.tenant import GuardModels, Tenant

USUAL = Settings.from_environment({})
OTHERWISE = Settings.from_environment(
    {
        "GUARD_MODE": "off",
        "ROUTING_ENABLED": "false",
        "CACHE_POLICY": "off",
        "CACHE_TTL_SECONDS": "0",
        "DEFAULT_MAX_TOKENS": "2000",
        "DEFAULT_TEMPERATURE": "0.7",
        "CONVERSATION_MESSAGES": "20",
        "CONVERSATION_TOKENS": "8000",
    }
)
NOTHING = Tenant("acme", "ACME")
ALL = replace(
    NOTHING,
    guard_mode="block",
    is_routing_enabled=True,
    cache_policy="all",
    cache_ttl_s=60,
    default_max_tokens=0,
    default_temperature=0.0,
    conversation_messages=2,
    conversation_tokens=100,
)


def request(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"model": "auto", "messages": [{"role": "user", "content": "x"}], **fields})


def test_without_anything_set_all_is_as_it_was() -> None:
    found = TenantSettings.of(NOTHING, USUAL)
    assert found == TenantSettings(
        guard_modes={},
        guard_models=GuardModels(),
        cache_policy=CachePolicy.UNSAMPLED,
        cache_ttl_s=3_600,
        default_max_tokens=0,
        default_temperature=None,
        conversation=WindowLimits(),
        is_routing_enabled=True,
    )
    assert found.is_caching
    assert found.tempered(request()) == request()


def test_the_stack_s_settings_hold_for_a_tenant_without_its_own() -> None:
    found = TenantSettings.of(NOTHING, OTHERWISE)
    assert (found.cache_policy, found.cache_ttl_s, found.is_caching) == (CachePolicy.OFF, 0, False)
    assert (found.default_max_tokens, found.default_temperature) == (2000, 0.7)
    assert (found.conversation, found.is_routing_enabled) == (WindowLimits(20, 8000), False)
    assert set(found.guard_modes.values()) == {Mode.OFF}


def test_a_tenant_s_own_settings_hold_before_the_stack_s_also_where_they_are_nothing() -> None:
    for settings in (USUAL, OTHERWISE):
        found = TenantSettings.of(ALL, settings)
        assert (found.cache_policy, found.cache_ttl_s, found.is_caching) == (CachePolicy.ALL, 60, True)
        assert (found.default_max_tokens, found.default_temperature) == (0, 0.0)
        assert (found.conversation, found.is_routing_enabled, found.guard_modes) == (WindowLimits(2, 100), True, {})


def test_a_rule_whose_mode_a_tenant_sets_has_it_whatever_the_others_do() -> None:
    tenant = replace(NOTHING, guard_modes={"prompt-injection": "block", "jailbreak": "flag"})
    found = TenantSettings.of(tenant, OTHERWISE).guard_modes
    assert (found["prompt-injection"], found["jailbreak"], found["prompt-leak"]) == (Mode.BLOCK, Mode.FLAG, Mode.OFF)


@pytest.mark.parametrize(
    ("policy", "ttl_s", "task_s", "kept_s"),
    [
        ("all", 60, None, 60),
        ("all", 60, 5, 5),
        ("all", 60, 0, 0),
        # What is off is no task's to switch on.
        ("all", 0, None, 0),
        ("all", 0, 2_592_000, 0),
        ("off", 60, 2_592_000, 0),
    ],
)
def test_a_task_s_lifetime_holds_where_anything_is_cached(
    policy: str, ttl_s: int, task_s: int | None, kept_s: int
) -> None:
    stack = replace(USUAL, cache_policy=policy, cache_ttl_s=ttl_s)
    assert TenantSettings.of(NOTHING, stack).answer_lifetime_s(task_s) == kept_s


def test_what_a_request_states_is_left_as_it_is() -> None:
    found = TenantSettings.of(NOTHING, OTHERWISE)
    for temperature in (0, 0.1, 2):
        assert found.tempered(request(temperature=temperature)).temperature == temperature
    assert found.tempered(request()).temperature == found.tempered(request(temperature=None)).temperature == 0.7
