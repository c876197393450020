"""Words for a wait, as a person reads them. Pure."""

from datetime import UTC, datetime, timedelta

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
# A unit is used from one and a half of it on.
_FROM = 1.5
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def in_words(wait_s: int, now: datetime | None = None) -> str:
    """`38 seconds`, `12 minutes`, `5 hours, at 18:20 UTC`, `6 days, on 1 December at 00:00 UTC`; rounded up."""
    if wait_s < _FROM * _MINUTE_S:
        return _counted(wait_s, "second")
    if wait_s < _FROM * _HOUR_S:
        return _counted(-(-wait_s // _MINUTE_S), "minute")
    until = _next_minute((now or datetime.now(UTC)).astimezone(UTC) + timedelta(seconds=wait_s))
    if wait_s < _FROM * _DAY_S:
        return f"{_counted(-(-wait_s // _HOUR_S), 'hour')}, at {until:%H:%M} UTC"
    return f"{_counted(-(-wait_s // _DAY_S), 'day')}, on {until.day} {_MONTHS[until.month - 1]} at {until:%H:%M} UTC"


def _next_minute(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
