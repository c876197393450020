"""Where a provider's key is tried."""

import pytest

from sluice.catalog.catalog import catalog
from sluice.providers.key_trial import key_trial


@pytest.mark.parametrize(
    ("provider", "base_url", "url", "header"),
    [
        ("groq", None, "https://api.groq.com/openai/v1/models", "authorization"),
        ("huggingface", None, "https://huggingface.co/api/whoami-v2", "authorization"),
        ("huggingface", "https://tgi.example.com/v1", "https://tgi.example.com/v1/models", "authorization"),
        ("anthropic", None, "https://api.anthropic.com/v1/models", "x-api-key"),
        ("azure_openai", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/models", "api-key"),
        (
            "azure_openai",
            "https://r.example.com/x?api-version=1",
            "https://r.example.com/x/models?api-version=1",
            "api-key",
        ),
        ("custom_gateway", "https://llm.example.com", "https://llm.example.com/v1/models", "authorization"),
        ("custom_gateway", "https://llm.example.com/v1/", "https://llm.example.com/v1/models", "authorization"),
        ("gateway", "https://llm.example.com/v1/", "https://llm.example.com/v1/models", "authorization"),
    ],
)
def test_a_key_is_tried_where_its_provider_refuses_what_is_none(
    provider: str, base_url: str | None, url: str, header: str
) -> None:
    trial = key_trial(catalog().providers[provider], base_url, "a-key")
    assert trial is not None
    assert trial.url == url
    assert header in trial.headers
    assert "a-key" not in repr(trial)


@pytest.mark.parametrize("provider", ["bedrock", "builtin", "gateway"])
def test_there_is_nothing_to_try_without_a_key_or_a_place(provider: str) -> None:
    assert key_trial(catalog().providers[provider], None, "a-key") is None


def test_without_a_key_none_is_sent() -> None:
    trial = key_trial(catalog().providers["ollama"], None, None)
    assert trial is not None
    assert trial.headers == {}
