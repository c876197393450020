import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.catalog.catalog import Catalog, catalog
from sluice.catalog.model import LIMIT_NAMES, UNKNOWN_PRICE, Price, Tier, TokenPrice
from sluice.catalog.reader import SHARED
from sluice.quota.limits import DEPLOYMENT_WINDOWS

PROVIDERS = """
[groq]
adapter = "groq"
priority = 1
timeout_s = 10

[gateway]
adapter = "openai_compatible"
priority = 2
timeout_s = 30.5
needs_api_key = false
unsupported_fields = ["logprobs"]
rate_limit_headers = { tokens = "tokens_per_minute" }
"""
MODELS = """
[[models]]
id = "small"
provider = "groq"
tier = "fast"
context_window = 8_192
price = { prompt_usd = 0.05, completion_usd = 0.08 }
limits = { requests_per_minute = 30, tokens_per_day = 500_000 }
aliases = ["s"]

[[models]]
id = "large"
provider = "groq"
tier = "smart"
context_window = 131_072
max_completion_tokens = 4_096
fallbacks = ["small"]
serves = ["fast", "smart"]

[replacements]
"old" = "large"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str], Catalog]:
    def read(models: str = MODELS, providers: str = PROVIDERS) -> Catalog:
        (tmp_path / "models.toml").write_text(models)
        (tmp_path / "providers.toml").write_text(providers)
        return Catalog.read(tmp_path)

    return read


def test_rows_become_typed_values(read: Callable[..., Catalog]) -> None:
    known = read()
    small, large = known.models
    assert small.price == Price(0.05, 0.08)
    assert small.limits == {"requests_per_minute": 30, "tokens_per_day": 500_000}
    assert small.max_completion_tokens == small.context_window == 8_192
    assert (large.max_completion_tokens, large.fallbacks, large.price) == (4_096, ("small",), UNKNOWN_PRICE)
    assert known.replacements == {"old": "large"}
    assert known.providers["gateway"].timeout_s == 30.5
    assert known.providers["gateway"].unsupported_fields == {"logprobs"}
    assert known.providers["gateway"].rate_limit_headers == {("tokens", "tokens_per_minute")}
    assert not known.providers["groq"].rate_limit_headers
    assert known.providers["groq"].needs_api_key
    assert not known.providers["gateway"].needs_api_key


def test_what_a_provider_is_sent_and_how_its_tokens_count_are_data(read: Callable[..., Catalog]) -> None:
    price = "{ prompt_usd = 1, completion_usd = 2, cached_prompt_usd = 0.1, service_tiers.flex = { prompt_usd = 0.5, "
    known = read(
        MODELS.replace("{ prompt_usd = 0.05, completion_usd = 0.08 }", price + "completion_usd = 1 } }").replace(
            'aliases = ["s"]',
            'tokenizer = "o200k"\nimage_tokens = "gemini"\ncompletion_limit_field = "max_completion_tokens"',
        ),
        PROVIDERS
        + 'allowed_fields = ["top_k"]\nstandard_service_tiers = ["flex"]\ncompletion_limit_field = "max_tokens"',
    )
    small, large = known.models
    assert small.price == Price(1, 2, 0.1, {"flex": TokenPrice(0.5, 1)})
    assert (small.tokenizer, small.image_tokens) == ("o200k", "gemini")
    assert (large.tokenizer, large.image_tokens) == ("default", "largest")
    assert (small.completion_limit_field, large.completion_limit_field) == ("max_completion_tokens", None)
    assert known.providers["gateway"].allowed_fields == {"top_k"}
    assert known.providers["gateway"].standard_service_tiers == {"flex"}
    assert not known.providers["groq"].allowed_fields
    for wrong in ('tokenizer = "gpt"', 'image_tokens = "big"', 'completion_limit_field = "tokens"'):
        with pytest.raises(ValueError, match=f"small.*{wrong.split()[0]} must be one of"):
            read(MODELS.replace('aliases = ["s"]', wrong))


def test_no_provider_of_the_catalogue_is_sent_what_asks_other_models_or_costs_more() -> None:
    dangerous = {"models", "route", "plugins", "provider", "service_tier", "web_search_options", "search_settings"}
    for row in catalog().providers.values():
        assert not dangerous & row.allowed_fields, row.name


def test_a_model_serves_its_own_tier_unless_its_row_says_otherwise(read: Callable[..., Catalog]) -> None:
    small, large = read().models
    assert (small.can_serve(Tier.FAST), small.can_serve(Tier.SMART)) == (True, False)
    assert (large.can_serve(Tier.FAST), large.can_serve(Tier.SMART)) == (True, True)
    (by_name_only, _) = read(MODELS.replace('aliases = ["s"]', "serves = []")).models
    assert not any(by_name_only.can_serve(tier) for tier in Tier)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("requests_per_minute", "request_per_minute", "model 1 (small), limits: unknown field 'request_per_minute'"),
        ("requests_per_minute = 30", "requests_per_minute = 0", "limits: requests_per_minute must be a whole number"),
        (
            "requests_per_minute = 30",
            "requests_per_minute = true",
            "limits: requests_per_minute must be a whole number",
        ),
        ("tokens_per_day = 500_000", 'tokens_per_day = "many"', "limits: tokens_per_day must be a whole number"),
        ('aliases = ["s"]', 'alias = ["s"]', "model 1 (small): unknown field 'alias'; known are aliases,"),
        ('aliases = ["s"]', 'aliases = "s"', "model 1 (small): aliases must be a list of texts"),
        ('aliases = ["s"]', 'aliases = ["s", "s"]', "aliases must be a list without repetitions"),
        ('aliases = ["s"]', 'aliases = ["large"]', "model small: aliases must be names that nothing else has"),
        ('aliases = ["s"]', 'aliases = ["old"]', "model small: aliases must be names that nothing else has"),
        ('tier = "fast"', 'tier = "quick"', "model 1 (small): tier must be one of fast, smart, got 'quick'"),
        ('tier = "fast"\n', "", "model 1 (small): tier is missing"),
        (
            'provider = "groq"',
            'provider = "grok"',
            "model 1 (small): provider must be one of groq, gateway, got 'grok'",
        ),
        ('id = "small"\n', "", "model 1 (without an id): id is missing"),
        ('id = "large"', 'id = "small"', "model 2 (small): groq has a model of this id already"),
        ("prompt_usd = 0.05", "prompt_usd = -1", "price: prompt_usd must be a number of at least 0, got -1"),
        ("prompt_usd = 0.05", "prompt_usd = inf", "price: prompt_usd must be a number of at least 0, got inf"),
        ("completion_usd", "completion_cost", "price: completion_usd is missing"),
        ("max_completion_tokens = 4_096", "max_completion_tokens = 999_999", "must be at most context_window"),
        (
            'fallbacks = ["small"]',
            'fallbacks = ["tiny"]',
            "model large: fallbacks must be ids of other models, got 'tiny'",
        ),
        ('fallbacks = ["small"]', 'fallbacks = ["large"]', "fallbacks must be ids of other models, got 'large'"),
        ('serves = ["fast", "smart"]', 'serves = ["slow"]', "model 2 (large): serves must be a list of fast, smart"),
        ('"old" = "large"', '"old" = "huge"', "replacements: old must be the id of a model, got 'huge'"),
        ('"old" = "large"', '"small" = "large"', "small is the id of a model and cannot be replaced"),
        ("[replacements]", "[replaced]", ": unknown field 'replaced'; known are models, replacements"),
        ("[replacements]", "[replacements", "at line 20"),
    ],
)
def test_a_mistake_in_a_model_is_named(read: Callable[..., Catalog], right: str, wrong: str, message: str) -> None:
    assert right in MODELS
    with pytest.raises(ValueError, match="^models.toml.*" + re.escape(message)):
        read(MODELS.replace(right, wrong, 1))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('adapter = "groq"', 'adapter = "grok"', "groq: adapter must be one of groq, huggingface, openai_compatible"),
        ("priority = 1", "priority = 1.5", "groq: priority must be a whole number above 0, got 1.5"),
        ("timeout_s = 10", "timeout_s = 0", "groq: timeout_s must be a number above 0"),
        ("timeout_s = 10", "timeout = 10", "groq: timeout_s is missing"),
        ("needs_api_key = false", "needs_key = false", "gateway: unknown field 'needs_key'"),
        ("needs_api_key = false", 'needs_api_key = "no"', "gateway: needs_api_key must be true or false, got 'no'"),
        ('{ tokens = "', '{ words = "', "gateway, rate_limit_headers: unknown field 'words'"),
        ('"tokens_per_minute"', '"tpm"', "gateway, rate_limit_headers: tokens must be one of requests_per_minute, "),
        ("[groq]", "groq = 1\n[other]", "groq must be a table, got 1"),
    ],
)
def test_a_mistake_in_a_provider_is_named(read: Callable[..., Catalog], right: str, wrong: str, message: str) -> None:
    assert right in PROVIDERS
    with pytest.raises(ValueError, match="^providers.toml.*" + re.escape(message)):
        read(providers=PROVIDERS.replace(right, wrong, 1))


def test_the_limits_of_the_catalogue_are_those_the_ledger_keeps() -> None:
    assert set(LIMIT_NAMES) == set(DEPLOYMENT_WINDOWS)


def test_the_shipped_catalogue_holds_the_numbers_that_were_agreed_on() -> None:
    known = catalog()
    by_name = {(model.provider, model.id): model for model in known.models}
    workhorse = by_name["groq", "llama-3.1-8b-instant"]
    assert workhorse.tier is Tier.FAST
    assert [workhorse.limits[name] for name in LIMIT_NAMES[:3]] == [30, 14_400, 6_000]
    scout = by_name["groq", "meta-llama/llama-4-scout-17b-16e-instruct"]
    assert scout.tier is Tier.SMART
    assert [scout.limits[name] for name in LIMIT_NAMES[:3]] == [30, 1_000, 30_000]
    assert scout.fallbacks[0] == workhorse.id
    assert by_name["huggingface", "mistralai/Mistral-7B-Instruct-v0.2"].limits == {"characters_per_month": 30_000}
    assert (known.providers["groq"].priority, known.providers["groq"].timeout_s) == (1, 10)
    assert known.providers["huggingface"].priority == 2
    assert known.replacements["mixtral-8x7b-32768"] == "llama-3.3-70b-versatile"
    assert known.replacements["llama3-8b-8192"] == workhorse.id


def test_the_local_model_serves_both_tiers_and_guard_models_none() -> None:
    for model in catalog().models:
        if model.provider == "local":
            assert all(model.can_serve(tier) for tier in Tier)
        if "guard" in model.id:
            assert not any(model.can_serve(tier) for tier in Tier)


def test_every_price_but_nothing_names_its_source() -> None:
    lines = (SHARED / "models.toml").read_text().splitlines()
    priced = [line for line in lines if line.startswith("price") and line != 'price = "free"']
    assert priced
    assert all(re.search(r"# genai-prices: \S+ \S+$", line) for line in priced)
