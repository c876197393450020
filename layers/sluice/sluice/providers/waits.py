"""How long a provider asks to be left alone, in whichever way it says so. Pure."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sluice.providers.error_body import ErrorBody

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT = r"(?:milli(?:second)?s?|msecs?|sec(?:ond)?s?|min(?:ute)?s?|hours?|hrs?|days?|ns|us|µs|μs|ms|s|m|h|d)"
_NUMBER = r"\d{1,18}(?:\.\d{1,18})?"
_PART = re.compile(rf"({_NUMBER})\s?({_UNIT})(?![a-zµμ])", re.IGNORECASE)
_DURATION = rf"{_NUMBER}\s?{_UNIT}(?![a-zµμ])(?:(?:,|\s|and\s){{0,3}}{_NUMBER}\s?{_UNIT}(?![a-zµμ])){{0,5}}"
_WHOLE = re.compile(_DURATION, re.IGNORECASE)
_ASKED = (
    r"(?:(?:re)?try(?:ing)?(?:\s(?:again|it|your request|the request|this request))?\s(?:in|after)"
    r"|(?:available|resets?|reset again|lifted)(?:\sagain)?\s(?:in|after)"
    r"|wait(?:ing)?(?:\s(?:for|at least|about|another))*"
    r"|retry[-_ ]?(?:after|delay|in))"
)
# Groq: "Please try again in 1m26.4s"; Azure: "Please retry after 26 seconds"; Gemini: "Please retry in 38.1s".
_SAID = re.compile(rf"{_ASKED}[\s\"':=]{{0,4}}(?:({_DURATION})|({_NUMBER})(?![\w-]|\.\d))", re.IGNORECASE)
_SAID_MOMENT = re.compile(r"\b(?:at|after|until)\s(\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]{0,12}(?:Z|[+-]\d\d:?\d\d)?)")

_AFTER = ("retry-after", "x-retry-after", "retry_after", "retryafter", "retry-after-seconds", "retry_after_seconds")
_AFTER_MS = ("retry-after-ms", "x-ms-retry-after-ms", "retry_after_ms", "retryafterms")
_IN_BODY = ("retrydelay", "retry_delay", "estimated_time")
_RESETS = re.compile(
    r"(?:x-ratelimit|x-rate-limit|ratelimit|anthropic-ratelimit)(?:-([a-z-]+?))??-reset(?:-([a-z-]+))?"
)
# Nobody asks for a wait of thirty years: such a number is a moment, in seconds or milliseconds since 1970.
_EPOCH_S = 1e9
_EPOCH_MS = 1e11


def wait_s(headers: Mapping[str, str], said: ErrorBody, now: datetime, *, is_limit: bool = True) -> float | None:
    """Seconds to wait, None if the provider names none.

    In this order: `retry-after-ms`, `retry-after` (seconds, a date, a duration, a moment since 1970), the same in the
    body with Gemini's `retryDelay` and Hugging Face's `estimated_time`, the message, and, if a limit is the reason, the
    headers that say when limits are reset, of those that are used up if any is.
    """
    for source in (headers, said.fields):
        for name in _AFTER_MS:
            if (milliseconds := _number(source.get(name))) is not None:
                return _until_s(milliseconds, now) if milliseconds > _EPOCH_MS else milliseconds / 1000
        for name in (*_AFTER, *_IN_BODY):
            if (seconds := _wait_in(source.get(name), now)) is not None:
                return seconds
    if (seconds := _wait_said(said.text, now)) is not None:
        return seconds
    if not is_limit:
        return None
    if (seconds := _reset_s(headers, now)) is not None:
        return seconds
    return _reset_s({name: str(value) for name, value in said.fields.items()}, now)


def duration_s(text: str) -> float | None:
    """Seconds in `1m26.4s`, `500ms`, `2 hours, 5 minutes`; None if it is no duration."""
    if not _WHOLE.fullmatch(text.strip()):
        return None
    return sum(float(number) * _unit_s(unit) for number, unit in _PART.findall(text))


def _unit_s(unit: str) -> float:
    name = unit.lower()
    if name in _UNITS_S:
        return _UNITS_S[name]
    return _UNITS_S["ms" if name.startswith(("milli", "msec")) else name[0]]


def _wait_in(value: object, now: datetime) -> float | None:
    if (number := _number(value)) is not None:
        return _until_s(number, now) if number > _EPOCH_S else number
    if not isinstance(value, str):
        return None
    # A header that was sent twice, as by a server and a proxy in front of it.
    numbers = [_number(part) for part in value.split(",")]
    if len(numbers) > 1 and None not in numbers:
        return max(seconds for part in value.split(",") if (seconds := _wait_in(part, now)) is not None)
    seconds = duration_s(value)
    return seconds if seconds is not None else _moment_s(value, now)


def _until_s(moment: float, now: datetime) -> float:
    since_1970_s = moment / 1000 if moment > _EPOCH_MS else moment
    return max(0.0, since_1970_s - now.timestamp())


def _moment_s(text: str, now: datetime) -> float | None:
    """Seconds until a date, as HTTP or as RFC 3339 writes it."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text.strip())
        except (ValueError, OverflowError, TypeError, IndexError):
            continue  # a date in another form, or none
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    return None


def _wait_said(text: str, now: datetime) -> float | None:
    found = _SAID.search(text)
    if found is not None:
        return duration_s(found[1]) if found[1] else _wait_in(found[2], now)
    moment = _SAID_MOMENT.search(text)
    return _moment_s(moment[1], now) if moment else None


def _reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    waits: list[float] = []
    used_up: list[float] = []
    for name in headers:
        kind = _RESETS.fullmatch(name.lower())
        if kind is None or (seconds := _wait_in(headers[name], now)) is None:
            continue
        waits.append(seconds)
        remaining = headers.get(name.lower().replace("reset", "remaining").removesuffix("-after"))
        if _number(remaining) == 0:
            used_up.append(seconds)
    if used_up:
        return max(used_up)
    return min(waits, default=None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
