"""What entries of the credentials make of the catalogue's models, and which entries are refused."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.catalog import catalog
from sluice.catalog.model import Price, Tier, TokenPrice
from sluice.providers.base import COMPLETION_TOKENS
from sluice.providers.credentials import CredentialsError, parse_credentials
from tests.credentials import GATEWAY, GROQ, HUGGING_FACE, KEY, secret
from tests.registries import BUILTIN, build


def test_who_has_to_be_told_how_much_to_complete_is_told_what_is_known() -> None:
    models = {
        "claude-opus-5-5": {},
        "mine": {"tier": "fast", "max_completion_tokens": 9_000},
        "other": {"tier": "fast"},
    }
    anthropic = {"provider": "anthropic", "alias": "ant-1", "api_key": "k", "models": models}
    config = build(anthropic).deployments[0].config
    assert config.adapter == "anthropic"
    known = [config.most_completion_tokens(name) for name in models]
    assert known == [128_000, 9_000, COMPLETION_TOKENS]
    assert not build(GATEWAY).deployments[0].config.completion_limits


def test_gemini_s_models_go_by_the_names_it_lists_too() -> None:
    gemini = {"provider": "gemini", "alias": "g-1", "api_key": "k", "models": {"models/gemini-3.8-flash": {}}}
    [found] = build(gemini).deployments
    assert found.id == "g-1#gemini-3.8-flash"


def test_a_dated_version_is_azure_s_alone() -> None:
    azure = {"provider": "azure_openai", "alias": "az-1", "api_key": "k", "base_url": "https://r.openai.azure.com"}
    models: dict[str, Any] = {"mine": {"tier": "fast"}}
    [found] = build({**azure, "api_version": "2024-10-21", "models": models}).deployments
    assert found.config.api_version == "2024-10-21"
    with pytest.raises(CredentialsError, match=r"api_version: groq has none"):
        build({**GROQ, "api_version": "2024-10-21"})
    for wrong in ("", "2024&x=1", "a/b"):
        with pytest.raises(CredentialsError, match=r"api_version"):
            build({**azure, "api_version": wrong, "models": models})


def test_a_provider_that_makes_no_embeddings_has_no_model_that_does() -> None:
    models = {"mine": {"vectors": {"dimensions": 8}}}
    with pytest.raises(CredentialsError, match=r"models.mine.vectors: anthropic makes no embeddings"):
        build({"provider": "anthropic", "alias": "ant-1", "api_key": "k", "models": models})


def test_a_credential_says_what_its_model_does_not_take_and_what_its_cache_costs() -> None:
    price = {"prompt_usd": 1, "completion_usd": 2, "cache_write_usd": 1.25, "long_cache_write_usd": 2}
    models: dict[str, Any] = {"m": {"tier": "fast", "unsupported_fields": ["temperature"], "price": price}}
    [mine] = build({**GATEWAY, "models": models}).deployments
    assert mine.model.unsupported_fields == {"temperature"}
    assert mine.model.price == Price(1, 2, cache_write_usd=1.25, long_cache_write_usd=2)


def test_what_a_credential_allows_and_honours_reaches_its_adapter() -> None:
    models: dict[str, Any] = {
        "my-model": {
            "tier": "fast",
            "tokenizer": "claude",
            "image_tokens": "claude",
            "completion_limit_field": "max_completion_tokens",
            "price": {
                "prompt_usd": 1,
                "completion_usd": 2,
                "cached_prompt_usd": 0.1,
                "service_tiers": {"priority": {"prompt_usd": 2, "completion_usd": 4}},
            },
        },
        "other": {"tier": "fast"},
    }
    allowed = {"allowed_fields": ["top_k", "tools.browser_search"]}
    mine, other = build({**GATEWAY, **allowed, "models": models}).deployments
    assert mine.config.allowed_fields >= {"top_k", "tools.browser_search", "messages.reasoning_content"}
    assert mine.config.limit_field_of("my-model") == "max_completion_tokens"
    assert mine.config.limit_field_of("other") == "max_tokens"
    assert (mine.model.tokenizer, other.model.tokenizer) == ("claude", "default")
    assert mine.model.price == Price(1, 2, 0.1, {"priority": TokenPrice(2, 4)})
    for wrong in ({"tokenizer": "gpt"}, {"image_tokens": "big"}, {"completion_limit_field": "tokens"}):
        with pytest.raises(CredentialsError, match=next(iter(wrong))):
            build({**GATEWAY, "models": {"my-model": {"tier": "fast", **wrong}}})


def test_a_providers_row_says_what_it_is_sent() -> None:
    groq = build(GROQ).deployments[0].config
    assert groq.limit_field_of("llama-3.1-8b-instant") == "max_completion_tokens"
    assert "reasoning_format" in groq.allowed_fields
    assert groq.standard_service_tiers == {"on_demand", "flex"}
    lowered = build({**GROQ, "completion_limit_field": "max_tokens"}).deployments[0].config
    assert lowered.limit_field_of("llama-3.1-8b-instant") == "max_tokens"


def test_a_credential_s_own_priority_takes_the_place_of_its_provider_s() -> None:
    one: dict[str, Any] = {"models": {"llama-3.1-8b-instant": {}}}
    hugging_face = {**HUGGING_FACE, "models": {"mistralai/Mistral-7B-Instruct-v0.2": {}}}
    registry = build({**GROQ, **one}, {**hugging_face, "priority": 1}, {**GATEWAY, "priority": 1_000})
    # Of the same priority, the first of the secret comes first.
    assert [each.alias for each in registry.deployments] == ["groq-1", "hf-1", "gw-1"]
    registry = build({**GROQ, **one, "priority": 5}, hugging_face, {**GATEWAY, "priority": 1})
    assert [each.alias for each in registry.deployments] == ["gw-1", "hf-1", "groq-1"]


WRONG: dict[str, list[Any]] = {
    "priority": [0, -1, 1_001, 1.5, "1", "", True, []],
    "timeout_s": [0, -1, "10", "", float("nan"), float("inf"), []],
}


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field in WRONG for wrong in WRONG[field]])
def test_a_priority_or_time_out_that_is_none_breaks_its_entry_alone(field: str, wrong: object) -> None:
    registry = build(GROQ, {**GATEWAY, field: wrong})
    assert {each.alias for each in registry.deployments} == {"groq-1"}
    [broken] = registry.broken
    assert broken.reason.startswith(f"credentials[1].{field}: ")


def test_an_entry_brings_models_that_the_catalogue_does_not_know() -> None:
    (deployment,) = build(GATEWAY).deployments
    assert deployment.id == "gw-1#my-model"
    assert [tuple(limit) for limit in deployment.limits] == [
        ("requests_per_minute", 30, True),
        ("tokens_per_day", 500_000, True),
    ]
    assert deployment.config.base_url == "http://127.0.0.1:9000/v1"
    assert deployment.model.context_window == deployment.model.max_completion_tokens > 100_000
    assert deployment.model.price.prompt_usd == 0


def test_the_headers_of_a_server_that_the_catalogue_does_not_know_are_not_believed() -> None:
    openai = {"provider": "openai", "api_key": KEY, "models": {"m": {"tier": "fast"}}}
    known, moved = build(
        {**openai, "alias": "one"}, {**openai, "alias": "two", "base_url": "https://proxy.example/v1"}
    ).deployments
    assert known.config.rate_limit_headers == {("tokens", "tokens_per_minute")}
    assert moved.config.rate_limit_headers == set()


def test_what_an_entry_says_replaces_the_catalogue_limit_by_limit() -> None:
    (deployment,) = build(
        {
            **GROQ,
            "timeout_s": 3,
            "models": {
                "llama-3.1-8b-instant": {
                    "limits": {"requests_per_minute": 5, "tokens_per_day": None},
                    "price": {"prompt_usd": 1, "completion_usd": 2.5},
                    "context_window": 4096,
                    "aliases": ["tiny"],
                    "serves": [],
                }
            },
        }
    ).deployments
    assert [tuple(limit) for limit in deployment.limits] == [
        ("requests_per_minute", 5, True),
        ("requests_per_day", 14_400, False),
        ("tokens_per_minute", 6_000, False),
    ]
    assert (deployment.model.price.prompt_usd, deployment.model.price.completion_usd) == (1, 2.5)
    assert deployment.model.max_completion_tokens == 4096
    assert deployment.model.aliases == ("tiny",)
    assert deployment.provider.timeout_s == 3
    assert not deployment.model.can_serve(Tier.FAST)


def test_a_key_is_in_no_representation() -> None:
    registry = build(GROQ, GATEWAY)
    assert KEY not in repr(registry.deployments)
    assert KEY not in repr(parse_credentials(secret(GROQ)))


@pytest.mark.parametrize(
    ("credential", "message"),
    [
        ({**GROQ, "provider": "grok"}, "credentials[1].provider: 'grok' is none of groq, huggingface, gateway"),
        ({**GROQ, "api_key": None}, "credentials[1].api_key: missing, and groq asks for one"),
        ({**GROQ, "api_key": ""}, "credentials[1].api_key: must be printable ASCII"),
        ({**GROQ, "api_key": f"{KEY}\n"}, "credentials[1].api_key: must be printable ASCII"),
        ({**GROQ, "api_key": [KEY]}, "credentials[1].api_key: "),
        ({**GROQ, "alias": "gw-1"}, "credentials[1].alias: 'gw-1' is taken"),
        ({**GROQ, "alias": "a#b"}, "credentials[1].alias: String should match pattern"),
        ({**GROQ, "apikey": KEY}, "credentials[1].apikey: Extra inputs are not permitted"),
        ({"provider": "groq", "api_key": KEY}, "credentials[1].alias: Field required"),
        ({**GATEWAY, "alias": "x", "base_url": None}, "credentials[1].base_url: missing, and the catalogue has none"),
        *(
            ({**GATEWAY, "alias": "x", "base_url": url}, f"credentials[1].base_url: must {must}")
            for url, must in (
                ("ftp://x", "be an http or https URL"),
                ("x", "be an http or https URL"),
                ("http:///v1", "be an http or https URL"),
                ("http://a..b/v1", "be an http or https URL"),
                ("http://a,b/v1", "be an http or https URL"),
                ("http://[oops", "have a host and port that can be"),
                ("http://[::g]/v1", "have a host and port that can be"),
                ("http://999.0.0.1/v1", "have a host and port that can be"),
                ("http://x:99999/v1", "have a host and port that can be"),
                ("http://x:y/v1", "have a host and port that can be"),
                ("http://x /v1", "be a URL of at most 2048 printable"),
                ("http://x\x00/v1", "be a URL of at most 2048 printable"),
                ("http://höst/v1", "be a URL of at most 2048 printable"),
                ("http://x/" + "v" * 2048, "be a URL of at most 2048 printable"),
                (f"https://me:{KEY}@x/v1", "not have a user name or password"),
                (f"https://{KEY}@x/v1", "not have a user name or password"),
            )
        ),
        ({**GATEWAY, "alias": "x", "models": None}, "credentials[1].models: missing, and the catalogue has none"),
        ({**GATEWAY, "alias": "x", "models": {}}, "credentials[1].models: "),
        ({**GROQ, "models": {"new": {}}}, "credentials[1].models.new.tier: missing"),
        ({**GROQ, "models": {"new": {"tier": "fats"}}}, "credentials[1].models.new.tier: Input should be 'fast' or"),
        ({**GROQ, "models": {"a#b": {"tier": "fast"}}}, "credentials[1].models.a#b: String should match pattern"),
        (
            {**GROQ, "models": {"llama-3.1-8b-instant": {"limits": {"requests_per_minute": 0}}}},
            "credentials[1].models.llama-3.1-8b-instant.limits.requests_per_minute: Input should be greater",
        ),
        (
            {**GROQ, "models": {"llama-3.1-8b-instant": {"limits": {"rpm": 1}}}},
            "credentials[1].models.llama-3.1-8b-instant.limits.rpm: Input should be 'requests_per_minute'",
        ),
        (
            {**GROQ, "models": {"llama-3.1-8b-instant": {"max_completion_tokens": 10**6}}},
            "models.llama-3.1-8b-instant.max_completion_tokens: 1000000 is over the context window of 131072",
        ),
    ],
)
def test_a_wrong_entry_is_named_without_its_key(credential: dict[str, Any], message: str) -> None:
    registry = build(GATEWAY, credential)
    assert {each.alias for each in registry.deployments} == {"gw-1"}, "the others are served"
    [broken] = registry.broken
    assert broken.position == 1
    assert message in broken.reason
    assert KEY not in broken.reason


@given(
    at=st.sampled_from(["provider", "alias", "base_url", "models", "enabled", "timeout_s"]),
    value=st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2),
)
def test_whatever_an_entry_holds_it_is_taken_or_refused_by_name(at: str, value: object) -> None:
    try:
        build({**GATEWAY, at: value})
    except CredentialsError as error:
        assert f"credentials[0].{at}" in error.message  # noqa: PT017  some values are right
        assert KEY not in error.message  # noqa: PT017  some values are right


@given(url=st.text(st.sampled_from("http://[]:@?#&=.%-_aé 19\0,"), max_size=30).map("http://".__add__))
def test_an_adapter_can_be_built_for_whatever_url_is_taken(url: str) -> None:
    try:
        registry = build({**GATEWAY, "base_url": url})
    except CredentialsError as error:
        assert "credentials[0].base_url: must" in error.message  # noqa: PT017  some values are right
        return
    (deployment,) = registry.deployments
    assert registry.provider(deployment)
    assert httpx.URL(deployment.config.base_url or "").host


def test_the_catalogue_s_embedding_models_take_what_their_providers_do() -> None:
    known = {model.id: model.vectors for model in catalog().models if model.vectors is not None}
    assert {name: (vectors.dimensions, vectors.most_inputs) for name, vectors in known.items()} == {
        "sentence-transformers/all-mpnet-base-v2": (768, 32),
        "gemini-embedding-001": (3_072, 100),
        "text-embedding-3-small": (1_536, 2_048),
        "text-embedding-3-large": (3_072, 2_048),
        "potion-base-8M": (256, 2_048),
    }
    assert known["gemini-embedding-001"].leaves_length
    assert all(vectors.most_tokens == 300_000 for vectors in known.values())


def test_sluice_s_own_model_is_told_neither_a_key_nor_a_place_and_is_no_other() -> None:
    wrong: dict[str, dict[str, Any]] = {
        "api_key": {"api_key": KEY},
        "base_url": {"base_url": "http://127.0.0.1:1/v1"},
        "models.other": {"models": {"other": {"vectors": {"dimensions": 256}}}},
        "models.potion-base-8M.vectors": {"models": {"potion-base-8M": {"vectors": {"dimensions": 512}}}},
    }
    for field, said in wrong.items():
        with pytest.raises(CredentialsError, match=rf"credentials\[0\]\.{field}: ") as raised:
            build({**BUILTIN, **said})
        assert KEY not in raised.value.message
    limited = build({**BUILTIN, "models": {"potion-base-8M": {"limits": {"requests_per_minute": 3}}}})
    assert [limit.capacity for limit in limited.deployments[0].limits] == [3]
