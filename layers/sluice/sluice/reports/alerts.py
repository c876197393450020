"""Alerts of limits that are nearly or wholly used up: what is said, to whom it matters, once a window. Pure.

The event that leaves is described by docs/quota-alert.schema.json. What the ledger sees while it reserves, it marks and
counts by the same percentages and windows: see quota/status.py.
"""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypedDict

from sluice.catalog.money import to_usd
from sluice.quota.limits import BUDGET
from sluice.quota.status import alert_period, reached_percentage
from sluice.reports.material import Counted, moment
from sluice.reports.report import Unit
from sluice.reports.standing import percentage_of, unit_of

SOURCE, KIND = "sluice", "Quota Alert"
"""How EventBridge is told of an alert."""
_USED_UP = 100
_UNITS = {"requests": "requests", "tokens": "tokens", "characters": "characters"}
_LIMITS = {
    "requests_per_day": "requests a day",
    "tokens_per_day": "tokens a day",
    "characters_per_month": "characters a month",
    BUDGET: "budget of the month",
}


class QuotaAlert(TypedDict):
    """The detail of an event."""

    version: Literal[1]
    id: str
    stack: str
    of: Literal["tenant", "key", "user", "deployment"]
    subject: str
    name: str | None
    tenant: str | None
    limit: str
    unit: Unit
    percentage: int
    used: float
    capacity: float
    used_percent: float
    window: str
    turns_at: str
    is_blocked: bool
    found_at: str
    text: str


def alert(counted: Counted, now: datetime, stack: str) -> QuotaAlert | None:
    """The alert that there is reason for, whether it was given or not. A limit of nothing is there on purpose."""
    limit, status = counted.limit, counted.status
    window = window_of(counted, now)
    if window is None or not status.capacity:
        return None
    reached = _USED_UP if status.used >= status.capacity else reached_percentage(status)
    if reached is None:
        return None
    name = "budget_usd_per_month" if limit.name == BUDGET else limit.name
    turns_at = now + timedelta(milliseconds=status.resets_in_ms)
    identity = "/".join((stack, counted.of, counted.id, name, window, str(reached)))
    divisor = 1e9 if limit.name == BUDGET else 1
    return {
        "version": 1,
        "id": hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
        "stack": stack,
        "of": counted.of,
        "subject": counted.id,
        "name": counted.name,
        "tenant": counted.selects.get("tenant"),
        "limit": name,
        "unit": unit_of(limit),
        "percentage": reached,
        "used": status.used / divisor,
        "capacity": status.capacity / divisor,
        "used_percent": percentage_of(status),
        "window": window,
        "turns_at": moment(turns_at),
        "is_blocked": reached == _USED_UP,
        "found_at": moment(now),
        "text": _text(counted, turns_at, is_used_up=reached == _USED_UP),
    }


def window_of(counted: Counted, now: datetime) -> str | None:
    """The UTC month or day that a limit is alerted of once in: 2026-11 or 2026-11-26."""
    period = alert_period(counted.limit, int(now.timestamp() * 1000))
    if period is None:
        return None
    if counted.limit.name.endswith("_month"):
        return f"{period // 12:04}-{period % 12 + 1:02}"
    return (date(1970, 1, 1) + timedelta(days=period)).isoformat()


def _text(counted: Counted, turns_at: datetime, *, is_used_up: bool) -> str:
    """What a person reads."""
    limit, status = counted.limit, counted.status
    if limit.name == BUDGET:
        amounts = f"${to_usd(status.used):.2f} of ${to_usd(status.capacity):.2f}"
    else:
        amounts = f"{status.used:,} of {status.capacity:,} {_UNITS[unit_of(limit)]}"
    whose = f"{counted.of} {counted.id}"
    what = _LIMITS.get(limit.name, limit.name.replace("_", " "))
    until = f"{turns_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if is_used_up:
        return f"Used up, {whose}: {what}, {amounts}. What it has no room for is refused until it is free, by {until}."
    return f"{percentage_of(status):.0f} % used, {whose}: {what}, {amounts}. All of it is free again by {until}."
