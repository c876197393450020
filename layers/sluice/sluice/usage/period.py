"""The days that a report of usage is about."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sluice.errors import InvalidRequestError

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
