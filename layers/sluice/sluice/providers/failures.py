"""What a provider's error answer means to Sluice: pure, from status, headers and body to ProviderError."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import groupby

from sluice.errors import (
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)

MAX_MESSAGE_CHARACTERS = 500
# How much of the provider's message is looked at for them.
MAX_SAID_CHARACTERS = 2 * MAX_MESSAGE_CHARACTERS
# A shorter text of the prompt may stand in a message by chance ("a"), and gives nothing away.
MIN_SECRET_CHARACTERS = 8
# Providers quote prompts cut short or escaped: a stretch of this length is taken for a quotation.
QUOTED_CHARACTERS = 16

# 402: the account behind the credential is out of credit, as Hugging Face and OpenRouter say it. 403 is not among them:
# some answer it to one prompt that they will not have, or for one model that the account may not use.
CREDENTIAL_STATUSES = frozenset({401, 402})
# Not the request's fault: a time-out, conflict or overload on the provider's side (498 is Groq's own).
BUSY_STATUSES = frozenset({408, 409, 423, 424, 425, 498, 499})
RATE_LIMITED = 429

# Groq: "Please try again in 1m26.4s", also "7.66s", "450ms", "2h3m0.5s".
TRY_AGAIN = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)")
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str], now: datetime | None = None
) -> ProviderError:
    """The error for an answer with `status` that is not 200.

    Only a rejected request's message repeats the provider's words, because the caller has to mend something; `secrets`
    (the API key, the texts of the prompt) are taken out of them.
    """
    said = message_in(body)
    if status in CREDENTIAL_STATUSES:
        return ProviderAuthenticationError(f"the provider refuses the credential ({status})", status=status)
    if status == RATE_LIMITED:
        retry_after_s = retry_after(headers, said, now or datetime.now(UTC))
        return ProviderRateLimitedError("the provider's rate limit is reached", retry_after_s=retry_after_s)
    if status >= 500 or status in BUSY_STATUSES:
        return ProviderUnavailableError(f"the provider answered {status}", status=status)
    if status >= 400:
        words = (
            without(said[:MAX_SAID_CHARACTERS], secrets)[:MAX_MESSAGE_CHARACTERS] or f"the provider answered {status}"
        )
        return ProviderRejectedError(words, status=status)
    return ProviderProtocolError(f"the provider answered {status}, which is no chat", status=status)


def failure_in_answer(error: object, *, secrets: Iterable[str]) -> ProviderError:
    """The error for an answer with status 200 whose body, or first event, is an error object."""
    code = error.get("code") if isinstance(error, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        status = code
    elif "rate_limit" in f"{kind} {code}":
        status = RATE_LIMITED
    elif kind == "invalid_request_error":
        status = 400
    else:
        return ProviderUnavailableError("the provider answered with an error", status=200)
    return failure(status, {}, json.dumps({"error": error}).encode(), secrets=secrets)


def message_in(body: bytes) -> str:
    """The message of an error body, in whichever of the known forms it is; empty if it has none."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    for key in ("error", "message", "detail"):
        value = found.get(key) if isinstance(found, dict) else None
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list) and value:
            value = value[0].get("msg") if isinstance(value[0], dict) else value[0]
        if isinstance(value, str):
            return value
    return ""


def without(text: str, secrets: Iterable[str]) -> str:
    """`text`, with "[...]" wherever it quotes a secret or a longer part of one."""
    is_quoted = [False] * len(text)
    for secret in secrets:
        width = min(len(secret), QUOTED_CHARACTERS)
        if width < MIN_SECRET_CHARACTERS:
            continue
        for start in range(len(text) - width + 1):
            if text[start : start + width] in secret:
                is_quoted[start : start + width] = [True] * width
    stretches = groupby(zip(text, is_quoted, strict=True), key=lambda pair: pair[1])
    return "".join(
        "[...]" if quoted else "".join(character for character, _ in stretch) for quoted, stretch in stretches
    )


def retry_after(headers: Mapping[str, str], message: str, now: datetime) -> float | None:
    """Seconds to wait: from `retry-after-ms`, `retry-after` (seconds or HTTP date), or the message, in this order."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    if value is not None:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            pass  # neither a number nor a date: the message may know more
        else:
            return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    found = TRY_AGAIN.search(message)
    if found is None:
        return None
    return sum(float(number) * UNIT_S[unit] for number, unit in DURATION_PART.findall(found[1]))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
