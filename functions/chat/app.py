"""OpenAI's chat API: POST /v1/chat/completions, whole and streamed, and GET /v1/models; POST /api/v1/llm.

And GET /openapi.json, which describes the API of all functions.

An ASGI app, because a Python function can stream only behind Lambda Web Adapter; `handler` is the same app for where
answers are buffered.
"""

import json
import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import anyio
from aws_lambda_powertools import Logger
from mangum import Mangum
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sluice.api import models, sse
from sluice.api.authentication import authenticate
from sluice.api.compat import llm
from sluice.api.responses import Response as Built
from sluice.api.responses import error_response, json_response, no_route, to_sluice_error
from sluice.api.streaming import iterate_in_thread
from sluice.chat import ChatRequest
from sluice.composition import gateway, prepare, registry
from sluice.errors import GuardBlockedError
from sluice.gateway.pipeline import Answer, StreamedAnswer
from sluice.gateway.provenance import new_request_id, request_id_headers
from sluice.gateway.request import RequestContext
from sluice.providers.registry import ListedModel
from sluice.routing.deadline import Deadline
from sluice.settings import settings
from sluice.telemetry import emit_metric
from sluice.validation import parse_body

# The loggers of the layer are its children: without it their lines would not be structured, or not come out at all.
logger = Logger()

# For how long clients and proxies may keep the API's description, which changes with a deployment only.
_DESCRIPTION_KEPT_S = 300


async def create_completion(request: Request) -> Response:
    """POST /v1/chat/completions."""
    raw = await request.body()
    context = _context(request)
    answer = await run_in_threadpool(_complete, raw, request.headers.get("authorization"), context)
    if isinstance(answer, Answer):
        return _to_starlette(json_response(answer.body, headers=answer.provenance.headers()))
    return _EventStream(answer)


def _complete(raw: bytes, authorization: str | None, context: RequestContext) -> Answer | StreamedAnswer:
    principal = authenticate(authorization)
    chat = parse_body(raw, ChatRequest)
    return (gateway().stream if chat.stream else gateway().complete)(chat, principal, context)


async def answer_prompt(request: Request) -> Response:
    """POST /api/v1/llm/completion."""
    return await _answer_flat(request, llm.PromptRequest)


async def answer_messages(request: Request) -> Response:
    """POST /api/v1/llm/chat."""
    return await _answer_flat(request, llm.MessagesRequest)


async def _answer_flat(request: Request, model: type[llm.LlmRequest]) -> Response:
    raw = await request.body()
    context = _context(request)
    return _to_starlette(
        await run_in_threadpool(_complete_flat, raw, model, request.headers.get("authorization"), context)
    )


def _complete_flat(
    raw: bytes, model: type[llm.LlmRequest], authorization: str | None, context: RequestContext
) -> Built:
    principal = authenticate(authorization)
    asked = parse_body(raw, model)
    context = replace(context, skip_cache=context.skip_cache or asked.skip_cache, is_prompt_fixed=True)
    with asked.naming_its_fields():
        answer = gateway().complete(asked.to_chat(), principal, context)
    return json_response(llm.flat(answer.body, answer.provenance), headers=answer.provenance.headers())


class _EventStream(StreamingResponse):
    """A streamed answer as server-sent events."""

    def __init__(self, answer: StreamedAnswer) -> None:
        self._chunks = answer.chunks
        self._request_id = answer.provenance.request_id
        self._sent = self._events()
        super().__init__(self._sent, media_type=sse.CONTENT_TYPE, headers=answer.provenance.headers())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also when the caller hung up, perhaps before the first event: that cancels whatever is not shielded.
            with anyio.CancelScope(shield=True):
                await self._sent.aclose()
                await run_in_threadpool(self._chunks.close)

    async def _events(self) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(iterate_in_thread(self._chunks)) as chunks:
                async for chunk in chunks:
                    yield sse.event(chunk.body)
            yield sse.done()
        except Exception as error:  # noqa: BLE001 -- the outermost edge of a stream: its status is sent already
            _count_block(error)
            yield sse.error_event(to_sluice_error(error, self._request_id))


async def list_models(request: Request) -> Response:
    """GET /v1/models."""
    return _to_starlette(json_response(models.listing(await run_in_threadpool(_models, request))))


async def get_model(request: Request) -> Response:
    """GET /v1/models/{id}; ids may contain slashes."""
    found = await run_in_threadpool(_models, request)
    return _to_starlette(json_response(models.named(request.path_params["id"], found)))


def _models(request: Request) -> list[ListedModel]:
    """Those that the caller's tenant may use."""
    tenant = authenticate(request.headers.get("authorization")).tenant
    return registry().models(tenant.allowed_models)


async def describe_api(_request: Request) -> Response:
    """GET /openapi.json, for anybody."""
    body = await run_in_threadpool(_description)
    headers = {"content-type": "application/json", "cache-control": f"public, max-age={_DESCRIPTION_KEPT_S}"}
    return Response(body, headers=headers)


def _description() -> bytes:
    # Imported when somebody asks for it: it needs what all functions do, and a chat none of that.
    from sluice.api.openapi.document import document_json

    return document_json()


def _context(request: Request) -> RequestContext:
    deadline = Deadline.of_request(settings().request_timeout_s, _remaining_s(request))
    directives = request.headers.get("cache-control", "").lower()
    skip_cache, no_store = "no-cache" in directives, "no-store" in directives
    return RequestContext(request.state.request_id, deadline, skip_cache=skip_cache, no_store=no_store)


def _remaining_s(request: Request) -> float:
    """Seconds until Lambda ends the function: from its context under Mangum, from a header under the web adapter."""
    if (context := request.scope.get("aws.context")) is not None:
        return float(context.get_remaining_time_in_millis()) / 1000
    try:
        return float(json.loads(request.headers["x-amzn-lambda-context"])["deadline"]) / 1000 - time.time()
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return math.inf


type _Endpoint = Callable[[Request], Awaitable[Response]]


def _answering(endpoint: _Endpoint) -> _Endpoint:
    """The outermost edge: whatever is raised becomes an answer in OpenAI's form."""

    async def answer(request: Request) -> Response:
        request_id = request.state.request_id = new_request_id()
        try:
            response = await endpoint(request)
        except Exception as error:  # noqa: BLE001 -- Starlette would log the message, which may hold a prompt
            _count_block(error)
            return _to_starlette(error_response(error, request_id))
        response.headers.update(request_id_headers(request_id))
        return response

    return answer


def _count_block(error: Exception) -> None:
    if isinstance(error, GuardBlockedError):
        emit_metric("GuardBlocked", rule=str(error.code))


async def _no_route(request: Request, error: Exception) -> Response:
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    methods = [method for method in allowed.split(", ") if method not in {"", "HEAD"}]
    return _to_starlette(error_response(no_route(request.method, request.url.path, methods), new_request_id()))


def _to_starlette(response: Built) -> Response:
    return Response(response.body, response.status, dict(response.headers))


app = Starlette(
    routes=[
        Route("/v1/chat/completions", _answering(create_completion), methods=["POST"]),
        Route("/api/v1/llm/completion", _answering(answer_prompt), methods=["POST"]),
        Route("/api/v1/llm/chat", _answering(answer_messages), methods=["POST"]),
        Route("/v1/models", _answering(list_models)),
        Route("/v1/models/{id:path}", _answering(get_model)),
        Route("/openapi.json", _answering(describe_api)),
    ],
    exception_handlers={HTTPException: _no_route},
)
handler = Mangum(app, lifespan="off")

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # What is made now is in the snapshot, and need not be made by the first request after each restore.
    prepare()
