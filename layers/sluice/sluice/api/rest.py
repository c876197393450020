"""Powertools' REST resolver, set up the way all handlers but chat use it. Import it in handlers only: it is heavy."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler import Response as PowertoolsResponse
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.logging import correlation_paths
from pydantic import BaseModel, ValidationError

from sluice.api import sse
from sluice.api.authentication import authenticate
from sluice.api.dispatch import Api, Request, StreamedResponse
from sluice.api.responses import Response, error_response, json_response, no_route
from sluice.api.route import AnyRoute
from sluice.errors import InvalidRequestError
from sluice.gateway.provenance import new_request_id, request_id_headers
from sluice.routing.deadline import Deadline
from sluice.settings import settings
from sluice.tenants.principal import Principal, require_role
from sluice.tenants.tenant import Role
from sluice.validation import invalid_request, parse_body

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from sluice.composition import App

# The loggers of the layer are its children: without it their lines would not be structured, or not come out at all.
logger = Logger()

# Not in the resolver's own context: invocations in several threads, as in tests, would share it.
_request_id: ContextVar[str] = ContextVar("_request_id")


class RestApp(APIGatewayRestResolver):
    """A resolver whose every answer, whatever happens, has Sluice's form."""

    def __init__(self) -> None:
        super().__init__(debug=False)
        self.exception_handler(Exception)(self._failed)
        self.not_found(self._no_route)

    def resolve(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer one invocation of the function."""
        _request_id.set(new_request_id())
        return super().resolve(event, context)

    @property
    def request_id(self) -> str:
        """What the current request is called."""
        return _request_id.get()

    def principal(self, role: Role) -> Principal:
        """Who sent the current request, who must have this role."""
        principal = authenticate(self.current_event.headers.get("authorization"))
        require_role(principal, role)
        return principal

    def body[Model: BaseModel](self, model: type[Model]) -> Model:
        """The current request's body."""
        try:
            raw = self.current_event.decoded_body or ""
        except ValueError:
            raise InvalidRequestError("The request body is said to be base64 and is not.") from None
        return parse_body(raw, model)

    def query[Model: BaseModel](self, model: type[Model]) -> Model:
        """The current request's query parameters."""
        parameters = self.current_event.query_string_parameters
        try:
            return model.model_validate(parameters)
        except ValidationError as error:
            raise invalid_request(error, parameters) from None

    def deadline(self) -> Deadline:
        """By when the current request has to be answered."""
        timeout_s = settings().request_timeout_s
        # The context of Lambda's runtime; what invokes a function locally may have none.
        if (remaining_ms := getattr(self.lambda_context, "get_remaining_time_in_millis", None)) is None:
            return Deadline.of_request(timeout_s)
        return Deadline.of_request(timeout_s, remaining_ms() / 1000)

    @property
    def skips_cache(self) -> bool:
        """Whether the current request wants a new answer."""
        return "no-cache" in (self.current_event.headers.get("cache-control") or "").lower()

    def answer(
        self, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> PowertoolsResponse[str]:
        """`value` as JSON."""
        return self._named(json_response(value, status=status, headers=headers))

    def events(self, values: Iterable[Any], *, headers: Mapping[str, str]) -> PowertoolsResponse[str]:
        """`values` as the server-sent events of a stream that went well, all at once."""
        body = b"".join((*map(sse.event, values), sse.done()))
        return self._named(Response(200, {"content-type": sse.CONTENT_TYPE, **headers}, body))

    def _failed(self, error: Exception) -> PowertoolsResponse[str]:
        return _to_powertools(error_response(error, self.request_id))

    def _no_route(self, _error: NoRouteError) -> PowertoolsResponse[str]:
        path = self.current_event.path
        # Powertools knows no 405 and does not show its routes to its users.
        routes = self._static_routes + self._dynamic_routes
        allowed = {route.method for route in routes if route.rule.fullmatch(path)}
        error = no_route(self.current_event.http_method, path, allowed)
        return _to_powertools(error_response(error, self.request_id))

    def _named(self, response: Response) -> PowertoolsResponse[str]:
        headers = {**response.headers, **request_id_headers(self.request_id)}
        return _to_powertools(replace(response, headers=headers))


def _to_powertools(response: Response) -> PowertoolsResponse[str]:
    return PowertoolsResponse(
        status_code=response.status,
        headers={name: [value] for name, value in response.headers.items()},
        body=response.body.decode(),
    )


type LambdaHandler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]


def lambda_handler(routes: Iterable[AnyRoute], app: "App") -> LambdaHandler:
    """The entry point of a function that answers these routes."""
    api = Api(routes, app)

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, log_event=False)
    def handle(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        response = api.respond(_request(event, context))
        if isinstance(response, StreamedResponse):
            return _answer(200, {"content-type": sse.CONTENT_TYPE, **response.headers}, _whole(response))
        return _answer(response.status, response.headers, response.body)

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
        return b"".join(sse.encoded(response.events.values, response.request_id))
    finally:
        response.events.close()


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    return {
        "statusCode": status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": body.decode(),
        "isBase64Encoded": False,
    }
