"""Cross-origin requests (Fetch standard, CORS protocol): which pages of other origins may read answers.

Requests carry their API key in a header that the page sets, never a cookie: credentials are not allowed.
"""

import re
from collections.abc import Collection, Mapping

_ANY = "*"
_KEPT_S = 7200
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_, -]*", re.ASCII)


def answer_headers(allowed: Collection[str], origin: str | None) -> dict[str, str]:
    """The headers by which a browser lets a page of `origin` read an answer; none if its origin is not allowed."""
    if not allowed:
        return {}
    vary = {} if _ANY in allowed else {"vary": "origin"}
    if origin is None or not ({origin, _ANY} & set(allowed)):
        return vary
    return {
        "access-control-allow-origin": _ANY if _ANY in allowed else origin,
        "access-control-expose-headers": "*",
        **vary,
    }


def preflight_headers(allowed: Collection[str], methods: Collection[str], headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that answer a browser which asks beforehand what it may send; none if it does not ask."""
    if not allowed or "access-control-request-method" not in headers:
        return {}
    asked = headers.get("access-control-request-headers", "")
    return {
        "access-control-allow-methods": ", ".join(methods),
        "access-control-allow-headers": asked if _HEADER_NAMES.fullmatch(asked) else "",
        "access-control-max-age": str(_KEPT_S),
    }
