"""The local stack's door: the chat app in this process, so that it streams; all else goes to the deployed API.

An ASGI app for uvicorn, which is given the chat function's variables, and SLUICE_API_URL: where the deployed API is.
"""

import importlib
import os
import sys

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tools import template
from tools.processes import ROOT

# Longer than any route takes.
_TIMEOUT_S = 150.0
# They speak of one connection (RFC 9110, 7.6.1), or are set anew.
_NOT_FORWARDED = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


class FrontDoor:
    """Routes as template.yaml has them."""

    def __init__(self, chat: ASGIApp, api_url: str) -> None:
        """`chat` answers the chat function's routes, the API at `api_url` all others."""
        self._chat = chat
        self._chat_routes = template.routes(template.load(), "ChatFunction")
        self._api = httpx.AsyncClient(base_url=api_url, timeout=_TIMEOUT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_chat = scope["type"] != "http" or any(
            route.matches(scope["method"], scope["path"]) for route in self._chat_routes
        )
        app = self._chat if is_chat else self._forward
        await app(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # As it came: %2F decoded and encoded anew would be a slash, and a control character is not taken decoded.
        target = b"?".join(part for part in (scope["raw_path"], scope["query_string"]) if part)
        url = self._api.base_url.copy_with(raw_path=self._api.base_url.raw_path.rstrip(b"/") + target)
        headers = [(name, value) for name, value in request.headers.items() if name not in _NOT_FORWARDED]
        answer = await self._api.request(request.method, url, headers=headers, content=await request.body())
        response = Response(answer.content, answer.status_code)
        for name, value in answer.headers.items():
            if name not in _NOT_FORWARDED | {"content-encoding"}:  # httpx has decoded it
                response.headers.append(name, value)
        await response(scope, receive, send)


def app() -> FrontDoor:
    """Make the app from the environment."""
    sys.path.insert(0, str(ROOT / "functions" / "chat"))
    return FrontDoor(importlib.import_module("app").app, os.environ["SLUICE_API_URL"])
