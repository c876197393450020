"""Server-sent events, as OpenAI's clients read them: `data: <JSON>`, and a blank line."""

from collections.abc import Iterator
from typing import Any

from sluice.api.responses import error_body, to_json, to_sluice_error
from sluice.errors import SluiceError

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def event(value: Any) -> bytes:
    """One event. JSON has no line breaks of its own, so one `data` line holds it."""
    return b"data: " + to_json(value) + b"\n\n"


def done() -> bytes:
    """The event that ends a stream that went well."""
    return b"data: [DONE]\n\n"


def error_event(error: SluiceError) -> bytes:
    """The last event of a stream that failed; `done` does not follow, or a client would take the answer for whole."""
    return event(error_body(error))


def encoded(values: Iterator[Any], request_id: str) -> Iterator[bytes]:
    """The events of a stream, to its end or to what it failed with, which is the last event then."""
    try:
        for value in values:
            yield event(value)
        yield done()
    except Exception as error:  # noqa: BLE001 -- the outermost edge of a stream: its status is sent already
        yield error_event(to_sluice_error(error, request_id))
