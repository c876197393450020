"""Server-sent events: `data: <JSON>` and a blank line, as each API's clients read them."""

from collections.abc import Iterator
from typing import Any

from sluice.api.envelope import error_body, to_json, to_sluice_error
from sluice.errors import SluiceError

CONTENT_TYPE = "text/event-stream; charset=utf-8"


class StreamFormat:
    """How one stream is written: as OpenAI's clients read the chunks of a chat. Another API's format is a subclass.

    An object of it sees all events of one stream, in their order.
    """

    def event(self, value: Any) -> bytes:
        """One event. JSON has no line breaks of its own, so one `data` line holds it."""
        return b"data: " + to_json(value) + b"\n\n"

    def done(self) -> bytes:
        """The event that ends a stream that went well."""
        return b"data: [DONE]\n\n"

    def error(self, error: SluiceError) -> bytes:
        """The last event of a stream that failed: after `done`, a client would take the answer for whole."""
        return self.event(error_body(error))


def encoded(values: Iterator[Any], request_id: str, stream_format: StreamFormat) -> Iterator[bytes]:
    """The events of a stream, to its end or to what it failed with, which is the last event then."""
    try:
        for value in values:
            yield stream_format.event(value)
        yield stream_format.done()
    except Exception as error:  # noqa: BLE001 -- the outermost edge of a stream: its status is sent already
        yield stream_format.error(to_sluice_error(error, request_id))
