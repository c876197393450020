"""Sluice's own figures as series: what a tenant used, and what came in for it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from sluice.catalog.money import to_usd
from sluice.ingestion.journal import Journal
from sluice.ingestion.source import Source
from sluice.insights.reading import Skipped
from sluice.insights.series import Direction, Measured, Series, later
from sluice.loading.dataclass import dataclass
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

_OF_UTC = frozenset(name for name, figure in _FIGURES.items() if figure.of_use is None)
"""Those whose days are UTC's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureQuery:
    """Which figures of which tenant, up to `now`. `has_time` says whether there is time to read one day more."""

    tenant: str
    names: Sequence[FigureName]
    interval: FigureInterval
    zone: ZoneInfo
    now: datetime
    has_time: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures that there is something of, and what there is not, or not in full. `is_whole` unless time ran out."""

    series: Sequence[Series]
    skipped: Sequence[Skipped]
    is_whole: bool


class FigureReader:
    """Reads figures. Threads may share it. `sources` lists where a tenant's documents come from."""

    def __init__(self, usage: UsageReader, sources: Callable[[str], Sequence[Source]], journal: Journal) -> None:
        self._usage = usage
        self._sources = sources
        self._journal = journal

    def read(self, query: FigureQuery) -> Figures:
        """The figures that there is something of, and why not, or not in full. Raises StorageUnavailableError."""
        found, skipped, is_whole = list[Series](), list[Skipped](), True
        names = list(dict.fromkeys(query.names))
        of_use = [name for name in names if _FIGURES[name].of_use is not None]
        counted = [name for name in names if name not in of_use]
        if of_use:
            used, is_whole = self._used(query)
            found += [_series(name, query, used, _FIGURES[name]) for name in of_use if used]
            if not is_whole:
                skipped += [
                    Skipped(name, "There was no time to read all of it: what is older is missing.") for name in of_use
                ]
            elif not used:
                skipped += [Skipped(name, "Nothing was used.") for name in of_use]
        if counted and query.interval == "hour":
            skipped += [Skipped(name, "It is counted by day, not by hour.") for name in counted]
        elif counted:
            came = self._came(query)
            found += [_series(name, query, came, _FIGURES[name]) for name in counted if came]
            skipped += [Skipped(name, "Nothing has come in.") for name in counted if not came]
        return Figures(series=found, skipped=skipped, is_whole=is_whole)

    def _used(self, query: FigureQuery) -> tuple[dict[datetime, Use], bool]:
        """What was used by bucket, from the first one that is known whole, and whether all days were read.

        The newest are read first.
        """
        today = query.now.astimezone(UTC).date()
        days = [today - timedelta(days=back) for back in range(_DAYS[query.interval] + 1)]
        found, oldest = dict[datetime, Use](), datetime.combine(today + timedelta(days=1), time.min, UTC)
        is_whole = True
        for each in self._usage.by_day((query.tenant, day) for day in days):
            oldest = datetime.combine(each.day, time.min, UTC)
            for used in each.sums:
                start = _bucket(_hour(used), query)
                found[start] = found.get(start, Use()) + used.use
            is_whole = each.day == days[-1]
            if not is_whole and not query.has_time():
                break
        return {start: use for start, use in found.items() if start >= oldest}, is_whole

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
    buckets = _buckets(min(found), query, is_utc=name in _OF_UTC)
    values: list[float | None] = [_value(found.get(bucket), of) for bucket in buckets]
    # Hours of UTC are told apart where clocks go back, and those of a time zone are not.
    starts = [bucket.astimezone(query.zone) for bucket in buckets] if query.interval == "hour" else buckets
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
    if query.interval == "hour":
        end = (query.now - _SETTLED).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        count = int((end - first) / HOUR)
        return [later(first, "hour", step) for step in range(count)]
    last = last_settled_day(query.now, ZoneInfo("UTC") if is_utc else query.zone)
    return [later(first, "day", step) for step in range((last - first.date()).days + 1)]


def _bucket(hour: datetime, query: FigureQuery) -> datetime:
    """The bucket that an hour of UTC is in: that hour, or a day of the time zone."""
    if query.interval == "hour":
        return hour
    return datetime.combine(LocalDay.of(hour, query.zone).day, time.min, query.zone)


def _hour(used: UsageSum) -> datetime:
    return datetime.combine(used.day, time(used.key.hour), UTC)


def last_settled_day(now: datetime, zone: ZoneInfo) -> date:
    """The last day of a time zone that has ended, and of which everything is recorded."""
    return last_ended(now - _SETTLED, zone).day


def next_end(series: Series, now: datetime, zone: ZoneInfo) -> datetime:
    """When the bucket is known that comes after the last one of a series, and is not over yet.

    Where no bucket has ended, that is the one which `now` is in: an hour or a day of the `zone`, of what came in UTC's.
    """
    if series.starts:
        end = later(series.starts[-1], series.interval, 2)
    else:
        begun = (now - _SETTLED).astimezone(ZoneInfo("UTC") if series.name in _OF_UTC else zone)
        hour = begun.hour if series.interval == "hour" else 0
        end = later(begun.replace(hour=hour, minute=0, second=0, microsecond=0), series.interval, 1)
    return max(end, now) + _SETTLED
