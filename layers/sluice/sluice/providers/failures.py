"""What a provider's error answer means to Sluice: pure, from status, headers and body to ProviderError."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby

from sluice.errors import (
    NO_KNOWN_WORDS,
    ContextOverflowError,
    InvalidRequestError,
    ProviderAuthenticationError,
    ProviderContextError,
    ProviderError,
    ProviderModelError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderSpoiledError,
    ProviderUnavailableError,
    ProviderUnsuitedError,
)
from sluice.providers.error_body import ErrorBody

MAX_MESSAGE_CHARACTERS = 500
# A shorter text of the prompt may stand in a message by chance ("a"), and gives nothing away.
MIN_SECRET_CHARACTERS = 8
# Providers quote prompts cut short or escaped: a stretch of this length is taken for a quotation.
QUOTED_CHARACTERS = 16
# To look for quotations takes .2 us for each.
MOST_SECRET_CHARACTERS = 400_000

_OK = 200
_LOWEST_ERROR = 400
_UNPROCESSABLE = 422
# Codes that clients look for.
_KEPT_CODES = frozenset({"content_filter", "content_policy_violation", NO_KNOWN_WORDS})
_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}")
# How providers name a field that they refuse; Mistral names only the part that it does not know.
_STREAM_OPTIONS = ("stream_options", "include_usage")
_OPTIONS = {"stream_options": _STREAM_OPTIONS, "encoding_format": ("encoding_format", "base64")}


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str], now: datetime | None = None
) -> ProviderError:
    """The error for an answer with `status` that is not 200.

    Only a rejected request's message repeats the provider's words, because the caller has to mend something; `secrets`
    (the API key, the texts of the request) are taken out of them.
    """
    if status < _LOWEST_ERROR:
        return ProviderProtocolError(f"the provider answered {status}, which is no chat", status=status)
    return _failure(status, headers, ErrorBody.read(body), secrets, now)


def failure_in_answer(
    error: object, headers: Mapping[str, str], *, secrets: Iterable[str], now: datetime | None = None
) -> ProviderError:
    """The error for an answer with status 200 whose body, or one of whose events, is or holds an error."""
    said = ErrorBody.of(error)
    statuses = (number for number in said.numbers if _LOWEST_ERROR <= number < 600)
    return _failure(next(statuses, _OK), headers, said, secrets, now)


def rejection(error: ProviderRejectedError, provider: str) -> InvalidRequestError:
    """What the caller is told of a request that `provider` rejected, when nobody else may take it."""
    message = f"{provider} rejected the request: {error.message}"
    if isinstance(error, ProviderContextError):
        return ContextOverflowError(message, param="messages")
    rejected = InvalidRequestError(message, code=error.code if error.code in _KEPT_CODES else None)
    if error.status == _UNPROCESSABLE:
        rejected.status = _UNPROCESSABLE
    return rejected


def refused_option(error: ProviderError, body: Collection[str]) -> str | None:
    """The field among those of `body` that Sluice adds by itself and the provider rejects, None if it is none."""
    if not isinstance(error, ProviderRejectedError):
        return None
    found = (
        field for field, words in _OPTIONS.items() if field in body and any(name in error.message for name in words)
    )
    return next(found, None)


def _failure(
    status: int, headers: Mapping[str, str], said: ErrorBody, secrets: Iterable[str], now: datetime | None
) -> ProviderError:
    # Imported late: their patterns take a cold start 20 ms, and most requests are not refused.
    from sluice.providers.blame import Blame, Refusal, blame, may_be_billed
    from sluice.providers.waits import wait_s

    secrets = tuple(secrets)
    whose = blame(Refusal(status, said.codes, without(said.text, secrets), said.is_page))
    pause_s = wait_s(headers, said, now or datetime.now(UTC), is_limit=whose is Blame.LIMIT)
    match whose:
        case Blame.CREDENTIAL:
            return ProviderAuthenticationError(f"the provider refuses the credential ({status})", status=status)
        case Blame.LIMIT:
            return ProviderRateLimitedError(
                "the provider's rate limit is reached", status=status, retry_after_s=pause_s
            )
        case Blame.SPOILED:
            return ProviderSpoiledError(
                "the model's answer was not what the provider can use", status=status, ask_again=True
            )
        case Blame.PROVIDER:
            return ProviderUnavailableError(
                "the provider answered with an error" if status == _OK else f"the provider answered {status}",
                status=status,
                retry_after_s=pause_s,
                may_be_billed=may_be_billed(status),
            )
    kinds: Mapping[Blame, type[ProviderRejectedError]] = {
        Blame.UNSUITED: ProviderUnsuitedError,
        Blame.CONTEXT: ProviderContextError,
        Blame.MODEL: ProviderModelError,
    }
    words = _words(said, secrets) or f"the provider answered {status}"
    return kinds.get(whose, ProviderRejectedError)(
        words, status=status, code=_code(said, secrets), retry_after_s=pause_s
    )


def _words(said: ErrorBody, secrets: Iterable[str]) -> str:
    """What the caller is told: the first message, and where in the request it points if it does not say so itself."""
    message = without(said.message[: 2 * MAX_MESSAGE_CHARACTERS], secrets)
    rest = without(said.text, secrets)
    if any(name in rest and name not in message for name in _STREAM_OPTIONS):
        message = f"{message} (stream_options)"
    return message[:MAX_MESSAGE_CHARACTERS]


def _code(said: ErrorBody, secrets: Iterable[str]) -> str | None:
    code = said.code or ""
    return code if _CODE.fullmatch(code) and without(code, secrets) == code else None


def without(text: str, secrets: Iterable[str]) -> str:
    """`text`, with "[...]" wherever it quotes a secret or a longer part of one.

    Of all secrets together no more than MOST_SECRET_CHARACTERS are looked at.
    """
    stretches: dict[str, list[int]] = {}
    for start in range(len(text) - QUOTED_CHARACTERS + 1):
        stretches.setdefault(text[start : start + QUOTED_CHARACTERS], []).append(start)
    is_quoted = [False] * len(text)
    left = MOST_SECRET_CHARACTERS
    for whole in secrets:
        secret = whole[:left]
        left -= len(secret)
        if MIN_SECRET_CHARACTERS <= len(secret) < QUOTED_CHARACTERS:
            for start in _places(secret, text):
                is_quoted[start : start + len(secret)] = [True] * len(secret)
        elif stretches:
            for at in range(len(secret) - QUOTED_CHARACTERS + 1):
                for start in stretches.pop(secret[at : at + QUOTED_CHARACTERS], ()):
                    is_quoted[start : start + QUOTED_CHARACTERS] = [True] * QUOTED_CHARACTERS
    runs = groupby(zip(text, is_quoted, strict=True), key=lambda pair: pair[1])
    return "".join("[...]" if quoted else "".join(character for character, _ in run) for quoted, run in runs)


def _places(part: str, text: str) -> Iterator[int]:
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)
