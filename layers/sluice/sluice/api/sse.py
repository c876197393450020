"""Server-sent events, as OpenAI's clients read them: `data: <JSON>`, and a blank line."""

from typing import Any

from sluice.api.responses import error_body, to_json
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
