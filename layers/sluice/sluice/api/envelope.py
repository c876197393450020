"""Answers: error envelopes, and the one place where an error becomes an HTTP status."""

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ValidationError

from sluice.errors import InvalidRequestError, SluiceError
from sluice.gateway.provenance import request_id_headers
from sluice.loading.dataclass import dataclass
from sluice.validation.body import invalid_request

_OURS = 500
"""From this status on it is our fault."""

logger = Logger(child=True)


class ErrorDetails(TypedDict):
    """What was wrong, and what would be right. `param` is the field, if there is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    """OpenAI's error envelope."""

    error: ErrorDetails


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, for whatever framework is to send it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Envelope:
    """How errors are told, and requests named, to the clients of an API: those of OpenAI's. Others' is a subclass."""

    schema: type = Error

    def body(self, error: SluiceError, request_id: str) -> Any:
        """The body of an error."""
        return error_body(error)

    def headers(self, request_id: str) -> dict[str, str]:
        """Headers of any answer, by which these clients know a request."""
        return {}


_OPENAI_ENVELOPE = Envelope()
# Below it, errors are Anthropic's.
_MESSAGES = "/v1/messages"


def envelope_of(path: str) -> Envelope:
    """The envelope that the clients expect who ask a path, whether there is such a route or not."""
    if path.startswith(_MESSAGES) and path[len(_MESSAGES) :][:1] in ("", "/"):
        from sluice.api.anthropic.envelope import MessagesEnvelope  # for those requests alone that ask there

        return MessagesEnvelope()
    return _OPENAI_ENVELOPE


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(status, {"content-type": "application/json", **(headers or {})}, to_json(value))


def error_response(
    error: Exception, request_id: str, *, is_traced: bool = False, envelope: Envelope = _OPENAI_ENVELOPE
) -> Response:
    """What the caller is told about `error`. It is one line in the log, and in detail if it is our fault.

    The trace of a request that is `is_traced` has the line.
    """
    known = to_sluice_error(error, request_id)
    if known.status < _OURS and not is_traced:
        logger.info("refused", extra={"request_id": request_id, "status": known.status, "code": known.code})
    # What the SDKs of OpenAI and Groq, which else send a 429 or a 5xx again by themselves, go by.
    advice = {} if known.may_pass else {"x-should-retry": "false"}
    headers = {**request_id_headers(request_id), **advice, **known.headers}
    return json_response(envelope.body(known, request_id), status=known.status, headers=headers)


def status_of(error: Exception) -> int:
    """The HTTP status that `error` becomes."""
    if isinstance(error, ValidationError):
        return InvalidRequestError.status
    return error.status if isinstance(error, SluiceError) else SluiceError.status


def error_body(error: SluiceError) -> Error:
    """OpenAI's error envelope."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def to_sluice_error(error: Exception, request_id: str) -> SluiceError:
    """`error` as one that has an answer: an unexpected one becomes a 500 that says nothing of it.

    What is our fault is logged with its type and where it was raised. Messages
    of unexpected errors are neither logged nor sent: they may hold a prompt.
    """
    if isinstance(error, ValidationError):
        return invalid_request(error)
    if isinstance(error, SluiceError):
        if error.status >= _OURS:
            _log("Answered with %s", error, request_id=request_id, reason=error.message, status=error.status)
        return error
    _log("Unexpected %s", error, request_id=request_id)
    return SluiceError("Sluice failed to answer this request, and has logged why.")


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, as a model's tokens sometimes break one: valid in JSON, if escaped.
        return json.dumps(value, separators=(",", ":"), default=plain).encode()


def plain(model: BaseModel) -> dict[str, Any]:
    """A model within an answer, such as a stored message, as JSON has it: what was not given is left out."""
    return model.model_dump(exclude_unset=True)


def _log(message: str, error: Exception, **fields: str | int) -> None:
    logger.error(message, type(error).__name__, extra={**fields, "raised": _raised(error)})


def _raised(error: BaseException) -> list[str]:
    """Where the error, and before it each of those that led to it, came from: types and lines, no messages."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines.append(type(current).__name__)
        for frame in traceback.extract_tb(current.__traceback__):
            file = "/".join(Path(frame.filename).parts[-2:])
            lines.append(f"  {file}:{frame.lineno} {frame.name}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines
