"""Sluice's own figures as series: what a tenant used, and what came in for it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from sluice.ingestion.journal import Journal
from sluice.ingestion.source import Source
from sluice.insights.reading import Skipped
from sluice.insights.series import Direction, Measured, Series, later
from sluice.money import to_usd
from sluice.reports.local_day import HOUR, LocalDay, last_ended
from sluice.usage.report import UsageReader
from sluice.usage.sums import UsageSum, Use

type FigureName = Literal[
    "usage.requests", "usage.cost", "usage.tokens", "usage.errors", "ingestion.items", "ingestion.without_vectors"
]
type FigureInterval = Literal["day", "hour"]

FIGURES: tuple[FigureName, ...] = get_args(FigureName.__value__)
_DAYS: Mapping[FigureInterval, int] = {"day": 92, "hour": 58}
"""How far back is read: a trend takes twelve weeks, an hour's baseline eight."""
_SETTLED = timedelta(minutes=5)
"""How long after an hour what was used in it is still being recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    unit: str
    measured: Measured
    least: float
    worse: Direction | None = None
    of_use: Callable[[Use], float] | None = None
    counted: str = ""


_FIGURES: Mapping[FigureName, _Figure] = {
    "usage.requests": _Figure(unit="requests", measured="count", least=20, of_use=lambda use: use.requests),
    "usage.cost": _Figure(
        unit="usd", measured="amount", least=1, worse="up", of_use=lambda use: float(to_usd(use.cost_nanousd))
    ),
    "usage.tokens": _Figure(
        unit="tokens",
        measured="amount",
        least=20_000,
        of_use=lambda use: use.prompt_tokens + use.completion_tokens,
    ),
    "usage.errors": _Figure(unit="errors", measured="count", least=10, worse="up", of_use=lambda use: use.errors),
    "ingestion.items": _Figure(unit="events", measured="count", least=10, worse="down", counted="received"),
    "ingestion.without_vectors": _Figure(
        unit="documents", measured="count", least=5, worse="up", counted="kept_without_vectors"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureQuery:
    """Which figures of which tenant, up to `now`. `has_time` says whether there is time to read one day more."""

    tenant: str
    names: Sequence[FigureName]
    interval: FigureInterval
    zone: ZoneInfo
    now: datetime
    has_time: Callable[[], bool]


class FigureReader:
    """Reads figures. Threads may share it. `sources` lists where a tenant's documents come from."""

    def __init__(self, usage: UsageReader, sources: Callable[[str], Sequence[Source]], journal: Journal) -> None:
        self._usage = usage
        self._sources = sources
        self._journal = journal

    def read(self, query: FigureQuery) -> tuple[list[Series], list[Skipped]]:
        """The figures that there is something of, and why not for the others. Raises StorageUnavailableError."""
        found, skipped = list[Series](), list[Skipped]()
        names = list(dict.fromkeys(query.names))
        of_use = [name for name in names if _FIGURES[name].of_use is not None]
        counted = [name for name in names if name not in of_use]
        if of_use:
            used = self._used(query)
            found += [_series(name, query, used, _FIGURES[name]) for name in of_use if used]
            skipped += [Skipped(name, "Nothing was used, or it was not read in time.") for name in of_use if not used]
        if counted and query.interval == "hour":
            skipped += [Skipped(name, "It is counted by day, not by hour.") for name in counted]
        elif counted:
            came = self._came(query)
            found += [_series(name, query, came, _FIGURES[name]) for name in counted if came]
            skipped += [Skipped(name, "Nothing has come in.") for name in counted if not came]
        return found, skipped

    def _used(self, query: FigureQuery) -> dict[datetime, Use]:
        """What was used by bucket, from the first one that is known whole: the newest days are read first."""
        today = query.now.astimezone(UTC).date()
        days = ((query.tenant, today - timedelta(days=back)) for back in range(_DAYS[query.interval] + 1))
        found, oldest = dict[datetime, Use](), datetime.combine(today + timedelta(days=1), time.min, UTC)
        for each in self._usage.by_day(days):
            oldest = datetime.combine(each.day, time.min, UTC)
            for used in each.sums:
                start = _bucket(_hour(used), query)
                found[start] = found.get(start, Use()) + used.use
            if not query.has_time():
                break
        return {start: use for start, use in found.items() if start >= oldest}

    def _came(self, query: FigureQuery) -> dict[datetime, Counter[str]]:
        """What came in by day of UTC."""
        first = (query.now.astimezone(UTC) - timedelta(days=_DAYS["day"])).date()
        found = dict[datetime, Counter[str]]()
        for source in self._sources(query.tenant):
            for day, counts in self._journal.days(source, first).items():
                start = datetime.combine(day, time.min, UTC)
                found[start] = found.get(start, Counter()) + Counter(counts)
        return found


def _series(
    name: FigureName, query: FigureQuery, found: Mapping[datetime, Use] | Mapping[datetime, Counter[str]], of: _Figure
) -> Series:
    """A figure from the first bucket that anything is known of: one that is missing after it had nothing."""
    starts = _buckets(min(found), query, is_utc=of.of_use is None)
    values: list[float | None] = [_value(found.get(start), of) for start in starts]
    return Series(
        name=name,
        interval=query.interval,
        measured=of.measured,
        values=values,
        starts=starts,
        unit=of.unit,
        worse=of.worse,
        least=of.least,
        is_own=True,
    )


def _value(found: Use | Counter[str] | None, of: _Figure) -> float:
    if found is None:
        return 0.0
    if isinstance(found, Use):
        return float(of.of_use(found)) if of.of_use else 0.0
    return float(found[of.counted])


def _buckets(first: datetime, query: FigureQuery, *, is_utc: bool) -> Sequence[datetime]:
    settled = query.now - _SETTLED
    if query.interval == "hour":
        end = settled.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        count = int((end - first.astimezone(UTC)) / HOUR)
        return [later(first, "hour", step) for step in range(count)]
    last = last_ended(settled, ZoneInfo("UTC") if is_utc else query.zone).day
    return [later(first, "day", step) for step in range((last - first.date()).days + 1)]


def _bucket(hour: datetime, query: FigureQuery) -> datetime:
    if query.interval == "hour":
        return hour.astimezone(query.zone)
    return datetime.combine(LocalDay.of(hour, query.zone).day, time.min, query.zone)


def _hour(used: UsageSum) -> datetime:
    return datetime.combine(used.day, time(used.key.hour), UTC)


def next_end(series: Series, now: datetime) -> datetime:
    """When the bucket is known that comes after the last one of a series, and is not over yet."""
    end = later(series.starts[-1] if series.starts else now, series.interval, 2)
    return max(end, now) + _SETTLED
