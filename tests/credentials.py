"""Entries of the credentials secret: some that are only read, and some that point at a fake provider."""

import json
from typing import Any

from tests.fakes.client import FakeProviderClient

type Entry = dict[str, Any]

KEY = "gsk_nobody-may-see-this"
GROQ = {"provider": "groq", "alias": "groq-1", "api_key": KEY}
HUGGING_FACE = {"provider": "huggingface", "alias": "hf-1", "api_key": KEY}
GATEWAY = {
    "provider": "gateway",
    "alias": "gw-1",
    "api_key": KEY,
    "base_url": "http://127.0.0.1:9000/v1",
    "models": {"my-model": {"tier": "fast", "limits": {"requests_per_minute": 30, "tokens_per_day": 500_000}}},
}

PRICE = {"prompt_usd": 1.0, "completion_usd": 2.0}
LIMITS = {
    "requests_per_minute": 100,
    "requests_per_day": 10_000,
    "tokens_per_minute": 100_000,
    "tokens_per_day": 1_000_000,
}


def secret(*credentials: dict[str, Any]) -> str:
    """What the secret says."""
    return json.dumps({"credentials": credentials})


def model(tier: str = "fast", **more: Any) -> Entry:
    """A model with wide limits."""
    return {"tier": tier, "price": PRICE, "limits": LIMITS, **more}


def gateway(fake: FakeProviderClient, alias: str, *, models: dict[str, Entry] | None = None, **more: Any) -> Entry:
    """An OpenAI-compatible credential, for the model `small` unless others are named. Its key is `key-<alias>`."""
    return {
        "provider": "gateway",
        "alias": alias,
        "api_key": f"key-{alias}",
        "base_url": fake.openai_url,
        "models": models or {"small": model()},
        **more,
    }
