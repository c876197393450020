"""The local stack's door: the chat app, so that it streams, and the pages are in this process; all else is deployed.

`python -m tools.front_door`, with the chat function's variables, SLUICE_API_URL, where the deployed API is,
SLUICE_FRONT_DOOR_TOKEN, which opens MiniStack's gate to it, and SLUICE_PORT and SLUICE_HOST, which are PORT and HOST of
`make run`.
"""

import importlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.console.app import handler as answer_page
from tools import template
from tools.door import Door, door_at
from tools.gate import FRONT_DOOR_HEADER
from tools.processes import ROOT

# Longer than any route takes.
_TIMEOUT_S = 150.0
# How long requests under way may go on once this process is told to end.
_GRACEFUL_SHUTDOWN_S = 1
# They speak of one connection (RFC 9110, 7.6.1), or are set anew.
_NOT_FORWARDED = {
    *("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    FRONT_DOOR_HEADER,
}


@dataclass(frozen=True, slots=True)
class DeployedApi:
    """The API that MiniStack serves."""

    url: str
    token: str = field(repr=False)
    """Opens the gate to it."""


class FrontDoor:
    """Routes as template.yaml has them."""

    def __init__(self, chat: ASGIApp, api: DeployedApi, door: Door) -> None:
        """`chat` answers the chat function's routes, the deployed API all others.

        `door` says what a request's Host may be. A web page whose own name was made to lead to this machine (DNS
        rebinding) is told from a client of ours by nothing else.
        """
        self._chat = chat
        # MiniStack starts a process for each file that a browser asks for at the same time.
        self._pages = GZipMiddleware(_pages)
        self._chat_routes = template.routes(template.load(), "ChatFunction")
        self._page_routes = template.routes(template.load(), "ConsoleFunction")
        self._api = httpx.AsyncClient(base_url=api.url, headers={FRONT_DOOR_HEADER: api.token}, timeout=_TIMEOUT_S)
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and (foreign := self._foreign_host(scope)) is not None:
            await _not_here(foreign)(scope, receive, send)
            return
        if scope["type"] != "http" or _is_for(self._chat_routes, scope):
            app = self._chat
        else:
            app = self._pages if _is_for(self._page_routes, scope) else self._forward
        await app(scope, receive, send)

    def _foreign_host(self, scope: Scope) -> str | None:
        hosts = Headers(scope=scope).getlist("host")
        return None if len(hosts) == 1 and self._door.is_called(hosts[0]) else ", ".join(hosts)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # As it came: httpx would decode and encode it anew, where %2F is a slash, and take out dot segments.
        target = b"?".join(part for part in (scope["raw_path"], scope["query_string"]) if part)
        whole_target = self._api.base_url.raw_path.rstrip(b"/") + target
        headers = [(name, value) for name, value in request.headers.items() if name not in _NOT_FORWARDED]
        answer = await self._api.request(
            request.method, "", headers=headers, content=await request.body(), extensions={"target": whole_target}
        )
        response = Response(answer.content, answer.status_code)
        for name, value in answer.headers.items():
            if name not in _NOT_FORWARDED | {"content-encoding"}:  # httpx has decoded it
                response.headers.append(name, value)
        await response(scope, receive, send)


def _is_for(routes: Iterable[template.Route], scope: Scope) -> bool:
    return any(route.matches(scope["method"], scope["path"]) for route in routes)


async def _pages(scope: Scope, receive: Receive, send: Send) -> None:
    """The console's function, as API Gateway would call it."""
    path = scope["raw_path"].decode("latin-1")
    request = {"path": path, "headers": dict(Headers(scope=scope)), "requestContext": {"path": path}}
    answer = answer_page(request, None)
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    await Response(answer["body"], answer["statusCode"], headers)(scope, receive, send)


def _not_here(host: str) -> JSONResponse:
    message = f"Sluice is not served as {host!r} here. `make run HOST=...` serves it by another name than localhost"
    error = {"message": message, "type": "permission_error", "param": None, "code": "foreign_host"}
    return JSONResponse({"error": error}, 403)


def main() -> None:
    """Listen and serve until told to end."""
    door = door_at(int(os.environ["SLUICE_PORT"]), os.environ["SLUICE_HOST"])
    sys.path.insert(0, str(ROOT / "functions" / "chat"))
    api = DeployedApi(os.environ["SLUICE_API_URL"], os.environ["SLUICE_FRONT_DOOR_TOKEN"])
    app = FrontDoor(importlib.import_module("app").asgi_app(), api, door)
    config = uvicorn.Config(
        app, log_level="warning", ws="none", proxy_headers=False, timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_S
    )
    uvicorn.Server(config).run(sockets=door.listen())


if __name__ == "__main__":
    main()
