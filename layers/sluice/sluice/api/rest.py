"""Routes as a Lambda function behind an API Gateway REST API: its events in, its answers out, whole."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import correlation_paths

from sluice.api import sse
from sluice.api.answer_size import MOST_SHOWN_BYTES
from sluice.api.dispatch import Api, Request, StreamedResponse
from sluice.api.route import Route
from sluice.storage.metering import counting
from sluice.telemetry.request_ids import RequestIds, logging_request

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from sluice.composition import App

# The loggers of the layer are its children: without it their lines would not be structured, or not come out at all.
logger = Logger()
logger.registered_handler.addFilter(RequestIds())

type LambdaHandler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]


def lambda_handler(routes: Iterable[Route], app: "App") -> LambdaHandler:
    """The entry point of a function that answers these routes."""
    api = Api(routes, app)

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
    def handle(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        request = _request(event, context)
        with logging_request(request.id, request.api_id), counting(request.units):
            response = api.respond(request)
            if isinstance(response, StreamedResponse):
                return _answer(200, {"content-type": sse.CONTENT_TYPE, **response.headers}, _whole(response))
        return _answer(response.status, response.headers, b"" if event["httpMethod"] == "HEAD" else response.body)

    return handle


def _request(event: Mapping[str, Any], context: "LambdaContext") -> Request:
    # What invokes a function locally may have no such context.
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    return Request(
        method=event["httpMethod"],
        path=event["path"],
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        query=event.get("queryStringParameters") or {},
        body=_body(event),
        remaining_s=math.inf if remaining_ms is None else remaining_ms() / 1000,
        api_id=str((event.get("requestContext") or {}).get("requestId") or ""),
        most_answer_bytes=MOST_SHOWN_BYTES,
    )


def _body(event: Mapping[str, Any]) -> bytes | str | None:
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body)
    except ValueError:
        return None


def _whole(response: StreamedResponse) -> bytes:
    try:
        return b"".join(sse.encoded(response.events.values, response.request_id, response.stream_format))
    finally:
        response.events.close()


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    # What is no text is never answered here, but by a URL: API Gateway turns base64 into bytes for some callers only.
    return {
        "statusCode": status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": body.decode(),
        "isBase64Encoded": False,
    }
