"""Puts the document together: GET /openapi.json."""

from functools import cache
from typing import Any

from sluice import __version__
from sluice.api.envelope import Error, envelope_of
from sluice.api.openapi.problems import PROBLEMS
from sluice.api.openapi.schemas import query_parameters, schemas
from sluice.api.route import Route
from sluice.api.routes import ROUTES
from sluice.catalog.reader import SHARED
from sluice.chat import JsonObject
from sluice.errors import SluiceError
from sluice.idempotency.key import MOST_CHARACTERS
from sluice.tasks.fields import object_schema
from sluice.tasks.task import read_task

_TAGS = {
    "Chat": "Ask a model, and see which there are.",
    "Responses": "Answers as OpenAI's Responses API has them, to be read later and gone on from.",
    "Messages": "The same, as Anthropic's API asks.",
    "Moderations": "What the guards' rules say of a text.",
    "Embeddings": "Vectors of texts, to compare them by.",
    "Conversations": "What was said under a `conversation_id`, for who said it.",
    "Oversight": "Conversations and users' data of a whole tenant. For its operators.",
    "Tasks": "Ready-made prompts, a tenant's own versions of them, and how they do.",
    "Operations assistant": "Chats and prompts about infrastructure, in sessions.",
    "Interviews": "Questions for interviews, from a bank that grows.",
    "Teaching": "Test cases for a platform's exercises.",
    "Files": "What batches are made of, and what they answer.",
    "Batches": "Requests that nobody waits for, answered with what is left of the quotas.",
    "Vector stores": "Documents that are found by what they mean.",
    "Webhooks": "What tells a tenant that a batch has ended, or that something is unusual.",
    "Ingestion": "Where texts of Jira and GitHub come from, and what came in.",
    "Usage": "Who used what.",
    "Insights": "What is unusual in figures, what goes up or down, and what to expect.",
    "Operations": "How the deployments and the caches are doing. For operators.",
    "Tenants and keys": (
        "Who may use this gateway, how much, and who said so. For admins, and managers and operators of a tenant."
    ),
    "AI configuration": "What a tenant chooses of its AI, within what an admin allows it.",
    "Questions": "Answers about usage, limits, providers and documents, from figures and passages.",
    "This document": "What you are reading.",
}

_SECURITY, _SECURITY_IN_HEADER = "apiKey", "apiKeyHeader"

_HEADERS = {
    "x-sluice-request-id": ("What to ask about, and to give feedback with.", "req_0123456789abcdef0123456789abcdef"),
    "x-sluice-deployment": ("Which model on which credential answered.", "groq-1#llama-3.1-8b-instant"),
    "x-sluice-model": ("Which model answered.", "llama-3.1-8b-instant"),
    "x-sluice-complexity": ("How hard the request was found to be.", "simple"),
    "x-sluice-cache": ("`hit` or `miss`, or `skipped` when a new answer was asked for.", "miss"),
    "x-sluice-attempts": ("How many deployments were tried.", "1"),
    "x-sluice-cost-usd": ("What the answer cost, in dollars.", "0.0000021"),
    "x-sluice-infra-cost-usd": (
        "An estimate of what AWS bills for the request, in dollars. Of a stream it is not known when headers are sent.",
        "0.0000213",
    ),
    "idempotent-replayed": (
        "`true` where the answer is that of the first request with this idempotency key, and cost nothing.",
        "true",
    ),
    "x-sluice-first-request-id": (
        "The id of the request that a replayed answer was given to first.",
        "req_0123456789abcdef0123456789abcdef",
    ),
    "x-sluice-guard-flags": ("Guard rules that matched without blocking, separated by commas.", "personal-email"),
    "x-sluice-guard-cost-usd": ("What guard models cost, in dollars, beside the answer.", "0.0000009"),
    "x-sluice-guard-ms": ("How long guard models took, in milliseconds.", "84"),
    "x-ratelimit-limit-requests": ("Requests that the caller has in a minute.", "100"),
    "x-ratelimit-remaining-requests": ("How many of them are left.", "99"),
    "x-ratelimit-reset-requests": ("When all of them are free again.", "59.2s"),
}
_REPLAY_HEADERS = ("idempotent-replayed", "x-sluice-first-request-id")
_IDEMPOTENCY_KEY: JsonObject = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "The same key with the same request is answered once in 24 hours, and the answer is replayed; the key with "
        "another request is refused. Keys are those of the API key that sends them."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}


@cache
def document() -> JsonObject:
    """The document. Put together once per process, when somebody asks for it."""
    of_types, named = schemas([*_error_types(), *(each for route in ROUTES for each in _types(route))])
    paths: JsonObject = {}
    for route in ROUTES:
        # A greedy parameter is API Gateway's own.
        paths.setdefault(route.path.replace("+}", "}"), {})[route.method.lower()] = _operation(route, of_types, named)
    queries = {route.query.__name__ for route in ROUTES if route.query}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": __version__,
            "summary": "An LLM gateway that spends provider keys up to, and never past, their limits.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to where this document lies: a stage's name may stand before it.
        "servers": [{"url": "."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in named.items() if name not in queries},
            "responses": {problem.name: problem.response() for problem in PROBLEMS.values() if not problem.is_inline},
            "headers": {
                "retry-after": {"description": "Seconds to wait, if waiting helps.", "schema": {"type": "integer"}},
                **{
                    name: {"description": description, "schema": {"type": "string"}, "example": example}
                    for name, (description, example) in _HEADERS.items()
                },
            },
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sl-<id>-<secret>",
                    "description": (
                        "An API key; or, where the stack takes logins, a JSON Web Token of their issuer. "
                        "Its role is caller, manager, operator or admin; each may do all that those before it may. "
                        "The least that a route needs stands with it."
                    ),
                },
                _SECURITY_IN_HEADER: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "The same API key; `Authorization` goes before it.",
                },
            },
        },
    }


def body_example(route: Route) -> JsonObject | None:
    """A body that the route takes, None if it takes none."""
    if route.task is None:
        return route.example
    return read_task(SHARED / "tasks" / f"{route.task}.toml").file.examples[0].inputs


def _types(route: Route) -> list[Any]:
    """All types that describe a route. A task's inputs are described by its file."""
    body = None if route.task else route.body
    return [each for each in (route.query, body, route.types.answer, *route.types.events) if each is not None]


def _operation(route: Route, of_types: dict[Any, JsonObject], named: dict[str, JsonObject]) -> JsonObject:
    described: JsonObject = {
        "operationId": route.id,
        "tags": [route.tag],
        "summary": route.summary,
        "security": _security(route),
        "responses": _responses(route, of_types),
    }
    if route.description:
        described["description"] = route.description
    if parameters := _parameters(route, named):
        described["parameters"] = parameters
    if route.body is not None:
        content = {"schema": _body(route, of_types), "example": body_example(route)}
        media_type = "multipart/form-data" if route.is_form else "application/json"
        described["requestBody"] = {"required": True, "content": {media_type: content}}
    return described


def _security(route: Route) -> list[JsonObject]:
    role = route.role or route.fuller_for
    keys: list[JsonObject] = [{name: [str(role)]} for name in (_SECURITY, _SECURITY_IN_HEADER)] if role else []
    # An empty one says that a request without a key is answered too.
    return [{}, *keys] if keys and route.role is None else keys


def _body(route: Route, of_types: dict[Any, JsonObject]) -> JsonObject:
    if route.task is None:
        return of_types[route.body]
    return object_schema(read_task(SHARED / "tasks" / f"{route.task}.toml").file.inputs)


def _parameters(route: Route, named: dict[str, JsonObject]) -> list[JsonObject]:
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": parameter.description,
            "schema": {"type": "string", "minLength": 1},
            "example": parameter.example,
        }
        for name, parameter in route.parameters.items()
    ]
    in_query = query_parameters(route.query, named) if route.query else []
    return in_path + in_query + ([_IDEMPOTENCY_KEY] if route.takes_idempotency_key else [])


def _event(route: Route, of_types: dict[Any, JsonObject]) -> JsonObject:
    """One event of a stream. OpenAPI 3.1 has no words for a sequence of them; this is how 3.2 describes each."""
    error = envelope_of(route.path).schema
    content: JsonObject = {"anyOf": [of_types[each] for each in (*route.types.events, error)]}
    written: JsonObject = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    if error is not Error:
        names: JsonObject = {"type": "string", "description": "The `type` of what `data` holds."}
        properties = {"event": names, "data": written}
    else:
        properties = {"data": {"anyOf": [{"const": "[DONE]"}, written]}}
    return {
        "description": "One event.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _responses(route: Route, of_types: dict[Any, JsonObject]) -> JsonObject:
    content: JsonObject = {"application/json": {"schema": of_types[route.types.answer]}}
    if route.events:
        content["text/event-stream"] = {"schema": _event(route, of_types)}
    if route.types.offers_csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    if route.types.offers_html:
        content["text/html"] = {"schema": {"type": "string"}}
    answer: JsonObject = {"description": route.status.phrase, "content": content}
    names = _HEADERS if route.asks_a_model else _REPLAY_HEADERS if route.takes_idempotency_key else ()
    if names:
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    problems = {str(status): _problem(route, status, of_types) for status in route.error_statuses}
    return {str(route.status.value): answer} | problems


def _problem(route: Route, status: int, of_types: dict[Any, JsonObject]) -> JsonObject:
    problem, envelope = PROBLEMS[status], envelope_of(route.path)
    if envelope.schema is Error:
        return {"$ref": f"#/components/responses/{problem.name}"}
    error = SluiceError(problem.message, param=problem.param, code=problem.code)
    error.status = status
    example = envelope.body(error, _HEADERS["x-sluice-request-id"][1])
    return problem.response(of_types[envelope.schema], example)


def _error_types() -> list[Any]:
    return list(dict.fromkeys([Error, *(envelope_of(route.path).schema for route in ROUTES)]))
