"""Adapters of providers by name, each against the fake provider."""

import json
from collections.abc import Callable
from typing import Any

from sluice.chat import ChatRequest
from sluice.providers.anthropic import AnthropicProvider
from sluice.providers.azure_openai import AzureOpenAIProvider
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.bedrock import BedrockProvider
from sluice.providers.gemini import GeminiProvider
from sluice.providers.groq import GroqProvider
from sluice.providers.huggingface import HuggingFaceProvider
from sluice.providers.openai_compatible import OpenAICompatibleProvider
from tests.fakes import FakeProvider

type Json = dict[str, Any]
ADAPTERS: dict[str, tuple[type[Provider], Callable[[FakeProvider], str]]] = {
    "groq": (GroqProvider, lambda fake: fake.groq_url),
    "huggingface": (HuggingFaceProvider, lambda fake: fake.huggingface_url),
    "openai": (OpenAICompatibleProvider, lambda fake: fake.openai_url),
    "azure_openai": (AzureOpenAIProvider, lambda fake: fake.azure_url),
    "gemini": (GeminiProvider, lambda fake: fake.gemini_url),
    "anthropic": (AnthropicProvider, lambda fake: fake.anthropic_url),
    "bedrock": (BedrockProvider, lambda fake: fake.bedrock_url),
}
API_KEY = "secret-key-0123456789"


def provider_for(adapter: str, fake: FakeProvider, **config: Any) -> Provider:
    made, url = ADAPTERS[adapter]
    return made(ProviderConfig(adapter, f"{adapter}-1", API_KEY, url(fake), adapter=adapter, **config))


def chat(**fields: Any) -> ChatRequest:
    body = {"model": "auto", "messages": [{"role": "user", "content": "What is two and two?"}]} | fields
    return ChatRequest.model_validate_json(json.dumps(body))
