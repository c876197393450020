"""Time limit of what a request asks of storage: whoever asks within `within` has an answer, or an error, by then."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_until_s: ContextVar[float] = ContextVar("storage_until_s", default=math.inf)


def until_s() -> float:
    """By when an answer has to be there, on the monotonic clock."""
    return _until_s.get()


@contextmanager
def within(until_s: float) -> Iterator[None]:
    """Bound what is asked in this context until `until_s`, a moment of the monotonic clock."""
    before = _until_s.set(until_s)
    try:
        yield
    finally:
        _until_s.reset(before)
