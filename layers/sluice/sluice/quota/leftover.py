"""Leftover quota: work that nobody waits for leaves a share of every limit to those who do wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_kept_free_percent: ContextVar[int] = ContextVar("kept_free_percent", default=0)


def kept_free_percent() -> int:
    """How much of each limit must be left free by what is reserved in this context."""
    return _kept_free_percent.get()


@contextmanager
def leaving_free(percent: int) -> Iterator[None]:
    """Reserve in this context only what leaves `percent` of every limit free, of all that others have taken as well."""
    before = _kept_free_percent.set(percent)
    try:
        yield
    finally:
        _kept_free_percent.reset(before)
