"""Calls an ASGI app in this process, so that no client and no server are in what is measured."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import start_blocking_portal

type _Message = MutableMapping[str, Any]
type App = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]

_numbers = itertools.count()
# Long enough to be worth a cache, short enough to be usual.
_SYSTEM = "You answer questions about the quotas of language model providers, shortly and in plain words. " * 3


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. Times run from the call to the body's first byte, and until the app is done."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte_s: float
    total_s: float
    cpu_s: float


class Caller:
    """Sends chat requests to an app, one after the other.

    Its event loop lasts, as a server's does: anyio keeps its threads for as long.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._running = start_blocking_portal()
        self._loop = self._running.__enter__()

    def chat(self, api_key: str, model: str, question: str | None = None, *, stream: bool = False) -> Exchange:
        """Ask `question`, or one that nobody has asked before."""
        text = f"Question {next(_numbers)} of {time.time_ns()}: what is left?" if question is None else question
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        body = json.dumps({"model": model, "messages": messages, "max_tokens": 200, "stream": stream}).encode()
        exchange = self._loop.call(self._post, "/v1/chat/completions", api_key, body)
        if exchange.status != 200 and exchange.status != 429:
            raise RuntimeError(f"the gateway answered {exchange.status}: {exchange.body.decode()}")
        return exchange

    def embed(self, api_key: str, body: Mapping[str, Any]) -> Exchange:
        """Ask for vectors."""
        exchange = self._loop.call(self._post, "/v1/embeddings", api_key, json.dumps(body).encode())
        if exchange.status != 200:
            raise RuntimeError(f"the gateway answered {exchange.status}: {exchange.body.decode()}")
        return exchange

    def close(self) -> None:
        """End the event loop."""
        self._running.__exit__(None, None, None)

    async def _post(self, path: str, api_key: str, body: bytes) -> Exchange:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"authorization", f"Bearer {api_key}".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        request: list[_Message] = [{"type": "http.request", "body": body, "more_body": False}]
        start: _Message = {}
        parts: list[bytes] = []
        first_byte: list[float] = []

        async def receive() -> _Message:
            if request:
                return request.pop()
            await asyncio.Event().wait()  # the client stays until it has its answer
            raise AssertionError("nobody sets the event")

        async def send(message: _Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message.get("body"):
                if not first_byte:
                    first_byte.append(time.perf_counter())
                parts.append(message["body"])

        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        await self._app(scope, receive, send)
        end_s, end_cpu_s = time.perf_counter(), time.process_time()
        return Exchange(
            status=start["status"],
            headers={name.decode(): value.decode() for name, value in start["headers"]},
            body=b"".join(parts),
            first_byte_s=first_byte[0] - begin_s,
            total_s=end_s - begin_s,
            cpu_s=end_cpu_s - begin_cpu_s,
        )
