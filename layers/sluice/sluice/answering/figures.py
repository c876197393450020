"""Figures of usage: what a plan asks for, added up from the hours of usage. Pure.

Every number of an answer is a figure, or was written in a document. A figure knows what it is of and which days it
means, and has its exact value beside the text that shows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from sluice.answering.periods import Period
from sluice.answering.plan import Dimension, Filter, Measure
from sluice.catalog.money import to_usd
from sluice.loading.dataclass import dataclass
from sluice.reports.local_day import LocalDay
from sluice.usage.sums import UsageSum, Use

type Unit = Literal["usd", "requests", "tokens", "percent", "milliseconds", "tokens_per_request", "count"]

UNITS: Mapping[Measure, Unit] = {
    Measure.COST: "usd",
    Measure.REQUESTS: "requests",
    Measure.TOKENS: "tokens",
    Measure.PROMPT_TOKENS: "tokens",
    Measure.COMPLETION_TOKENS: "tokens",
    Measure.CACHE_HITS: "requests",
    Measure.CACHE_HIT_RATE: "percent",
    Measure.ERRORS: "requests",
    Measure.ERROR_RATE: "percent",
    Measure.RESPONSE_TIME: "milliseconds",
    Measure.COST_PER_REQUEST: "usd",
    Measure.TOKENS_PER_REQUEST: "tokens_per_request",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value, and how it is shown. `value` is None where there is nothing to divide by. `of` says what it is of."""

    name: str
    value: Decimal | None
    unit: Unit
    period: Period | None = None
    of: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The value as people read it."""
        return shown(self.value, self.unit)


def shown(value: Decimal | None, unit: Unit) -> str:
    """A value as people read it: from a dollar on in cents, else to a millionth of one."""
    if value is None:
        return "none"
    if unit == "usd":
        return f"-{_dollars(-value)}" if value < 0 else _dollars(value)
    if unit == "percent":
        return f"{value:,.1f} %"
    if unit == "milliseconds":
        return f"{round(value):,} ms"
    if value == value.to_integral_value() and unit != "tokens_per_request":
        return f"{int(value):,}"
    return f"{value:,.1f}"


def _dollars(value: Decimal) -> str:
    if value >= 1:
        return f"${value:,.2f}"
    text = f"{value:.6f}".rstrip("0") if value >= Decimal("0.000001") or not value else f"{value:.9f}".rstrip("0")
    return f"${text}" if len(text.partition(".")[2]) >= 2 else f"${value:.2f}"


def measured(use: Use, measure: Measure) -> Decimal | None:
    """What a measure is of some use; None for a mean of nothing."""
    tokens = use.prompt_tokens + use.completion_tokens
    sums: Mapping[Measure, Decimal] = {
        Measure.COST: to_usd(use.cost_nanousd),
        Measure.REQUESTS: Decimal(use.requests),
        Measure.TOKENS: Decimal(tokens),
        Measure.PROMPT_TOKENS: Decimal(use.prompt_tokens),
        Measure.COMPLETION_TOKENS: Decimal(use.completion_tokens),
        Measure.CACHE_HITS: Decimal(use.cache_hits),
        Measure.ERRORS: Decimal(use.errors),
    }
    if measure in sums:
        return sums[measure]
    if not use.requests:
        return None
    means: Mapping[Measure, Decimal] = {
        Measure.CACHE_HIT_RATE: Decimal(100 * use.cache_hits),
        Measure.ERROR_RATE: Decimal(100 * use.errors),
        Measure.RESPONSE_TIME: Decimal(use.response_time_ms),
        Measure.COST_PER_REQUEST: to_usd(use.cost_nanousd),
        Measure.TOKENS_PER_REQUEST: Decimal(tokens),
    }
    return means[measure] / use.requests


@dataclass(frozen=True, slots=True)
class UsageOfPeriods:
    """Sums of usage, and the zone whose days are meant."""

    sums: Sequence[UsageSum]
    zone: ZoneInfo

    def total(self, period: Period, filters: Iterable[Filter] = ()) -> Use:
        """What was used in a period by what the filters let count."""
        return sum((each.use for each in self._of(period, filters)), Use())

    def groups(self, period: Period, dimension: Dimension, filters: Iterable[Filter] = ()) -> dict[str, Use]:
        """The same by the values of a dimension. Of days there are all, also those without use."""
        found = {day.isoformat(): Use() for day in _days(period)} if dimension == "day" else {}
        for each in self._of(period, filters):
            value = self._value(each, dimension)
            found[value] = found.get(value, Use()) + each.use
        return found

    def _of(self, period: Period, filters: Iterable[Filter]) -> Iterable[UsageSum]:
        start, end = hours(period, self.zone)
        wanted = tuple(filters)
        for each in self.sums:
            if start <= _hour(each) < end and all(self._value(each, of.dimension) == of.value for of in wanted):
                yield each

    def _value(self, each: UsageSum, dimension: str) -> str:
        if dimension in {"day", "hour", "week", "month"}:
            return _moment(_hour(each).astimezone(self.zone), dimension)
        if dimension == "tenant":
            return each.tenant
        if dimension == "key":
            return each.key.caller
        value: str = getattr(each.key, dimension)
        return value


def hours(period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first hour of a period, and the first one after it, in UTC."""
    return LocalDay(period.first, zone).start, LocalDay(period.last, zone).end


def utc_days(periods: Iterable[Period], zone: ZoneInfo) -> list[date]:
    """The days, UTC, that some periods touch."""
    found = set[date]()
    for period in periods:
        start, end = hours(period, zone)
        first, last = start.date(), (end - timedelta(microseconds=1)).date()
        found.update(first + timedelta(days=number) for number in range((last - first).days + 1))
    return sorted(found)


def _days(period: Period) -> Iterable[date]:
    return (period.first + timedelta(days=number) for number in range(period.days))


def _hour(each: UsageSum) -> datetime:
    return datetime(each.day.year, each.day.month, each.day.day, each.key.hour, tzinfo=UTC)


def _moment(local: datetime, dimension: str) -> str:
    if dimension == "day":
        return local.date().isoformat()
    if dimension == "hour":
        return f"{local:%H}:00"
    if dimension == "week":
        return (local.date() - timedelta(days=local.weekday())).isoformat()
    return f"{local:%Y-%m}"
