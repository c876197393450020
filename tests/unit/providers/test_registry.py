"""Which deployments there are, and who answers to which name."""

import json
import traceback
from typing import Any

import pytest

from sluice.catalog.catalog import catalog
from sluice.catalog.model import Tier
from sluice.errors import NotFoundError
from sluice.providers.credentials import Credential, CredentialsError, parse_credentials
from sluice.providers.registry import Registry
from tests.credentials import GATEWAY, GROQ, HUGGING_FACE, KEY, secret
from tests.registries import BUILTIN, build


def test_a_credential_serves_every_model_of_its_provider() -> None:
    registry = build(GROQ)
    assert [each.id for each in registry.deployments] == [f"groq-1#{model.id}" for model in catalog().models_of("groq")]
    first = registry.deployments[0]
    assert {limit.name: limit.capacity for limit in first.limits} == dict(first.model.limits)
    assert not any(limit.is_fixed for limit in first.limits)
    assert first.config.api_key == KEY


def test_a_credential_that_names_models_serves_these_only() -> None:
    registry = build({**GROQ, "models": {"llama-3.1-8b-instant": {}}})
    assert [each.id for each in registry.deployments] == ["groq-1#llama-3.1-8b-instant"]


def test_priority_follows_the_provider_then_the_order_of_the_secret() -> None:
    one: dict[str, Any] = {"models": {"llama-3.1-8b-instant": {}}}
    mistral: dict[str, Any] = {"models": {"mistralai/Mistral-7B-Instruct-v0.2": {}}}
    registry = build(
        {**HUGGING_FACE, **mistral},
        {**GROQ, **one, "alias": "groq-2"},
        {**HUGGING_FACE, **mistral, "alias": "hf-2"},
        {**GROQ, **one, "alias": "groq-1"},
    )
    ranked = [(each.priority, each.alias) for each in registry.deployments]
    assert ranked == [(1, "groq-2"), (2, "groq-1"), (3, "hf-1"), (4, "hf-2")]


@pytest.mark.parametrize(
    ("name", "model", "is_replacement"),
    [
        ("llama-3.1-8b-instant", "llama-3.1-8b-instant", False),
        ("llama-3.1-8b", "llama-3.1-8b-instant", False),
        ("llama3-8b-8192", "llama-3.1-8b-instant", True),
        ("mixtral-8x7b-32768", "llama-3.3-70b-versatile", True),
    ],
)
def test_names_aliases_and_names_that_are_gone_resolve(name: str, model: str, is_replacement: bool) -> None:
    resolved = build(GROQ).deployments_for(name)
    assert (resolved.requested, resolved.model, resolved.is_replacement) == (name, model, is_replacement)
    assert [each.id for each in resolved.deployments] == [f"groq-1#{model}"]


def test_a_name_that_an_entry_serves_is_not_replaced() -> None:
    registry = build(GROQ, {**GATEWAY, "models": {"mixtral-8x7b-32768": {"tier": "smart"}}})
    resolved = registry.deployments_for("mixtral-8x7b-32768")
    assert ([each.alias for each in resolved.deployments], resolved.is_replacement) == (["gw-1"], False)


def test_a_model_that_several_providers_have_is_served_by_all() -> None:
    registry = build(GROQ, {"provider": "openrouter", "alias": "or-1", "api_key": KEY})
    resolved = registry.deployments_for("gpt-oss-120b")
    assert [each.alias for each in resolved.deployments] == ["groq-1", "or-1"]
    assert resolved.model == "openai/gpt-oss-120b"


def test_an_alias_that_models_share_stands_for_itself() -> None:
    models = {"a": {"tier": "fast", "aliases": ["both"]}, "b": {"tier": "smart", "aliases": ["both"]}}
    resolved = build({**GATEWAY, "models": models}).deployments_for("both")
    assert (resolved.model, len(resolved.deployments), resolved.is_replacement) == ("both", 2, False)


@pytest.mark.parametrize("name", ["nonsense", "auto", "groq-1#llama-3.1-8b-instant"])
def test_an_unknown_model_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError, match="There is no model") as caught:
        build(GROQ).deployments_for(name)
    assert (caught.value.param, caught.value.code, caught.value.status) == ("model", "model_not_found", 404)


def test_a_gone_model_whose_replacement_is_not_served_is_not_found() -> None:
    with pytest.raises(NotFoundError, match=r"It is gone; 'llama-3\.3-70b-versatile', which replaces it"):
        build(GATEWAY).deployments_for("mixtral-8x7b-32768")


def test_tiers_hold_what_may_be_chosen_for_them() -> None:
    registry = build(GROQ, HUGGING_FACE, {"provider": "local", "alias": "local", "base_url": "http://127.0.0.1:1/v1"})
    assert [each.id for each in registry.for_tier(Tier.SMART)] == [
        "groq-1#meta-llama/llama-4-scout-17b-16e-instruct",
        "groq-1#llama-3.3-70b-versatile",
        "groq-1#openai/gpt-oss-120b",
        "local#smollm2-135m-instruct",
    ]
    fast = [each.model.id for each in registry.for_tier(Tier.FAST)]
    assert "meta-llama/llama-guard-4-12b" not in fast
    assert fast[0] == "llama-3.1-8b-instant"
    assert fast[-1] == "smollm2-135m-instruct"


def test_guard_models_are_found_by_the_gateway_and_by_nobody_else() -> None:
    registry = build(GROQ)
    guard = "meta-llama/llama-prompt-guard-2-86m"
    for name in (guard, "llama-prompt-guard-2-86m"):
        assert [each.model.id for each in registry.guards(name)] == [guard]
        assert registry.named(name) == ()
        with pytest.raises(NotFoundError, match="is a guard model: the gateway asks it"):
            registry.deployments_for(name)
    with pytest.raises(NotFoundError, match="is a guard model"):
        registry.deployments_for("llama-guard-3-8b")
    assert registry.guards("llama-3.1-8b-instant") == ()
    assert not [each for each in registry.models() if "guard" in each.id]


def test_a_credential_may_have_guard_models_and_let_callers_ask_them() -> None:
    models = {
        "own": {"tier": "fast", "verdict": "safety"},
        "open": {"tier": "fast", "verdict": "probability", "answers_callers": True, "serves": ["fast"]},
        "plain": {"tier": "fast"},
    }
    registry = build({**GATEWAY, "models": models})
    assert [each.model.id for each in registry.for_tier(Tier.FAST)] == ["open", "plain"]
    assert [each.id for each in registry.models()] == ["open", "plain"]
    assert registry.guards("open") == registry.deployments_for("open").deployments
    assert [each.model.verdict for each in registry.guards("own")] == ["safety"]


def test_what_is_switched_off_is_neither_chosen_nor_listed_nor_unknown() -> None:
    registry = build({**GROQ, "enabled": False}, {**GATEWAY, "models": {"m": {"tier": "fast", "enabled": False}}})
    assert len(registry.deployments) > 1
    assert registry.for_tier(Tier.FAST) == ()
    assert registry.models() == []
    assert registry.deployments_for("m").deployments == ()


def test_fallbacks_come_best_first_and_never_include_the_model_itself() -> None:
    registry = build(GROQ)
    scout = registry.deployments_for("llama-4-scout")
    assert [each.model.id for each in registry.fallbacks_for(scout)] == ["llama-3.1-8b-instant", "openai/gpt-oss-120b"]
    assert registry.fallbacks_for(build(GATEWAY).deployments_for("my-model")) == ()


def test_models_are_listed_once_with_their_providers() -> None:
    registry = build(GROQ, {**GROQ, "alias": "groq-2"}, {"provider": "openrouter", "alias": "or-1", "api_key": KEY})
    listed = {model.id: model for model in registry.models()}
    assert len(listed) == len(registry.models())
    assert listed["openai/gpt-oss-120b"].providers == ("groq", "openrouter")
    assert listed["openai/gpt-oss-120b"].owned_by == "groq"
    assert listed["llama-3.1-8b-instant"].tier is Tier.FAST


def test_a_secret_of_broken_entries_alone_is_broken() -> None:
    with pytest.raises(CredentialsError, match=r"credentials\[0\].provider: 'nobody' is none of") as caught:
        build({**GROQ, "provider": "nobody"}, {**GROQ, "alias": "groq-2", "api_key": f"{KEY} "})
    assert [each.position for each in caught.value.broken] == [0, 1]
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"credentials": {}}', f'{{"credentials": "{KEY}"}}', f'["{KEY}"', KEY]
)
def test_a_secret_of_another_form_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(CredentialsError, match="the credentials secret: ") as caught:
        parse_credentials(text)
    assert KEY not in caught.value.message


def test_no_credentials_are_no_mistake() -> None:
    registry = build()
    assert (registry.deployments, registry.models(), registry.for_tier(Tier.FAST)) == ((), [], ())


@pytest.mark.parametrize("credential", [GROQ, HUGGING_FACE, GATEWAY])
def test_each_adapter_is_made_for_its_provider(credential: dict[str, Any]) -> None:
    registry = build(credential)
    made = registry.provider(registry.deployments[0])
    assert type(made).__module__ == f"sluice.providers.{registry.deployments[0].provider.adapter}"
    assert made.config.alias == credential["alias"]


def test_an_alias_is_the_first_entry_s_that_has_it_even_if_that_one_is_broken() -> None:
    registry = build(HUGGING_FACE, {**GATEWAY, "models": {}}, {**GROQ, "alias": "gw-1"}, {**GATEWAY, "alias": "hf-1"})
    assert {each.id for each in registry.deployments} == {each.id for each in build(HUGGING_FACE).deployments}
    assert [(each.position, each.alias) for each in registry.broken] == [(1, "gw-1"), (2, "gw-1"), (3, "hf-1")]


@pytest.mark.parametrize("entry", [None, 1, "text", KEY, [KEY], {}, {"alias": [KEY]}, {"alias": f"{KEY}\n"}])
def test_an_entry_of_another_form_is_broken_and_shows_nothing(entry: object) -> None:
    registry = Registry.build(catalog(), parse_credentials(json.dumps({"credentials": [GROQ, entry]})))
    [broken] = registry.broken
    assert (broken.position, broken.alias) == (1, None)
    assert KEY not in broken.reason
    assert {each.alias for each in registry.deployments} == {"groq-1"}


def test_a_model_with_vectors_is_found_by_who_embeds_and_by_nobody_else() -> None:
    said = {"vectors": {"dimensions": 384}, "aliases": ["e"], "serves": ["fast"], "verdict": "safety"}
    registry = build({**GATEWAY, "models": {"chats": {"tier": "fast"}, "embeds": said}})
    [embedder] = registry.embedders("e")
    assert (embedder.model.id, embedder.model.vectors and embedder.model.vectors.dimensions) == ("embeds", 384)
    assert registry.embedders("chats") == registry.embedders("nobody") == ()
    for name in ("embeds", "e"):
        assert registry.named(name) == registry.guards(name) == ()
        with pytest.raises(NotFoundError):
            registry.deployments_for(name)
    found = (*registry.for_auto(), *registry.for_tier(Tier.FAST), *registry.for_tier(Tier.SMART))
    assert {each.model.id for each in found} == {"chats"}
    assert {each.id: each.dimensions for each in registry.models()} == {"chats": None, "embeds": 384}


OWN = [Credential(provider="builtin", alias="builtin")]


def own(*credentials: dict[str, Any]) -> list[str]:
    """The deployments of Sluice's own embedding model in a stack that has it, off ones in brackets."""
    registry = Registry.build(catalog(), parse_credentials(secret(*credentials)), OWN)
    return [each.id if each.enabled else f"({each.id})" for each in registry.embedders("potion")]


def test_sluice_s_own_model_is_there_without_a_credential_and_as_one_says_where_there_is_one() -> None:
    assert own() == own(GROQ) == ["builtin#potion-base-8M"]
    assert own(GROQ, BUILTIN) == ["mine#potion-base-8M"]
    assert own({**BUILTIN, "enabled": False}) == ["(mine#potion-base-8M)"]
    assert own({**GROQ, "alias": "builtin"}) == []
    assert build().deployments == ()
