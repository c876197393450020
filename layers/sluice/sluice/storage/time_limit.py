"""Time limit of what a request asks of storage: whoever asks within `within` has an answer, or an error, by then."""

import math
from contextvars import ContextVar, Token

_until_s: ContextVar[float] = ContextVar("storage_until_s", default=math.inf)


def until_s() -> float:
    """By when an answer has to be there, on the monotonic clock."""
    return _until_s.get()


class within:  # noqa: N801 -- read as a verb; a generator would take twice as long, several times a request
    """Bound what is asked in this context until `until_s`, a moment of the monotonic clock."""

    __slots__ = ("_before", "_limit_s")

    def __init__(self, until_s: float) -> None:
        self._limit_s = until_s

    def __enter__(self) -> None:
        self._before: Token[float] = _until_s.set(self._limit_s)

    def __exit__(self, *_: object) -> None:
        _until_s.reset(self._before)
