"""An integration as it is stored, and which providers there are for it. Pure."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from sluice.loading.dataclass import dataclass

type IntegrationType = Literal["ai_model", "jira", "github"]
type Subtype = Literal["embedding", "llm", "gateway", "data_source"]

ID_PATTERN = "int_[0-9a-f]{24}"

PROVIDERS = {
    "local": "builtin",
    "sentence_transformers": "builtin",
    "openai": "openai",
    "azure_openai": "azure_openai",
    "google_gemini": "gemini",
    "anthropic_claude": "anthropic",
    "custom_gateway": "custom_gateway",
    "groq": "groq",
    "huggingface": "huggingface",
    "openrouter": "openrouter",
    "openai_compatible": "gateway",
}
"""Providers of models by the names that integrations have for them, each with its name in the catalogue.

Bedrock is none of them: it is asked with the role of the stack's functions, which is no tenant's own.
"""

CREDENTIALS: Mapping[IntegrationType, tuple[str, ...]] = {
    "ai_model": ("api_key",),
    "jira": ("email", "api_token"),
    "github": ("token",),
}
"""What is secret of each type, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """What a tenant brings. Times are in seconds since 1970; `version` counts changes.

    `secret` names the text that its credentials are kept in, "" where there is none; `endings` are the last four
    characters of each. `models` and `performance` are as the API takes them.
    """

    id: str
    tenant: str
    type: IntegrationType
    subtype: Subtype
    provider: str | None
    name: str
    base_url: str | None = None
    models: Mapping[str, Any] = field(default_factory=dict)
    performance: Mapping[str, Any] = field(default_factory=dict)
    fallback_id: str | None = None
    active: bool = True
    secret: str = ""
    endings: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    created_at: int = 0
    updated_at: int = 0
    updated_by: str = ""


def endings(credentials: Mapping[str, str]) -> dict[str, str]:
    """What is shown of secrets: the last four characters of those that are long enough not to be told by them."""
    return {name: text[-4:] if len(text) >= 16 else "" for name, text in credentials.items()}


def has_cycle(links: Mapping[str, str | None], start: str) -> bool:
    """Whether following fallbacks from `start` leads back to an integration that was passed."""
    passed = set()
    at: str | None = start
    while at is not None:
        if at in passed:
            return True
        passed.add(at)
        at = links.get(at)
    return False
