"""A provider that fails, and each adapter that asks it."""

import pytest

from sluice.providers.base import Provider, ProviderConfig
from tests.failing_providers import ADAPTERS, ANSWER, API_KEY
from tests.fakes import FakeProvider


@pytest.fixture
def fake(shared_fake: FakeProvider) -> FakeProvider:
    shared_fake.reset()
    shared_fake.configure(answer=ANSWER)
    return shared_fake


@pytest.fixture(params=ADAPTERS)
def provider(request: pytest.FixtureRequest, fake: FakeProvider) -> Provider:
    urls = {
        "groq": fake.groq_url,
        "huggingface": fake.huggingface_url,
        "openai": fake.openai_url,
        "gemini": fake.gemini_url,
        "anthropic": fake.anthropic_url,
        "bedrock": fake.bedrock_url,
    }
    name: str = request.param
    return ADAPTERS[name](ProviderConfig(name, f"{name}-1", API_KEY, urls[name]))


@pytest.fixture(params=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "streamed")
