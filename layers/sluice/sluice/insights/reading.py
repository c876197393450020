"""Reads what dashboards send: values beside their means, lists of values, series of moments and values. Pure.

What can't be judged is left out, for a reason in words; what is too much is refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sluice.errors import InvalidRequestError
from sluice.insights.ratios import LEAST_VALUES
from sluice.insights.series import PACES, Direction, Measured, Series
from sluice.loading.dataclass import dataclass
from sluice.tenants.time_zone import time_zone

MOST_SERIES, MOST_POINTS, MOST_POINTS_TOGETHER = 50, 5_000, 20_000
"""So much is taken in one request."""
_MOST_NAME = 128
_MOST_VALUE = 1e15
_MOST_GAP = 10
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_MOST_SECONDS = 1e11
"""A number beyond it is in milliseconds: in seconds it would be of the year 5138."""
_HOUR = timedelta(hours=1)
_WEEK_DAYS = 7
_DAY_S = 86_400
_MEASURED: tuple[Measured, ...] = ("count", "amount")
_DIRECTIONS: tuple[Direction, ...] = ("up", "down")
_LEAST_FOR_STATISTICS = PACES["step"].least

type Timed = Literal["hour", "day", "week"]


class UnreadableError(Exception):
    """Why a series can't be judged."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A value now, and the mean of the past."""

    name: str
    current: float
    historical_average: float


@dataclass(frozen=True, slots=True)
class ShortList:
    """A few values, the oldest first: too few for statistics."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A series that was not judged, and why."""

    series: str
    reason: str


type Read = Snapshot | ShortList | Series


def read_all(given: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> tuple[list[Read], list[Skipped]]:
    """All that was sent. Raises InvalidRequestError if it is too much."""
    _check_size(given)
    found, skipped = list[Read](), list[Skipped]()
    for name, value in given.items():
        try:
            found.append(_read(name, value, zone, now))
        except UnreadableError as error:
            skipped.append(Skipped(name, str(error)))
    return found, skipped


def _check_size(given: Mapping[str, Any]) -> None:
    if len(given) > MOST_SERIES:
        raise InvalidRequestError(f"There are {len(given)} series; at most {MOST_SERIES} are taken at once.")
    together = 0
    for name, value in given.items():
        if not 0 < len(name) <= _MOST_NAME:
            raise InvalidRequestError(f"A series' name has 1 to {_MOST_NAME} characters; one has {len(name)}.")
        count = len(points) if isinstance(points := _points(value), list) else 0
        together += count
        if count > MOST_POINTS:
            raise InvalidRequestError(
                f"{name}: there are {count:,} points; at most {MOST_POINTS:,} are taken of one. Send sums of days.",
                param=name,
            )
    if together > MOST_POINTS_TOGETHER:
        raise InvalidRequestError(
            f"There are {together:,} points; at most {MOST_POINTS_TOGETHER:,} are taken at once. Ask for fewer series."
        )


def _points(value: Any) -> Any:
    return value.get("points") if isinstance(value, dict) else value


def _read(name: str, value: Any, zone: ZoneInfo, now: datetime) -> Read:
    if isinstance(value, list):
        return _list(name, value)
    if isinstance(value, dict) and "points" in value:
        return _timed(name, value, zone, now)
    if isinstance(value, dict) and value.keys() >= {"current", "historical_avg"}:
        current, average = _number(value["current"], "current"), _number(value["historical_avg"], "historical_avg")
        if current is None or average is None or average <= 0:
            raise UnreadableError("historical_avg has to be above 0 for a ratio to it, and current a number.")
        return Snapshot(name, current, average)
    raise UnreadableError("It is neither a list of numbers, nor points, nor current and historical_avg.")


def _list(name: str, given: Sequence[Any]) -> ShortList | Series:
    values = [_number(each, f"value {place}") for place, each in enumerate(given)]
    known = [each for each in values if each is not None]
    if len(known) < LEAST_VALUES:
        raise UnreadableError(f"There are {len(known)} values; {LEAST_VALUES} are the least.")
    if len(values) < _LEAST_FOR_STATISTICS:
        if len(known) < len(values):
            raise UnreadableError("Of so few values none may be missing.")
        if sum(known[:2]) <= 0:
            raise UnreadableError("The first two values have to be above 0 together for a ratio to them.")
        return ShortList(name, known)
    return Series(name=name, interval="step", measured=_measured(known), values=values)


def _timed(name: str, given: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> Series:
    if not isinstance(points := given["points"], list) or not points:
        raise UnreadableError("points should be a list of objects with time and value, and not empty.")
    zone = _zone(given.get("time_zone"), zone)
    by_moment = dict[datetime, float | None]()
    for place, point in enumerate(points):
        if not isinstance(point, dict) or "time" not in point or "value" not in point:
            raise UnreadableError(f"Point {place} should be an object with time and value.")
        moment = _moment(point["time"], zone, place).astimezone(UTC)
        if moment in by_moment:
            raise UnreadableError(f"There are two values for {moment.isoformat()}: send their sum.")
        by_moment[moment] = _number(point["value"], f"the value of point {place}")
    interval = _interval(given.get("interval"), sorted(by_moment))
    series = _bucketed(name, by_moment, interval, zone, now)
    known = [value for value in series.values if value is not None]
    measured = _said(given.get("measured"), _MEASURED) or _measured(known)
    if measured == "count" and min(known, default=0.0) < 0:
        raise UnreadableError("A count is never below 0: these are amounts.")
    return replace(
        series,
        measured=measured,
        worse=_said(given.get("worse"), _DIRECTIONS),
        unit=str(given.get("unit") or "")[:32],
        least=_number(given.get("least"), "least") or 0.0,
    )


def _bucketed(
    name: str, by_moment: Mapping[datetime, float | None], interval: Timed, zone: ZoneInfo, now: datetime
) -> Series:
    """Values in buckets without a gap, those that have ended alone."""
    first, placed = min(by_moment).astimezone(zone), dict[int, float | None]()
    for moment, value in sorted(by_moment.items()):
        place = _place(moment.astimezone(zone), first, interval)
        if place in placed:
            start = _start(first, place, interval).isoformat()
            raise UnreadableError(f"There are two values for the {interval} of {start}: send their sum.")
        placed[place] = value
    count = max(placed) + 1
    if count > max(MOST_POINTS, len(placed) * _MOST_GAP):
        raise UnreadableError(f"From the first to the last there are {count:,} {interval}s for {len(placed):,} values.")
    while count and _start(first, count, interval) > now:
        count -= 1
    if not count:
        raise UnreadableError(f"No {interval} of it has ended yet.")
    return Series(
        name=name,
        interval=interval,
        measured="amount",
        values=[placed.get(place) for place in range(count)],
        starts=[_start(first, place, interval) for place in range(count)],
    )


def _place(moment: datetime, first: datetime, interval: Timed) -> int:
    """How many buckets after the first one a moment is in."""
    if interval == "hour":
        return (moment.astimezone(UTC) - _start(first, 0, interval).astimezone(UTC)) // _HOUR
    days = (moment.date() - first.date()).days
    return days // _WEEK_DAYS if interval == "week" else days


def _start(first: datetime, place: int, interval: Timed) -> datetime:
    """When the bucket begins that is so many after that of the first moment; weeks as its day does."""
    if interval == "hour":
        past = timedelta(minutes=first.minute, seconds=first.second, microseconds=first.microsecond)
        return (first.astimezone(UTC) - past + place * _HOUR).astimezone(first.tzinfo)
    days = place * (_WEEK_DAYS if interval == "week" else 1)
    return datetime.combine(first.date() + timedelta(days=days), time.min, first.tzinfo)


def _interval(said: Any, moments: Sequence[datetime]) -> Timed:
    named: Timed | None = _said(said, ("hour", "day", "week"))
    if said is not None and named is None:
        raise UnreadableError("interval should be hour, day or week.")
    if named is not None:
        return named
    apart = [(after - before).total_seconds() for before, after in pairwise(moments)]
    if not apart:
        raise UnreadableError("One point alone says nothing: send at least four weeks of them.")
    nearest = sorted(apart)[len(apart) // 4]
    if nearest <= _HOUR.total_seconds():
        return "hour"
    return "week" if round(nearest / _DAY_S) >= _WEEK_DAYS else "day"


def _moment(given: Any, zone: ZoneInfo, place: int) -> datetime:
    try:
        if isinstance(given, str):
            moment = datetime.fromisoformat(given)
            moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
        else:
            seconds = _number(given, f"the time of point {place}")
            if seconds is None:
                raise UnreadableError(f"Point {place} has no time.")
            moment = datetime.fromtimestamp(seconds / 1000 if abs(seconds) > _MOST_SECONDS else seconds, UTC)
            moment = moment.astimezone(zone)
    except (ValueError, OverflowError, OSError):
        raise UnreadableError(
            f"The time of point {place} should be as 2026-11-26, 2026-11-26T14:00Z or seconds since 1970."
        ) from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise UnreadableError(f"The time of point {place} should be between {_FIRST_YEAR} and {_LAST_YEAR}.")
    return moment


def _zone(given: Any, usual: ZoneInfo) -> ZoneInfo:
    if given is None:
        return usual
    try:
        return time_zone(str(given)[:_MOST_NAME])
    except ValueError as error:
        raise UnreadableError(f"time_zone: {error}.") from None


def _number(given: Any, what: str) -> float | None:
    """A number of a size that can be worked with; None for null."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise UnreadableError(f"{what} should be a number or null.")
    if abs(given) > _MOST_VALUE or not math.isfinite(given):
        raise UnreadableError(f"{what} should be between -1e15 and 1e15.")
    return float(given)


def _measured(known: Sequence[float]) -> Measured:
    return "count" if all(value >= 0 and value.is_integer() for value in known) else "amount"


def _said[Word: str](given: Any, words: Sequence[Word]) -> Word | None:
    return next((word for word in words if given == word), None)
