"""Series for tests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sluice.insights.series import Interval, Measured, Series, later

UTC_ZONE = ZoneInfo("UTC")
MONDAY = datetime(2026, 9, 7, tzinfo=UTC_ZONE)
WEEK = (100, 110, 120, 105, 95, 40, 30)


def daily(
    values: Sequence[float | None], *, first: datetime = MONDAY, measured: Measured = "count", **more: Any
) -> Series:
    """A value a day."""
    return timed("day", values, first=first, measured=measured, **more)


def timed(
    interval: Interval,
    values: Sequence[float | None],
    *,
    first: datetime = MONDAY,
    measured: Measured = "count",
    **more: Any,
) -> Series:
    """A value a bucket."""
    starts = [later(first, interval, place) for place in range(len(values))]
    given: dict[str, Any] = {"name": "orders", "unit": "orders", "least": 10.0, **more}
    return Series(interval=interval, measured=measured, values=values, starts=starts, **given)


def usual(days: int) -> list[float | None]:
    """Days as they are in most weeks, with a little variation."""
    return [WEEK[day % 7] + (day * 7 % 5) - 2 for day in range(days)]
