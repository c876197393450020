"""Ids of the request that is answered, in all lines of the log."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_request_ids: ContextVar[Mapping[str, str]] = ContextVar("request_ids", default=MappingProxyType({}))


def request_ids() -> Mapping[str, str]:
    """The ids that lines of the log have in this context, by their names."""
    return _request_ids.get()


class RequestIds(logging.Filter):
    """Puts the ids of the request that is answered into each line of the log: Sluice's own, and API Gateway's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through."""
        for name, value in _request_ids.get().items():
            if name not in record.__dict__:
                setattr(record, name, value)
        return True


@contextmanager
def logging_request(request_id: str, api_request_id: str) -> Iterator[None]:
    """Name a request in all that is logged in this context, and in those of threads that work for it."""
    ids = {"request_id": request_id, "api_request_id": api_request_id}
    before = _request_ids.set({name: value for name, value in ids.items() if value})
    try:
        yield
    finally:
        _request_ids.reset(before)
