"""Figures as people read them. Pure."""

from datetime import date, datetime, timedelta, tzinfo

_CENT = 0.01


def dollars(usd: float) -> str:
    """$3.13; what is something is never $0.00."""
    if 0 < usd < _CENT:
        return "<$0.01"
    return f"${usd:,.2f}"


def count(number: float) -> str:
    """9,600, 188 k, 30.7 M."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:,.1f} {letter}"
    if number >= 1e5:
        return f"{number / 1e3:,.0f} k"
    return f"{number:,.0f}"


def percent(value: float) -> str:
    """63 %; what is something is never 0 %."""
    if 0 < value < 1:
        return "<1 %"
    # Not rounded up: 100 % is used up.
    return f"{int(value):,} %"


def counted(number: int, one: str, many: str) -> str:
    """1 request, 12 requests."""
    return f"{count(number)} {one if number == 1 else many}"


def change(now: float, before: float) -> str:
    """How a figure differs from the one before it."""
    if not before:
        return "none the day before" if now else "as the day before"
    difference = round(100 * (now - before) / before)
    if difference == 0:
        return "as the day before"
    return f"{abs(difference):,} % {'more' if difference > 0 else 'less'} than the day before"


def long_day(text: str) -> str:
    """Thursday, 26 November 2026."""
    day = date.fromisoformat(text)
    return f"{day:%A}, {day.day} {day:%B %Y}"


def short_day(text: str) -> str:
    """26 Nov."""
    day = date.fromisoformat(text)
    return f"{day.day} {day:%b}"


def at(text: str, zone: tzinfo) -> str:
    """1 Dec, 00:00; of a moment in ISO 8601, by the clock of a zone."""
    # To the minute, up: at 09:59:59.9 it is not free yet.
    moment = datetime.fromisoformat(text).astimezone(zone) + timedelta(seconds=59)
    return f"{moment.day} {moment:%b, %H:%M}"
