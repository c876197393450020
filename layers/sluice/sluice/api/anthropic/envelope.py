"""Errors and events as Anthropic's clients read them (https://docs.anthropic.com/en/api/errors)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypedDict

from sluice.api.envelope import Envelope
from sluice.api.sse import StreamFormat
from sluice.errors import NoProviderError, SluiceError

OVERLOADED = 529

type ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "overloaded_error",
    "api_error",
]

_TYPES: dict[int, ErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}


class MessagesErrorDetails(TypedDict):
    """What was wrong. `param` is the field, if there is one, and `code` what Sluice calls the error everywhere."""

    type: ErrorType
    message: str
    param: str | None
    code: str | None


class MessagesError(TypedDict):
    """Anthropic's error envelope."""

    type: Literal["error"]
    error: MessagesErrorDetails
    request_id: str


class MessagesEnvelope(Envelope):
    """Anthropic's envelope."""

    schema = MessagesError

    def body(self, error: SluiceError, request_id: str) -> MessagesError:
        """The body of an error."""
        return {"type": "error", "error": _details(error), "request_id": request_id}

    def headers(self, request_id: str) -> dict[str, str]:
        """What Anthropic's SDKs call the id of a request."""
        return {"request-id": request_id}


class MessageEventFormat(StreamFormat):
    """Events with their names, and none that is no JSON."""

    def event(self, value: Any) -> bytes:
        """One event, named after its type."""
        return f"event: {value['type']}\n".encode() + super().event(value)

    def done(self) -> bytes:
        """Nothing: the last event says that it is the last."""
        return b""

    def error(self, error: SluiceError) -> bytes:
        """The last event of a stream that failed."""
        return self.event({"type": "error", "error": _details(error)})


@contextmanager
def telling_overload() -> Iterator[None]:
    """Give the error that no deployment could answer the status that Anthropic has for it."""
    try:
        yield
    except NoProviderError as error:
        error.status = OVERLOADED
        raise


def _details(error: SluiceError) -> MessagesErrorDetails:
    return {"type": _type(error.status), "message": error.message, "param": error.param, "code": error.code}


def _type(status: int) -> ErrorType:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
