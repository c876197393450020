"""What is asked with an idempotency key, and what came of it."""

from typing import Any

import httpx

from tests.chat_server import ChatServer

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]


# A temperature, so that nothing is answered from the cache.
BODY: dict[str, Any] = {"model": "small", "messages": HELLO, "max_tokens": 40, "temperature": 0.7}


KEY = {"idempotency-key": "order-1"}


STREAM = BODY | {"stream": True}


def ask(chat: ChatServer, body: Any = None, key: str = "order-1", **more: Any) -> httpx.Response:
    """Send a chat with an idempotency key."""
    headers = {"idempotency-key": key, **more.pop("headers", {})}
    return chat.post(BODY if body is None else body, headers=headers, **more)


def code_of(answer: httpx.Response) -> str:
    """The code of the error that was answered."""
    code: str = answer.json()["error"]["code"]
    return code


def spent(chat: ChatServer) -> dict[str, dict[str, int]]:
    """What is counted of deployments and budgets, and used."""
    counted = {scope: taken for scope, taken in chat.counted().items() if scope != "caller"}
    usage = [item for item in chat.aws.items("USAGE_TABLE") if "requests" in item]
    return counted | {f"usage{number}": {"requests": int(item["requests"]["N"])} for number, item in enumerate(usage)}


def kept(chat: ChatServer) -> list[Any]:
    """What is stored of requests with a key."""
    found = chat.aws.items("RESPONSE_CACHE_TABLE")
    return [item for item in found if item["key"]["S"].startswith("idempotency#")]
