"""Matching of paths to routes, and what a request is told whose path or method no route takes."""

from collections.abc import Iterable

from sluice.api.route import Route
from sluice.errors import MethodNotAllowedError, NotFoundError

_MAX_SHOWN = 128
_OPENAI = "/openai"
_MOST_NEAR = 3
# From 0 to 1, as difflib measures it.
_LIKE = 0.6

# What OpenAI's and Anthropic's APIs have below /v1 and Sluice has not, by the first part of the path.
_ABSENT = {
    "assistants": "assistants",
    "audio": "audio",
    "chatkit": "ChatKit",
    "containers": "containers",
    "evals": "evals",
    "fine_tuning": "fine-tuning",
    "images": "images",
    "messages/batches": "batches of messages (POST /v1/batches takes chats)",
    "organization": "administration of OpenAI's (POST /v1/tenants and /v1/keys are its own)",
    "organizations": "administration of Anthropic's (POST /v1/tenants and /v1/keys are its own)",
    "realtime": "realtime sessions",
    "skills": "skills",
    "threads": "threads (a conversation is continued by the header x-sluice-conversation-id)",
    "videos": "videos",
}
_WHERE_TO_LOOK = "GET /openapi.json describes all that it has; for the rest, ask a provider itself."

type Match = tuple[Route, dict[str, str]]
"""A route, and the path's parameters."""


def routes_of_path(routes: Iterable[Route], method: str, path: str) -> list[Match]:
    """The routes of a path, of whichever methods; NotFoundError if there are none.

    A slash at the end makes no difference, and /openai/v1, which Groq's clients ask, is /v1.
    """
    known = path.rstrip("/")
    if known.startswith(f"{_OPENAI}/v1/"):
        known = known.removeprefix(_OPENAI)
    matches = [(route, parameters) for route in routes if (parameters := route.match(known)) is not None]
    if not matches and (absent := _absent(known)) is not None:
        raise NotFoundError(f"Sluice has no {absent}: {method} {path[:_MAX_SHOWN]} is not there. {_WHERE_TO_LOOK}")
    if not matches:
        near = _near(method, known[:_MAX_SHOWN])
        instead = f" Near it: {', '.join(near)}." if near else ""
        raise NotFoundError(f"There is no route {method} {path[:_MAX_SHOWN]}.{instead}")
    return matches


def route_of(matches: Iterable[Match], method: str, path: str) -> Match:
    """The route that answers a method, GET's if it is HEAD; MethodNotAllowedError if none does."""
    by_method = {route.method: (route, parameters) for route, parameters in matches}
    wanted = "GET" if method == "HEAD" else method
    if wanted not in by_method:
        allowed = sorted(by_method)
        shown = path[:_MAX_SHOWN]
        raise MethodNotAllowedError(f"{shown} takes {', '.join(allowed)}, not {method}.", allowed=allowed)
    return by_method[wanted]


def _absent(path: str) -> str | None:
    """What a path asks for that another API has and Sluice has not, if it is that."""
    parts = path.split("/")[2:4] if path.startswith("/v1/") else []
    return next((_ABSENT[name] for name in (*parts[:1], "/".join(parts)) if name in _ABSENT), None)


def _near(method: str, path: str) -> list[str]:
    """The routes whose paths are most like this one's."""
    # Imported when a request is lost: it needs the routes of all functions.
    from difflib import get_close_matches

    from sluice.api.routes import ROUTES

    methods: dict[str, list[str]] = {}
    for route in ROUTES:
        methods.setdefault(route.path.replace("+}", "}"), []).append(route.method)
    near = get_close_matches(path, methods, n=_MOST_NEAR, cutoff=_LIKE)
    return [f"{method if method in methods[each] else methods[each][0]} {each}" for each in near]
