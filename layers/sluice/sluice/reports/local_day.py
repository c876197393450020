"""Days as a tenant's time zone has them, in the hours that usage is summed by. Pure.

Usage is kept by UTC hours. An hour belongs to the local day that it begins in: where a zone is half an hour off, as
India's, half of the hour around midnight is the day before's.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sluice.loading.dataclass import dataclass

HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A day in a time zone: 23, 24 or 25 hours, as the clocks there are changed."""

    day: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """Its first hour, in UTC."""
        return _first_hour(self.day, self.zone)

    @property
    def end(self) -> datetime:
        """The first hour of the day after, in UTC."""
        return _first_hour(self.day + _DAY, self.zone)

    @property
    def before(self) -> "LocalDay":
        """The day before."""
        return LocalDay(self.day - _DAY, self.zone)

    def hours(self) -> Iterator[datetime]:
        """All hours of it, in UTC."""
        return hours_between(self.start, self.end)

    @classmethod
    def of(cls, hour: datetime, zone: ZoneInfo) -> "LocalDay":
        """The day that an hour begins in."""
        return cls(hour.astimezone(zone).date(), zone)


def last_ended(now: datetime, zone: ZoneInfo) -> LocalDay:
    """The last day all of whose hours are over at `now`."""
    return LocalDay.of(now.astimezone(UTC).replace(minute=0, second=0, microsecond=0), zone).before


def hours_between(start: datetime, end: datetime) -> Iterator[datetime]:
    """The hours from `start` until before `end`."""
    while start < end:
        yield start
        start += HOUR


def _first_hour(day: date, zone: ZoneInfo) -> datetime:
    # Where clocks are put forward at midnight there is no such moment: this is when the day begins all the same.
    midnight = datetime.combine(day, time.min, zone).astimezone(UTC)
    hour = midnight.replace(minute=0, second=0, microsecond=0)
    return hour if hour == midnight else hour + HOUR
