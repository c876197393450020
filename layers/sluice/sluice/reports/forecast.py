"""What will be used, from what was used hour by hour, and how far such forecasts were off. Pure.

An hour is expected to be like the same hour of the same weekday, by the clock of the time zone, in the four weeks
before: the last week counts four times, the fourth once. Where there are not yet two such hours it is like the same
hour of the days there are, if these are two; else like the mean of all hours since the first that was used. A
seasonal mean is the baseline that other methods have to beat.

Source: R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, section 5.2.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sluice.loading.dataclass import dataclass
from sluice.reports.local_day import HOUR, LocalDay, hours_between

WEEKS = 4
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_LEAST = 2
# So many forecasts of the past are compared with what came.
_ORIGINS = 7

type Method = Literal["hour of week", "hour of day", "mean", "none"]
"""How most of the hours were forecast."""

_SEASONS: tuple[tuple[timedelta, Method], ...] = ((_WEEK, "hour of week"), (_DAY, "hour of day"))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected from now to `end`, and with what was `used` before."""

    expected: float
    used: int
    method: Method
    end: datetime
    exceeds_at: datetime | None = None
    """When the capacity will be used up; None: not before the end."""

    @property
    def total(self) -> float:
        """What will have been used at the end."""
        return self.used + self.expected


@dataclass(frozen=True, slots=True)
class History:
    """What was used by UTC hour, up to `until`: an hour that is not there used nothing."""

    by_hour: Mapping[datetime, int]
    until: datetime
    zone: ZoneInfo

    def before(self, moment: datetime) -> "History":
        """What was known at an earlier moment."""
        return History({hour: used for hour, used in self.by_hour.items() if hour < moment}, moment, self.zone)

    def used(self, start: datetime, end: datetime) -> int:
        """What was used from `start` until before `end`."""
        return sum(self.by_hour.get(hour, 0) for hour in hours_between(start, end))

    @property
    def first(self) -> datetime | None:
        """The first hour that anything was used in."""
        return min((hour for hour, used in self.by_hour.items() if used), default=None)


def forecast(history: History, end: datetime, *, used: int = 0, capacity: int | None = None) -> Forecast:
    """What will be used from the end of the history to `end`, of a window that has `used` so much before."""
    expected, methods = 0.0, Counter[Method]()
    exceeds_at = None
    if capacity is not None and used >= capacity:
        exceeds_at = history.until
    profile = _Profile(history)
    for hour in hours_between(history.until, end):
        value, method = profile.expect(hour)
        expected += value
        methods[method] += 1
        if capacity is not None and exceeds_at is None and used + expected >= capacity:
            exceeds_at = hour
    [(most, _)] = methods.most_common(1) or [("none", 0)]
    return Forecast(expected, used, most, end, exceeds_at)


def past_error_percent(history: History, days: int = 1) -> float | None:
    """By how many percent forecasts of so many days were off in the past: all deviations by all that was used.

    That is the weighted absolute percentage error of the last seven forecasts that can be compared, each made at a
    midnight from what was known then. None without two of them, or if nothing was used.
    """
    first = history.first
    if first is None:
        return None
    deviation, actual, compared = 0.0, 0, 0
    # As of the last midnight before the history ends.
    origin = LocalDay.of(history.until, history.zone)
    for _ in range(days):
        origin = origin.before
    for _ in range(_ORIGINS):
        # A forecast from nothing says nothing of the method.
        if origin.start <= first:
            break
        target = origin
        for _ in range(days - 1):
            target = LocalDay(target.day + _DAY, target.zone)
        came = history.used(origin.start, target.end)
        deviation += abs(forecast(history.before(origin.start), target.end).expected - came)
        actual += came
        compared += 1
        origin = origin.before
    if compared < _LEAST or actual == 0:
        return None
    return 100 * deviation / actual


class _Profile:
    """What hours are expected to use, from a history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._first = history.first
        hours = 0 if self._first is None else (history.until - self._first) // HOUR
        self._mean = sum(history.by_hour.values()) / hours if hours else None

    def expect(self, hour: datetime) -> tuple[float, Method]:
        """What an hour after the history is expected to use, and how that was found."""
        if self._first is None or self._mean is None:
            return 0.0, "none"
        for step, method in _SEASONS:
            like = self._like(hour, step)
            if len(like) >= _LEAST:
                weights = range(WEEKS, 0, -1)
                pairs = list(zip(weights, like, strict=False))
                return sum(weight * used for weight, used in pairs) / sum(weight for weight, _ in pairs), method
        return self._mean, "mean"

    def _like(self, hour: datetime, step: timedelta) -> list[int]:
        """What the last hours used that lie whole steps before, by the local clock, latest first."""
        local = hour.astimezone(self._history.zone)
        found: list[int] = []
        # The same hour of the week before may lie after the history, where the forecast is of a month.
        for number in range(1, 64):
            # Arithmetic of aware times in a zone is that of its clock; back in UTC, hours stay hours of the table.
            past = (local - number * step).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            if past < (self._first or past):
                break
            if past < self._history.until:
                found.append(self._history.by_hour.get(past, 0))
            if len(found) == WEEKS:
                break
        return found
