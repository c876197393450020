"""A gateway of LiteLLM's shape: chats, embeddings, what answers cost, and what a key has left; or none of it."""

import json
from collections.abc import Callable
from typing import Any

from tests.scripted_server import Act, Request, ScriptedServer, answer, http, raw

KEY = "sk-gateway-0123456789abcdef"
COST_USD = 0.00123
_PAGE = b"<!doctype html><title>404</title><p>nothing here"

type Handle = Callable[[Request], Act]


def key_info(**info: Any) -> dict[str, Any]:
    """What LiteLLM answers, the key in it and fields that nobody asks for."""
    known = {"key_name": "sk-...cdef", "spend": 1.5, "max_budget": 10.0, "expires": "2027-01-01T00:00:00+00:00"}
    return {"key": KEY, "info": known | {"token": KEY, "models": ["gpt-4o", "text-embedding-3-small"]} | info}


def page(status: int = 404) -> Act:
    """A page in place of JSON."""
    return raw(http(_PAGE, status, {"content-type": "text/html"}))


class FakeLiteLlm:
    """The gateway on a server's socket. Set what is done at a path to let it lie, be slow or fail."""

    def __init__(self, server: ScriptedServer) -> None:
        self.base_url = server.url + "/v1"
        self.acts: dict[str, Handle] = {
            "/v1/chat/completions": _chat,
            "/v1/embeddings": _embed,
            "/spend/calculate": lambda _: answer({"cost": COST_USD}),
            "/key/info": lambda _: answer(key_info()),
        }
        self._requests: list[tuple[str, Request]] = []
        server.otherwise = self._act

    def asked(self, path: str) -> list[Any]:
        """The bodies that came to a path."""
        return [request.json for each, request in self._requests if each == path]

    def _act(self, request: Request) -> Act:
        path = request.line.split(" ")[1]
        self._requests.append((path, request))
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return answer({"error": {"message": f"no key {request.headers.get('authorization')}"}}, 401)
        act: Handle = self.acts.get(path, lambda _: page())
        return act(request)


def _chat(request: Request) -> Act:
    asked = request.json
    if asked.get("stream"):
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
        ]
        common: dict[str, Any] = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
        lines = [f"data: {json.dumps(common | event)}\n\n" for event in events]
        content = "".join([*lines, "data: [DONE]\n\n"]).encode()
        return raw(http(content, 200, {"content-type": "text/event-stream"}))
    return answer(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }
    )


def _embed(request: Request) -> Act:
    rows = [
        {"object": "embedding", "index": index, "embedding": [1.0, 0.0]} for index in range(len(request.json["input"]))
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return answer({"object": "list", "model": request.json["model"], "data": rows, "usage": usage})
