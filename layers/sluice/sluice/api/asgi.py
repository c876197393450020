"""Routes as an ASGI app, which can stream: a Python function on Lambda can only behind the Lambda Web Adapter."""

import json
import math
import re
import time
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
from aws_lambda_powertools import Logger
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as AsgiRequest
from starlette.responses import Response as AsgiResponse
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sluice.api import sse
from sluice.api.dispatch import Api, Request, StreamedResponse
from sluice.api.route import Route
from sluice.api.streaming import iterate_in_thread
from sluice.storage.metering import counting
from sluice.telemetry.request_ids import RequestIds, logging_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sluice.composition import App

# The loggers of the layer are its children: without it their lines would not be structured, or not come out at all.
logger = Logger()
logger.registered_handler.addFilter(RequestIds())

_API_ID = re.compile(r'"requestId" ?: ?"([A-Za-z0-9-]{1,64})"')


class AsgiApp:
    """An ASGI app that answers some routes, each request in a thread of its own."""

    def __init__(self, routes: Iterable[Route], app: "App") -> None:
        self._api = Api(routes, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served, not {scope['type']}")
        try:
            request = await _plain(AsgiRequest(scope, receive))
        except ClientDisconnect:
            return
        # Threads take over the context.
        with logging_request(request.id, request.api_id), counting(request.units):
            response = await run_in_threadpool(self._api.respond, request)
            if isinstance(response, StreamedResponse):
                await _EventStream(response)(scope, receive, send)
            else:
                await AsgiResponse(response.body, response.status, dict(response.headers))(scope, receive, send)


class _EventStream(StreamingResponse):
    """A streamed answer as server-sent events."""

    def __init__(self, response: StreamedResponse) -> None:
        self._close_events = response.events.close
        self._sent = self._in_thread(response)
        super().__init__(self._sent, media_type=sse.CONTENT_TYPE, headers=response.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also when the caller hung up, perhaps before the first event: that cancels whatever is not shielded.
            with anyio.CancelScope(shield=True):
                await self._sent.aclose()
                await run_in_threadpool(self._close_events)

    async def _in_thread(self, response: StreamedResponse) -> "AsyncGenerator[bytes]":
        events = sse.encoded(response.events.values, response.request_id, response.stream_format)
        async with aclosing(iterate_in_thread(events)) as sent:
            async for event in sent:
                yield event


async def _plain(request: AsgiRequest) -> Request:
    # The path as it was sent: decoded, a slash within a part of it would end that part.
    raw_path: bytes | None = request.scope.get("raw_path")
    return Request(
        method=request.method,
        path=quote(request.scope["path"]) if raw_path is None else raw_path.decode("latin-1"),
        headers=request.headers,
        query=dict(request.query_params),
        body=await request.body(),
        remaining_s=_remaining_s(request),
        api_id=_api_id(request),
    )


def _api_id(request: AsgiRequest) -> str:
    """API Gateway's id of the request, as the web adapter says in a header; "" without one."""
    found = _API_ID.search(request.headers.get("x-amzn-request-context", ""))
    return found[1] if found else ""


def _remaining_s(request: AsgiRequest) -> float:
    """Seconds until Lambda ends the function, as the web adapter says in a header."""
    try:
        return float(json.loads(request.headers["x-amzn-lambda-context"])["deadline"]) / 1000 - time.time()
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return math.inf
