"""Reasons why a request was refused or failed, in words that hold nothing of what was asked or answered. Pure."""

import re
from collections.abc import Collection

from pydantic import ValidationError

from sluice.errors import (
    ConflictError,
    DeadlineExceededError,
    GuardBlockedError,
    GuardUnavailableError,
    InterruptedAnswerError,
    InvalidAnswerError,
    InvalidRequestError,
    KeptAnswerTooLargeError,
    KeyReusedError,
    LedgerUnavailableError,
    NoProviderError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaExceededError,
    ReplayedError,
    RequestUnderWayError,
    SluiceError,
    StorageUnavailableError,
)

# Their messages are made of limits, durations and names of deployments.
_SAID_BY_ITSELF = (QuotaExceededError, DeadlineExceededError, LedgerUnavailableError, StorageUnavailableError)
# The others may quote a model's name, a provider or an answer. The most special comes first.
_SAID_FOR_IT: tuple[tuple[type[SluiceError], str], ...] = (
    (GuardBlockedError, "A guard rule blocked it: {code}."),
    (GuardUnavailableError, "A guard model could not judge it."),
    (InvalidRequestError, "The request is not one that can be answered"),
    (PayloadTooLargeError, "The request is too large."),
    (PermissionDeniedError, "The API key or its tenant may not do this"),
    (NotFoundError, "What it names is not there"),
    (RequestUnderWayError, "The first request with its idempotency key was under way."),
    (KeptAnswerTooLargeError, "The answer that its idempotency key has was too large to be kept."),
    (KeyReusedError, "Its idempotency key was used with another request."),
    (ReplayedError, "The first request with its idempotency key was refused."),
    (ConflictError, "Another request was under way with the same conversation"),
    (InterruptedAnswerError, "The provider broke off in the middle of the answer."),
    (InvalidAnswerError, "The answer was not what was asked for."),
)
_UNKNOWN = "Sluice failed at it; the log of its function says where."
_NO_PROVIDER = "No provider could answer."
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_FIRST_NAME = re.compile(r"\w+", re.ASCII)


def code_of(error: Exception) -> str:
    """The code of the answer that an error becomes, "" for one that no code should look like."""
    code = error.code if isinstance(error, SluiceError) else _code_of_unexpected(error)
    return code if code and _CODE.fullmatch(code) else ""


def reason_of(error: Exception, fields: Collection[str] = ()) -> str:
    """Why a request was refused or failed. `fields` are those of its body: only their names are repeated."""
    if isinstance(error, _SAID_BY_ITSELF):
        return error.message
    if isinstance(error, NoProviderError):
        # What was tried is beside it.
        return _NO_PROVIDER
    known = InvalidRequestError("") if isinstance(error, ValidationError) else error
    said = next((words for kind, words in _SAID_FOR_IT if isinstance(known, kind)), _UNKNOWN)
    if said.endswith("."):
        return said.format(code=code_of(error))
    where = _FIRST_NAME.match(getattr(error, "param", None) or "")
    return f"{said}: {where[0]}." if where and where[0] in fields else f"{said}."


def _code_of_unexpected(error: Exception) -> str | None:
    return InvalidRequestError.code if isinstance(error, ValidationError) else SluiceError.code
