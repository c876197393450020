"""The gate before MiniStack: lets in what this run's own programs ask for, and no web page.

MiniStack answers everybody, with headers that let any web page read the answer, and runs code that it is given. An ASGI
app around MiniStack's own, in the same process: MiniStack listens nowhere else.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tools.signature import AccessKey, SentRequest, SignatureError, is_same, text, verify

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

FRONT_DOOR_HEADER = "x-sluice-front-door"
"""Holds the front door's token."""
CONTAINER_HOST_ON_LINUX = "172.17.0.1"
"""How a container calls the machine it runs on, by Docker's bridge, which only this machine sees."""
CONTAINER_HOST_OF_DOCKER_DESKTOP = "host.docker.internal"
"""How it does with Docker Desktop, whose name leads to the loopback interface."""
_HOSTS = ("127.0.0.1", "localhost", CONTAINER_HOST_ON_LINUX, CONTAINER_HOST_OF_DOCKER_DESKTOP)
_DEPLOYED_API = re.compile(r"/restapis/[^/]+/[^/]+/_user_request_(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is let in."""

    port: int
    key: AccessKey
    """Requests have to be signed with it,"""
    front_door_token: str = field(repr=False)
    """or to be for the deployed API and hold this: there Authorization is the caller's."""


class Gate:
    """An ASGI app that asks another one only what is admitted, and answers everything else with 403."""

    def __init__(self, app: App, admission: Admission) -> None:
        self._app = app
        self._admission = admission
        self._asked: set[str] = set()

    def take_asked_services(self) -> set[str]:
        """The services that requests were admitted to since this was asked last."""
        asked, self._asked = self._asked, set()
        return asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":  # a WebSocket: nothing here is served on one, and pages may open them anywhere
            await send({"type": f"{scope['type']}.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(text(name).lower(), text(value)) for name, value in scope["headers"]]
        try:
            _check_host(headers, self._admission.port)
            if _is_from_front_door(scope, headers, self._admission):
                kept = [(name, value) for name, value in scope["headers"] if name.lower() != FRONT_DOOR_HEADER.encode()]
                service, scope = "execute-api", {**scope, "headers": kept}
            else:
                _check_sender(headers)
                body = await _whole_body(receive)
                service = _signed_service(scope, headers, body, self._admission.key)
                receive = _replaying(body, receive)
        except (_RefusedError, SignatureError) as error:
            await _refuse(send, str(error))
            return
        await self._app(scope, receive, send)
        self._asked.add(service)


class _RefusedError(Exception):
    """A request is not let in. The message says why."""


def _is_from_front_door(scope: Scope, headers: Sequence[tuple[str, str]], admission: Admission) -> bool:
    tokens = [value for name, value in headers if name == FRONT_DOOR_HEADER]
    if len(tokens) != 1 or not is_same(tokens[0], admission.front_door_token):
        return False
    return _DEPLOYED_API.fullmatch(scope["path"]) is not None


def _check_host(headers: Sequence[tuple[str, str]], port: int) -> None:
    hosts = [value.lower() for name, value in headers if name == "host"]
    if len(hosts) != 1 or hosts[0] not in {f"{host}:{port}" for host in _HOSTS}:
        raise _RefusedError("it is addressed to another host")


def _check_sender(headers: Sequence[tuple[str, str]]) -> None:
    for name, _ in headers:
        if name == "origin" or name.startswith("sec-fetch-"):
            raise _RefusedError(f"a web page has sent it: it has the header {name}")


def _signed_service(scope: Scope, headers: Sequence[tuple[str, str]], body: bytes, key: AccessKey) -> str:
    path, query = text(scope["raw_path"]), text(scope["query_string"])
    return verify(SentRequest(scope["method"], path, query, headers, body), key, datetime.now(UTC))


async def _whole_body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # there is nobody left to answer, and no signature fits a part
            break
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


def _replaying(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


async def _refuse(send: Send, reason: str) -> None:
    message = f"MiniStack's gate refuses the request: {reason}. It takes what is signed with the keys in stack.json."
    body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
    headers: Mapping[bytes, bytes] = {
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
        b"x-amzn-errortype": b"AccessDeniedException",
    }
    await send({"type": "http.response.start", "status": 403, "headers": list(headers.items())})
    await send({"type": "http.response.body", "body": body})
