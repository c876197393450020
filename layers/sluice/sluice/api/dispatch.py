"""Dispatch of requests to routes, whatever framework they came through: find the route, check, call its handler."""

import math
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from sluice.api import cors
from sluice.api.authentication import authenticate
from sluice.api.envelope import Response, envelope_of, error_response, json_response
from sluice.api.features import check_feature
from sluice.api.labels import labels_in
from sluice.api.matching import RouteTable, route_of
from sluice.api.route import Call, Content, Csv, EventStream, Html, RawRequest, Redirect, Reply, Route
from sluice.api.sse import StreamFormat
from sluice.api.tracing import TracedRequest
from sluice.errors import InvalidRequestError
from sluice.gateway.provenance import request_id_headers
from sluice.loading.dataclass import dataclass
from sluice.request_log.request_id import new_request_id
from sluice.request_log.trace import RequestTrace
from sluice.routing.deadline import Deadline
from sluice.storage.metering import ConsumedUnits
from sluice.storage.time_limit import within
from sluice.tenants.principal import Principal, require_role
from sluice.validation.body import invalid_request, parse_body

if TYPE_CHECKING:
    from sluice.composition import App


IDEMPOTENCY_KEY = "idempotency-key"
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came. `path` is percent-encoded; names of headers are in lower case.

    `body` is None if it could not be decoded. `remaining_s` is how long the function has until it is ended. `id` is
    Sluice's own, `api_id` API Gateway's; `units` are what it consumes. `sender` is who sent it, of what was sent, and
    verified, some time ago. Whatever carries the answer takes `most_answer_bytes` of it.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = b""
    remaining_s: float = math.inf
    id: str = field(default_factory=lambda: new_request_id(time.time_ns() // 1_000_000))
    api_id: str = ""
    units: ConsumedUnits = field(default_factory=ConsumedUnits)
    sender: Principal | None = None
    most_answer_bytes: float = math.inf


@dataclass(frozen=True)
class StreamedResponse:
    """A response whose events are yet to come."""

    headers: Mapping[str, str]
    events: EventStream
    request_id: str
    stream_format: StreamFormat


class Api:
    """Some routes, and the App that they are answered with. Threads may share it."""

    def __init__(self, routes: Iterable[Route], app: "App") -> None:
        self._routes = RouteTable(routes)
        self._app = app

    def respond(self, request: Request) -> Response | StreamedResponse:
        """Answer a request. Whatever happens, the answer has Sluice's form and the id of the request."""
        response, _ = self.respond_and_tell(request)
        return response

    def respond_and_tell(self, request: Request) -> tuple[Response | StreamedResponse, RequestTrace]:
        """As `respond`, with how the answer came about."""
        deadline = Deadline.of_request(self._app.settings.request_timeout_s, request.remaining_s)
        traced = TracedRequest(self._app, request, deadline)
        envelope = envelope_of(request.path)
        try:
            response = self._answer(request, traced, deadline)
        except Exception as error:  # noqa: BLE001 -- the outermost edge; frameworks would log the message, perhaps a prompt
            response = error_response(error, request.id, is_traced=traced.is_traced, envelope=envelope)
            traced.fail(error)
        if isinstance(response, StreamedResponse):
            response = replace(response, events=traced.to_the_end_of(response.events))
        else:
            if request.sender is None or response.status != _TOO_MANY_REQUESTS:
                traced.end()  # what waits for quota is asked again, and has a record then
            response = replace(response, headers={**response.headers, **traced.headers()})
        readable = cors.answer_headers(self._app.settings.cors_origins, request.headers.get("origin"))
        named = envelope.headers(request.id)
        return replace(response, headers={**response.headers, **named, **readable}), traced.trace

    def check(self, request: Request) -> int:
        """Check a request of a route that batches may have lines for. Raises SluiceError.

        Returns its estimated cost, in billionths of a dollar.
        """
        deadline = Deadline.of_request(self._app.settings.request_timeout_s, request.remaining_s)
        matches = self._routes.of_path(request.method, request.path)
        route, parameters = route_of(matches, request.method, request.path)
        if route.check is None:
            raise InvalidRequestError(f"{request.path} takes no batches.", param="endpoint")
        traced = TracedRequest(self._app, request, deadline)
        return route.check(self._checked(route, request, request.sender, parameters, traced, deadline))

    def _answer(self, request: Request, traced: TracedRequest, deadline: Deadline) -> Response | StreamedResponse:
        matches = self._routes.of_path(request.method, request.path)
        if request.method == "OPTIONS":
            return self._options({route.method for route, _ in matches}, request)
        # Of what answers HEAD, whoever sends the answer leaves out the body.
        route, parameters = route_of(matches, request.method, request.path)
        with within(deadline.over_s):
            caller = self._caller(route, request, traced)
            if caller is None or not route.is_counted_at_the_door:
                call = self._checked(route, request, caller, parameters, traced, deadline)
                return self._handled(route, request, call)
            counter = self._app.caller_counter
            counted = counter.count(caller)
            with counter.kept(counted):
                call = self._checked(route, request, caller, parameters, traced, deadline)
                response = self._handled(route, request, call)
            return replace(response, headers={**counted.limit.headers(), **response.headers})

    def _handled(self, route: Route, request: Request, call: Call[Any, Any]) -> Response | StreamedResponse:
        """What the route's handler answers; once, if the request has an idempotency key and the route takes it."""

        def answer(call: Call[Any, Any]) -> Response | StreamedResponse:
            return _response(route, route.handler(call), request.id)

        if not route.takes_idempotency_key or IDEMPOTENCY_KEY not in request.headers:
            return answer(call)
        from sluice.api.idempotency import answer_once  # for those requests alone that have a key

        return answer_once(route, request, call, answer)

    def _options(self, methods: Collection[str], request: Request) -> Response:
        """What a path takes."""
        all_methods = sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])})
        preflight = cors.preflight_headers(self._app.settings.cors_origins, all_methods, request.headers)
        return Response(204, {"allow": ", ".join(all_methods), **preflight, **request_id_headers(request.id)}, b"")

    def _checked(
        self,
        route: Route,
        request: Request,
        caller: Principal | None,
        parameters: Mapping[str, str],
        traced: TracedRequest,
        deadline: Deadline,
    ) -> Call[Any, Any]:
        """The request as the route's handler wants it."""
        directives = request.headers.get("cache-control", "").lower()
        return Call(
            app=self._app,
            caller=caller,
            path=parameters,
            query=None if route.query is None else _query(request.query, route.query),
            body=None if route.body is None or route.is_signed else _body(request, route),
            raw=RawRequest(request.headers, _bytes(request)) if route.is_signed else None,
            request_id=request.id,
            deadline=deadline,
            skips_cache="no-cache" in directives,
            no_store="no-store" in directives,
            labels=labels_in(request.headers),
            accept=request.headers.get("accept", "").lower(),
            if_match=request.headers.get("if-match", ""),
            trace=traced.trace,
            most_answer_bytes=request.most_answer_bytes,
        )

    def _caller(self, route: Route, request: Request, traced: TracedRequest) -> Principal | None:
        authorization, api_key = request.headers.get("authorization"), request.headers.get("x-api-key")
        is_named = request.sender is not None or bool(authorization or api_key)
        if route.role is None and (route.fuller_for is None or not is_named):
            return None
        app = self._app
        verify_login = app.verify_login if app.settings.jwt else None
        principal = request.sender or authenticate(authorization, app.verifier, api_key, verify_login)
        traced.begin(route, principal)
        if route.role is not None:
            require_role(principal, route.role)
            check_feature(route, principal.tenant)
        elif route.fuller_for is not None and not principal.role.includes(route.fuller_for):
            return None
        return principal


def _response(route: Route, answer: object, request_id: str) -> Response | StreamedResponse:
    named = request_id_headers(request_id)
    if isinstance(answer, EventStream):
        headers = {**answer.provenance.headers(), **named}
        return StreamedResponse(headers, answer, request_id, route.stream_format())
    if isinstance(answer, Redirect):
        return Response(302, {"location": answer.url, **named}, b"")
    if isinstance(answer, Content):
        return Response(route.status, {"content-type": answer.media_type, **named}, answer.body)
    if isinstance(answer, Csv):
        headers = {"content-type": "text/csv; charset=utf-8", **answer.headers, **named}
        return Response(route.status, headers, answer.text.encode(errors="replace"))
    if isinstance(answer, Html):
        headers = {"content-type": "text/html; charset=utf-8", **named}
        return Response(route.status, headers, answer.text.encode(errors="replace"))
    reply = answer if isinstance(answer, Reply) else Reply(answer)
    provenance = reply.provenance.headers() if reply.provenance else {}
    headers = {**reply.headers, **provenance, **named}
    return json_response(reply.body, status=route.status, headers=headers)


def _query[Model: BaseModel](parameters: Mapping[str, str], model: type[Model]) -> Model:
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        raise invalid_request(error, parameters) from None


def _bytes(request: Request) -> bytes:
    raw = request.body
    if raw is None:
        raise InvalidRequestError("The request body is said to be base64 and is not.")
    return raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw


def _body(request: Request, route: Route) -> BaseModel:
    raw, model = request.body, route.body
    if raw is None:
        raise InvalidRequestError("The request body is said to be base64 and is not.")
    if route.is_form:
        from sluice.api.form import parse_form  # for those functions alone that take files

        form: BaseModel = parse_form(_bytes(request), request.headers.get("content-type", ""), model)
        return form
    body: BaseModel = parse_body(raw, model)
    return body
