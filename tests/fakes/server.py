"""The fake provider's server: routes, limits, faults, and the records that tests read back.

POST .../chat/completions, POST .../embeddings and GET .../models are the provider; the path says whose wire format:
under /openai/ it is Groq's, under /hf or /models/ Hugging Face's, under /azure/ Azure's, under /gemini/ Gemini's, under
/anthropic/, where .../messages is asked, Anthropic's, under /bedrock/ Amazon Bedrock's, else OpenAI's. Everything under
/_fake is for the test: GET state, GET requests, POST config, POST and DELETE faults, POST reset.
"""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tests.fakes import gemini, http
from tests.fakes.answers import Answer, build
from tests.fakes.converse import ConverseAnswer, InvokedVectors, code_of, model_of
from tests.fakes.limits import LimitBook, Meter, Violation
from tests.fakes.messages import MessagesAnswer, error_body
from tests.fakes.settings import MARKER, FakeSettings, Fault, Flavour
from tests.fakes.vectors import VectorAnswer
from tests.fakes.weather import Weather

type Json = dict[str, Any]

MESSAGES_PATH = "/messages"
BEDROCK_PATHS = ("/converse", "/converse-stream", "/invoke")
EMBEDDING_PATHS = ("/embeddings", "/pipeline/feature-extraction")
FAULT_LIST = TypeAdapter(list[Fault])
HOURS_MINUTES_SECONDS = ((3600, "h"), (60, "m"))


class ApiError(Exception):
    """An answer with an error object in the provider's own form."""

    def __init__(
        self, status: int, message: str, kind: str, code: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.headers = dict(headers or {})

    def body(self, flavour: Flavour) -> Json | list[Json]:
        """The error as `flavour` writes it; Hugging Face's is a bare string."""
        if flavour == "huggingface":
            return {"error": self.message}
        if flavour == "bedrock":
            return {"message": self.message}
        if flavour == "anthropic":
            return error_body(self.status, self.message)
        if flavour == "gemini":
            # A key that is none is a bad request there.
            return gemini.error_body(400 if self.status == 401 else self.status, self.message)
        error: Json = {"message": self.message, "type": self.kind, "code": self.code}
        return {"error": error | ({"param": None} if flavour == "openai" else {})}


class FakeServer:
    """One fake provider; it lives in one event loop, so its state needs no locks."""

    def __init__(self, settings: FakeSettings | None = None) -> None:
        self.settings = settings or FakeSettings()
        self.base = self.settings.model_copy(deep=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._clear()

    def _clear(self) -> None:
        self.faults: list[Fault] = []
        self.book = LimitBook(self.settings)
        self.arrivals: list[Json] = []
        self.violations: list[Json] = []
        self.requests: deque[Json] = deque(maxlen=self.settings.keep_requests)
        self.connections = 0
        self.number = 0

    async def start(self, port: int = 0) -> asyncio.Server:
        """Listen on the loopback interface."""
        return await asyncio.start_server(
            self._serve_connection, "127.0.0.1", port, limit=http.MAX_HEAD_BYTES, backlog=1024
        )

    async def close_connections(self) -> None:
        """Drop every open connection, also those that hang on purpose, and wait until they are gone."""
        for writer in self._writers:
            writer.transport.abort()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._handlers.add(task)
        try:
            while (request := await http.read_request(reader)) is not None:
                if not await self._answer(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as clients do
        except (http.BadRequestError, ValueError) as error:
            writer.write(http.whole(400, http.json_bytes({"error": f"not HTTP: {error}"}), {"connection": "close"}))
        except asyncio.CancelledError:
            pass  # the server is being closed
        finally:
            self._writers.discard(writer)
            if task is not None:
                self._handlers.discard(task)
            writer.close()

    async def _answer(self, request: http.Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False if the connection is to be closed."""
        path, _, query = request.path.partition("?")
        if path.startswith("/_fake/"):
            writer.write(self._control(request, path.removeprefix("/_fake/"), query))
            await writer.drain()
            return True
        flavour = flavour_of(path)
        try:
            if (
                path.endswith(("/chat/completions", MESSAGES_PATH, *BEDROCK_PATHS, *EMBEDDING_PATHS))
                and request.method == "POST"
            ):
                return await self._ask(request, flavour, writer)
            self._authenticate(request)
            writer.write(http.whole(200, http.json_bytes(self._models(path))))
        except ApiError as error:
            code = {"x-amzn-errortype": code_of(error.status)} if flavour == "bedrock" else {}
            writer.write(http.whole(error.status, http.json_bytes(error.body(flavour)), {**error.headers, **code}))
        await writer.drain()
        return True

    # The provider.

    async def _ask(self, request: http.Request, flavour: Flavour, writer: asyncio.StreamWriter) -> bool:
        monotonic_s, wall_s = time.monotonic(), time.time()
        api_key = self._authenticate(request)
        path, _, query = request.path.partition("?")
        if flavour == "azure" and "/deployments/" in path and not query.startswith("api-version="):
            raise ApiError(404, "Resource not found", "invalid_request_error", "404")
        embeds = path.endswith(EMBEDDING_PATHS)
        if flavour == "bedrock":
            body = {**json.loads(request.body), "model": model_of(path)}
        else:
            body = embedding_body(request.body, path) if embeds else chat_body(request.body)
        model = body["model"]
        self.number += 1
        fault = self._fault_for(api_key, body)
        self._record_request(request, api_key, body)
        if self.settings.models is not None and model not in self.settings.models and fault is None:
            raise ApiError(
                404,
                f"The model `{model}` does not exist or you do not have access to it.",
                "invalid_request_error",
                "model_not_found",
            )
        try:
            answer: Answer | VectorAnswer | MessagesAnswer | ConverseAnswer | InvokedVectors
            if embeds:
                answer = VectorAnswer.of(body, self.settings.embeddings)
            elif path.endswith("/invoke"):
                answer = InvokedVectors.of(body)
            elif flavour == "bedrock":
                answer = ConverseAnswer.of(body, self.number, int(wall_s), self.settings)
            elif flavour == "anthropic":
                answer = MessagesAnswer.of(body, self.number, int(wall_s), self.settings)
            elif flavour == "gemini":
                gemini.check(body)
                answer = build(body, flavour, self.number, int(wall_s), self.settings, gemini.GeminiAnswer)
            else:
                answer = build(body, flavour, self.number, int(wall_s), self.settings)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # A real provider checks every field first; this one is told by the first that it can't make sense of.
            raise ApiError(400, f"Invalid request: {error!r}", "invalid_request_error", None) from error
        violations: list[Violation] = []
        if fault is None or self.settings.count_faults:
            violations = self.book.admit(api_key, model, answer.tokens, monotonic_s, wall_s)
        refused = bool(violations) and self.settings.refuse
        arrival = {
            "monotonic_s": monotonic_s,
            "wall_s": wall_s,
            "api_key": api_key,
            "model": model,
            "tokens": answer.tokens,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "fault": fault.fault if fault else None,
            "refused": refused,
        }
        self.arrivals.append(arrival)
        common = {"monotonic_s": monotonic_s, "wall_s": wall_s, "api_key": api_key, "model": model}
        self.violations += [common | asdict(violation) for violation in violations]
        if refused:
            raise rate_limited(max(violations, key=lambda found: found.retry_after_s), model)
        headers = self._rate_limit_headers(api_key, model, flavour, monotonic_s)
        if self.settings.latency_s:
            await asyncio.sleep(self.settings.latency_s)
        if fault is not None and fault.status is not None:
            raise status_fault(fault)
        return await Weather(writer, answer, fault, headers, self.settings.chunk_delay_s).send(
            bool(body.get("stream")) or path.endswith("/converse-stream")
        )

    def _authenticate(self, request: http.Request) -> str:
        scheme, _, api_key = request.headers.get("authorization", "").partition(" ")
        if flavour_of(request.path) == "anthropic":
            # It has no answer for who does not say which version of it is meant.
            scheme, api_key = "bearer", request.headers.get("x-api-key", "")
            api_key = api_key if request.headers.get("anthropic-version") == "2023-06-01" else ""
        if flavour_of(request.path) == "azure":
            scheme, api_key = "bearer", request.headers.get("api-key", "")
        elif flavour_of(request.path) == "bedrock":
            # `AWS4-HMAC-SHA256 Credential=<access key>/<day>/<region>/bedrock/aws4_request, ...`
            scheme, api_key = "bearer", api_key.partition("Credential=")[2].partition("/")[0]
        known = self.settings.api_keys
        if scheme.lower() != "bearer" or not api_key or (known is not None and api_key not in known):
            raise ApiError(401, f"Incorrect API key provided: {api_key}.", "invalid_request_error", "invalid_api_key")
        return api_key

    def _fault_for(self, api_key: str, body: Json) -> Fault | None:
        for field in ("model", "user"):
            if isinstance(marked := body.get(field), str) and (found := MARKER.search(marked)):
                return Fault(fault=found[1])
        for fault in self.faults:
            if fault.matches(api_key, body["model"]):
                if fault.times is not None:
                    fault.times -= 1
                    self.faults = [other for other in self.faults if other.times is None or other.times > 0]
                return fault
        return None

    def _record_request(self, request: http.Request, api_key: str, body: Json) -> None:
        kept = request.headers.keys() - {"authorization", "x-api-key", "api-key"}
        headers = {name: request.headers[name] for name in kept}
        record = {"path": request.path, "api_key": api_key, "headers": headers, "body": body}
        self.requests.append(record | {"raw": request.body.decode()})

    def _models(self, path: str) -> Json:
        names = self.settings.models or ["fake-model"]
        rows: list[Json] = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in names]
        if path.endswith("/models"):
            return {"object": "list", "data": rows}
        for row in rows:
            if path.endswith("/models/" + row["id"]):
                return row
        raise ApiError(404, f"Unknown request URL: {path}", "invalid_request_error", "unknown_url")

    def _rate_limit_headers(self, api_key: str, model: str, flavour: Flavour, now_s: float) -> dict[str, str]:
        meters = self.book.meters(api_key, model)
        if flavour in ("huggingface", "bedrock") or not self.settings.rate_limit_headers:
            return {}
        requests = "requests_per_day" if flavour == "groq" else "requests_per_minute"
        headers: dict[str, str] = {}
        for name, dimension in (("requests", requests), ("tokens", "tokens_per_minute")):
            meter: Meter | None = meters.get(dimension)
            if meter is not None and flavour == "anthropic":
                found = {"limit": meter.capacity, "remaining": meter.remaining}
                headers |= {f"anthropic-ratelimit-{name}-{kind}": str(count) for kind, count in found.items()}
            elif meter is not None:
                headers[f"x-ratelimit-limit-{name}"] = str(meter.capacity)
                headers[f"x-ratelimit-remaining-{name}"] = str(meter.remaining)
                headers[f"x-ratelimit-reset-{name}"] = duration(meter.reset_s(now_s))
        return headers

    # The test's side.

    def _control(self, request: http.Request, what: str, query: str) -> bytes:
        try:
            found = self._controlled(request, what, query)
        except (ValidationError, ValueError) as error:
            return http.whole(400, http.json_bytes({"error": str(error)}))
        if found is None:
            return http.whole(404, http.json_bytes({"error": f"no {request.method} /_fake/{what}"}))
        return http.whole(200, http.json_bytes(found))

    def _controlled(self, request: http.Request, what: str, query: str) -> Json | None:
        match request.method, what:
            case "GET", "state":
                return self._state(int(query.removeprefix("since=") or 0))
            case "GET", "requests":
                return {"requests": list(self.requests)}
            case "POST", "config":
                changed = json.loads(request.body)
                merged = self.settings.model_dump() | changed
                self.settings = FakeSettings.model_validate(merged)
                self.requests = deque(self.requests, maxlen=self.settings.keep_requests)
                if changed.keys() & {"limits", "windows", "minute_s", "day_s", "refuse"}:
                    self.book = LimitBook(self.settings)
                return self.settings.model_dump()
            case "POST", "faults":
                sent = json.loads(request.body)
                self.faults += FAULT_LIST.validate_python(sent if isinstance(sent, list) else [sent])
                return {"faults": len(self.faults)}
            case "DELETE", "faults":
                self.faults = []
                return {"faults": 0}
            case "POST", "reset":
                self.settings = self.base.model_copy(deep=True)
                self._clear()
                return {"reset": True}
            case _:
                return None

    def _state(self, since: int) -> Json:
        answered = [arrival for arrival in self.arrivals if not arrival["refused"] and arrival["fault"] is None]
        return {
            "now_monotonic_s": time.monotonic(),
            "connections": self.connections,
            "open_connections": len(self._writers),
            "requests": len(self.arrivals),
            "answered": len(answered),
            "tokens": sum(arrival["tokens"] for arrival in answered),
            "arrivals": self.arrivals[since:],
            "violations": self.violations,
            "faults": [fault.model_dump() for fault in self.faults],
        }


def flavour_of(path: str) -> Flavour:
    """Whose wire format a path speaks."""
    if path.startswith("/openai/"):
        return "groq"
    known: tuple[Flavour, ...] = ("anthropic", "azure", "bedrock", "gemini")
    for flavour in known:
        if path.startswith(f"/{flavour}/"):
            return flavour
    return "huggingface" if path.startswith(("/hf", "/models/")) else "openai"


def chat_body(raw: bytes) -> Json:
    """The request's body, checked as providers check it."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ApiError(
            400, f"We could not parse the JSON body of your request: {error}", "invalid_request_error", None
        ) from error
    for field, kind in (("model", str), ("messages", list)):
        if not isinstance(body, dict) or not isinstance(body.get(field), kind) or not body[field]:
            raise ApiError(400, f"'{field}': property is missing or invalid", "invalid_request_error", None)
    return dict(body)


def embedding_body(raw: bytes, path: str) -> Json:
    """The same for embeddings; at Hugging Face the path names the model."""
    try:
        body = dict(json.loads(raw))
    except (TypeError, ValueError) as error:
        raise ApiError(400, f"We could not parse the JSON body: {error}", "invalid_request_error", None) from error
    if path.endswith("/feature-extraction"):
        body |= {"model": path.partition("/hf-inference/models/")[2].partition("/pipeline/")[0]}
        body["input"] = body.get("inputs")
    for field, kind in (("model", str), ("input", list)):
        if not isinstance(body.get(field), kind) or not body[field]:
            raise ApiError(400, f"'{field}': property is missing or invalid", "invalid_request_error", None)
    return body


def rate_limited(violation: Violation, model: str) -> ApiError:
    """A 429 in Groq's words, which OpenAI's resemble."""
    period = "day (RPD)" if violation.dimension.endswith("day") else "minute (RPM)"
    if violation.dimension.startswith("tokens"):
        period = period.replace("RP", "TP")
    kind = violation.dimension.split("_")[0]
    message = (
        f"Rate limit reached for model `{model}` in organization `org_fake` service tier `on_demand` "
        f"on {kind} per {period}: Limit {violation.capacity}, Used {violation.used:g}, Requested {violation.cost}. "
        f"Please try again in {duration(violation.retry_after_s)}."
    )
    headers = {"retry-after": str(math.ceil(violation.retry_after_s))}
    return ApiError(429, message, kind, "rate_limit_exceeded", headers)


def status_fault(fault: Fault) -> ApiError:
    """The error answer that a fault asks for."""
    status = fault.status or 500
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["retry-after"] = fault.retry_after
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return ApiError(status, fault.message or f"Fault {status} on demand", kind, None, headers)


def duration(seconds: float) -> str:
    """`1m26.4s`, as Groq's and OpenAI's headers and messages write it."""
    written = ""
    for unit_s, name in HOURS_MINUTES_SECONDS:
        if seconds >= unit_s:
            written += f"{int(seconds // unit_s)}{name}"
            seconds %= unit_s
    return f"{written}{seconds:.6g}s"
