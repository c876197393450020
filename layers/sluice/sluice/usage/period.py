"""The days, or hours, that a report of usage is about."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass

MOST_DAYS = 92
"""How many days one report may span: each is a Query at least."""


def _day(text: object) -> object:
    # Pydantic would take a number for the seconds since 1970.
    try:
        return date.fromisoformat(text) if isinstance(text, str) else text
    except ValueError:
        raise ValueError("Input should be a date such as 2026-11-21") from None


type _Day = Annotated[date, BeforeValidator(_day)]


class UsageQuery(BaseModel):
    """The query of a report: UTC days, both included; without them, the month so far. `tenant` is for admins."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    first: _Day | None = Field(default=None, alias="from")
    last: _Day | None = Field(default=None, alias="to")
    tenant: Annotated[str, Field(max_length=63)] | None = None

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last day. InvalidRequestError if there is none, or more than MOST_DAYS."""
        last = self.last or (max(today, self.first) if self.first else today)
        first = self.first or last.replace(day=1)
        if first > last:
            raise InvalidRequestError(f"from: {first} is after {last}, the last day.", param="from")
        if (last - first).days >= MOST_DAYS:
            days = (last - first).days + 1
            raise InvalidRequestError(
                f"from: {first} to {last} are {days} days; at most {MOST_DAYS} fit.", param="from"
            )
        return first, last


type LastDays = Literal["1d", "7d", "30d", "90d"]
"""So many times 24 hours, up to now."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, UTC, that begins with an hour."""

    start: datetime
    end: datetime

    @classmethod
    def of_days(cls, first: date, last: date) -> "Span":
        """Whole days, both included."""
        return cls(datetime.combine(first, time.min, UTC), datetime.combine(last + timedelta(days=1), time.min, UTC))

    @classmethod
    def of_last(cls, days: LastDays, now: datetime) -> "Span":
        """The last days up to `now`, from the beginning of the hour on."""
        start = now.astimezone(UTC) - timedelta(days=int(days.removesuffix("d")))
        return cls(start.replace(minute=0, second=0, microsecond=0), now.astimezone(UTC))

    @property
    def days(self) -> list[date]:
        """The days that it touches."""
        first, last = self.start.date(), (self.end - timedelta(microseconds=1)).date()
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]

    def covers(self, day: date, hour: int) -> bool:
        """Whether an hour that began on one of its days is part of it."""
        return self.start <= datetime.combine(day, time(hour), UTC) < self.end

    def shown(self) -> tuple[str, str]:
        """Its beginning and its end in ISO 8601."""
        start, end = (each.isoformat(timespec="seconds").replace("+00:00", "Z") for each in (self.start, self.end))
        return start, end
