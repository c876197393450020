"""Models that make embeddings, and requests for them."""

import json
from typing import Any

import httpx

from tests.chat_server import ChatServer
from tests.conftest import Aws
from tests.credentials import LIMITS, gateway
from tests.fakes.client import FakeProvider

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]


VECTORS = {"dimensions": 8, "shortens": True}


PRICE = {"prompt_usd": 1.0, "completion_usd": 0.0}


def embedder(**more: Any) -> dict[str, Any]:
    """A model of the secret that makes embeddings."""
    return {"vectors": VECTORS, "context_window": 100, "price": PRICE, "limits": LIMITS, **more}


def two_keys(aws: Aws, fake: FakeProvider, other: dict[str, Any] | None = None) -> None:
    """Two deployments of one model."""
    aws.set_credentials(
        gateway(fake, "fake-1", models={"embed": embedder()}),
        gateway(fake, "fake-2", models={"embed": other or embedder()}),
    )


def post(chat: ChatServer, api_key: str | None = None, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """Ask for embeddings; the answer as httpx has it."""
    sent = {"authorization": f"Bearer {api_key or chat.api_key}", **(headers or {})}
    return httpx.post(chat.base_url + "/embeddings", headers=sent, json={"model": "embed", **body}, timeout=60)


def usage(chat: ChatServer) -> list[dict[str, Any]]:
    """The sums of usage, by sort key."""
    return [
        {name: next(iter(value.values())) for name, value in item.items()} for item in chat.aws.items("USAGE_TABLE")
    ]


def answer(rows: list[Any], **more: Any) -> bytes:
    """An answer of a provider."""
    return json.dumps({"object": "list", "data": rows, "model": "embed", **more}).encode()


def row(index: Any, vector: Any) -> dict[str, Any]:
    """A vector of a provider's answer."""
    return {"object": "embedding", "index": index, "embedding": vector}
