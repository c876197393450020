"""Matching of paths to routes, and what a request is told whose path or method no route takes."""

from collections.abc import Iterable

from sluice.api.route import Route
from sluice.errors import MethodNotAllowedError, NotFoundError

_MAX_SHOWN = 128
_OPENAI = "/openai"
_MOST_NEAR = 3
# From 0 to 1, as difflib measures it.
_LIKE = 0.6

type Match = tuple[Route, dict[str, str]]
"""A route, and the path's parameters."""


class RouteTable:
    """Table of routes by path: one without parameters is looked up, and the others are tried."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[str, list[Route]] = {}
        self._with_parameters: list[Route] = []
        for route in routes:
            if "{" in route.path:
                self._with_parameters.append(route)
            else:
                self._literal.setdefault(route.path, []).append(route)

    def of_path(self, method: str, path: str) -> list[Match]:
        """The routes of a path, of whichever methods; NotFoundError if there are none.

        A slash at the end makes no difference, and /openai/v1, which Groq's clients ask, is /v1. What is written out
        comes after what a parameter stands for, and so goes before it.
        """
        known = _known(path)
        found = [(route, given) for route in self._with_parameters if (given := route.match(known)) is not None]
        found += [(route, {}) for route in self._literal.get(known, ())]
        if not found:
            _refuse_absent(method, path)
            near = _near(method, known[:_MAX_SHOWN])
            instead = f" Near it: {', '.join(near)}." if near else ""
            raise NotFoundError(f"There is no route {method} {path[:_MAX_SHOWN]}.{instead}")
        return found


def route_of(matches: Iterable[Match], method: str, path: str) -> Match:
    """The route that answers a method, GET's if it is HEAD; MethodNotAllowedError if none does.

    NotFoundError if it is another API's method of such a path.
    """
    by_method = {route.method: (route, parameters) for route, parameters in matches}
    wanted = "GET" if method == "HEAD" else method
    if wanted not in by_method:
        _refuse_absent(method, path)
        allowed = sorted(by_method)
        shown = path[:_MAX_SHOWN]
        raise MethodNotAllowedError(f"{shown} takes {', '.join(allowed)}, not {method}.", allowed=allowed)
    return by_method[wanted]


def _known(path: str) -> str:
    known = path.rstrip("/")
    return known.removeprefix(_OPENAI) if known.startswith(f"{_OPENAI}/v1/") else known


def _refuse_absent(method: str, path: str) -> None:
    """Raise NotFoundError for what other APIs have and Sluice has not."""
    from sluice.api.absent import told_absent  # for requests that are lost

    told = told_absent(method, _known(path), path[:_MAX_SHOWN])
    if told is not None:
        raise NotFoundError(told)


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
