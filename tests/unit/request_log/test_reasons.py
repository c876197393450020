"""Reasons hold nothing of what was asked or answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import errors
from sluice.errors import QuotaExceededError, SluiceError
from sluice.request_log.reasons import code_of, reason_of

SECRET = "Quokka"
SAID_BY_ITSELF = (
    errors.QuotaExceededError,
    errors.DeadlineExceededError,
    errors.LedgerUnavailableError,
    errors.StorageUnavailableError,
)


def kinds(parent: type[SluiceError] = SluiceError) -> list[type[SluiceError]]:
    return [parent, *(found for child in parent.__subclasses__() for found in kinds(child))]


def make(kind: type[SluiceError], message: str, code: str | None, param: str | None) -> SluiceError:
    if issubclass(kind, errors.MethodNotAllowedError):
        error: SluiceError = kind(message, allowed=["GET"])
    elif issubclass(kind, errors.QuotaExceededError):
        error = kind(message, retry_after_s=1)
    else:
        error = kind(message)
    error.code, error.param = code, param
    return error


@pytest.mark.parametrize("kind", [each for each in kinds() if not issubclass(each, SAID_BY_ITSELF)])
@given(text=st.text(max_size=30))
def test_no_message_or_param_of_the_caller_s_making_is_repeated(kind: type[SluiceError], text: str) -> None:
    told = f"{SECRET}{text}"
    error = make(kind, told, code=f"{told} {told}", param=told)
    assert SECRET not in reason_of(error, {"messages", "model"}) + code_of(error)


def test_a_field_of_the_body_is_named() -> None:
    error = errors.InvalidRequestError("no", param="messages[3].content")
    assert reason_of(error, {"messages"}) == "The request is not one that can be answered: messages."
    assert reason_of(error, {"inputs"}) == "The request is not one that can be answered."


def test_limits_and_rules_are_named() -> None:
    refused = QuotaExceededError("The API key is out of requests per minute. Try again in 3 s.", retry_after_s=3)
    assert reason_of(refused) == "The API key is out of requests per minute. Try again in 3 s."
    blocked = errors.GuardBlockedError("no", code="prompt-injection")
    assert (reason_of(blocked), code_of(blocked)) == ("A guard rule blocked it: prompt-injection.", "prompt-injection")


def test_an_unexpected_error_says_nothing_of_itself() -> None:
    error = RuntimeError(SECRET)
    assert SECRET not in reason_of(error) + code_of(error)
