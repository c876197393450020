"""The chat app on a real socket, with the tables of one test and a fake provider behind it."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import groq
import httpx
import openai
import uvicorn
from starlette.types import ASGIApp

from sluice.api.asgi import logger
from sluice.composition import App
from sluice.quota.item import QuotaItem
from tests.chat_process import ChatProcess
from tests.conftest import Aws
from tests.counted import Counted, counted
from tests.tenants import make_key, make_tenant


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until something holds."""
    due_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < due_s
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class ChatServer:
    """A running chat API."""

    root_url: str
    api_key: str
    process: ChatProcess
    aws: Aws

    @property
    def app(self) -> App:
        """What requests are answered with."""
        return self.process.parts

    def restart(self) -> None:
        """Answer from now on as a fresh process does."""
        self.process.restart()

    @property
    def base_url(self) -> str:
        """What an OpenAI client is pointed at."""
        return self.root_url + "/v1"

    def openai(self, api_key: str | None = None, **options: Any) -> openai.OpenAI:
        """The official client, without retries."""
        return openai.OpenAI(base_url=self.base_url, api_key=api_key or self.api_key, **{"max_retries": 0, **options})

    def groq(self, api_key: str | None = None) -> groq.Groq:
        """Groq's client, which asks below /openai/v1."""
        return groq.Groq(base_url=self.root_url, api_key=api_key or self.api_key, max_retries=0)

    def post(self, body: Any, *, api_key: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """POST /v1/chat/completions as it is, without an SDK."""
        return self.post_to("/chat/completions", body, api_key=api_key, headers=headers)

    def post_to(
        self, path: str, body: Any, *, api_key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """POST to a path below /v1 as it is, without an SDK."""
        content = {"content": body} if isinstance(body, str | bytes) else {"json": body}
        authorization = {"authorization": f"Bearer {api_key or self.api_key}"}
        return httpx.post(self.base_url + path, headers={**authorization, **(headers or {})}, timeout=60, **content)

    def tenant(self, name: str, **fields: Any) -> str:
        """Make a tenant and return an API key of it."""
        return make_tenant(self.app, name, **fields)

    def key(self, tenant: str, **fields: Any) -> str:
        """Make an API key."""
        return make_key(self.app, tenant, **fields)

    def quota(self) -> dict[str, Counted]:
        """What is counted, by scope."""
        return {item["scope"]["S"]: counted(QuotaItem(item)) for item in self.aws.items("QUOTA_TABLE")}

    def counted(self) -> dict[str, dict[str, int]]:
        """What is counted now, by scope and limit; what is 0 is left out."""
        return {
            scope.split("#")[0]: taken
            for scope, state in self.quota().items()
            if (taken := {name: total for name, total in state.totals.items() if total})
        }

    def count(self, variable: str) -> int:
        """How many items a table has."""
        return len(self.aws.items(variable))


@contextmanager
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged meanwhile, as it would go to CloudWatch."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    buffer = io.StringIO()
    before = handler.setStream(buffer)
    try:
        with redirect_stdout(buffer):
            yield lambda: [json.loads(line) for line in buffer.getvalue().splitlines()]
    finally:
        handler.setStream(before or sys.stdout)


class _Listener:
    """A server on a free loopback port, for one app after the other: to start one and to end it takes 0.2 s."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        config = uvicorn.Config(self, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        thread = threading.Thread(target=self._server.run, name="listener", daemon=True)
        thread.start()
        while not self._server.started:
            thread.join(0.01)
        self.root_url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the app answer that is there now."""
        await self._app(scope, receive, send)

    def take(self, app: ASGIApp) -> None:
        """Serve another app from now on."""
        self._app = app

    def is_free(self) -> bool:
        """Whether all that was asked has ended; if not, after some seconds, it ends once that has."""
        due_s = time.monotonic() + 10
        while self._server.server_state.tasks:
            if time.monotonic() > due_s:
                self._server.should_exit = True
                return False
            time.sleep(0.005)
        return True


_free: list[_Listener] = []


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """An ASGI app on a loopback port, by its address. Nobody else is served there meanwhile."""
    if _free:
        listener = _free.pop()
        listener.take(app)
    else:
        listener = _Listener(app)
    try:
        yield listener.root_url
    finally:
        if listener.is_free():
            _free.append(listener)


@contextmanager
def serving(aws: Aws) -> Iterator[ChatServer]:
    """The chat app on a loopback port, with one tenant `acme` and an API key of it."""
    process = ChatProcess()
    with listening(process) as root_url:
        yield ChatServer(root_url, make_tenant(process.parts, "acme"), process, aws)
