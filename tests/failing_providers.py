"""Adapters by name, and what their calls fail with, after a look at what that gives away."""

import traceback
from typing import Any

import pytest

from sluice.chat import ChatRequest
from sluice.errors import (
    ProviderError,
)
from sluice.providers.anthropic import AnthropicProvider
from sluice.providers.base import Provider
from sluice.providers.bedrock import BedrockProvider
from sluice.providers.gemini import GeminiProvider
from sluice.providers.groq import GroqProvider
from sluice.providers.huggingface import HuggingFaceProvider
from sluice.providers.openai_compatible import OpenAICompatibleProvider

ADAPTERS: dict[str, type[Provider]] = {
    "groq": GroqProvider,
    "huggingface": HuggingFaceProvider,
    "openai": OpenAICompatibleProvider,
    "gemini": GeminiProvider,
    "anthropic": AnthropicProvider,
    "bedrock": BedrockProvider,
}
API_KEY = "secret-key-0123456789"
PROMPT = "the patient's name is Rosalind"
ANSWER = "her diagnosis is confidential"
TIMEOUT_S = 0.4


def call(provider: Provider, streamed: bool, timeout_s: float = 5.0, **fields: Any) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]} | fields
    request = ChatRequest.model_validate(body)
    if streamed:
        list(provider.stream(request, "m", timeout_s))
    else:
        provider.complete(request, "m", timeout_s)


def failure_of(provider: Provider, streamed: bool, timeout_s: float = 5.0) -> ProviderError:
    """The error a call ends with, after a look at what its traceback, as a log would have it, gives away."""
    with pytest.raises(ProviderError) as raised:
        call(provider, streamed, timeout_s)
    logged = "".join(traceback.format_exception_only(raised.value)) + repr(raised.value.__dict__)
    cause = raised.value.__cause__
    if cause is not None:
        logged += str(cause)
    for secret in (API_KEY, PROMPT, ANSWER):
        assert secret not in logged
    return raised.value
