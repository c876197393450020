"""Sluice's own figures as series: by the clock of the tenant, from what is summed by hours of UTC."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from sluice.insights.figures import FigureInterval, FigureName, FigureQuery, FigureReader, next_end
from sluice.insights.series import Series
from sluice.usage.sums import DaySums, SumKey, UsageSum, Use

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 1, 30, tzinfo=BERLIN)


def used(at: datetime, requests: int = 1) -> UsageSum:
    """Something that was used in an hour."""
    key = SumKey(caller="k1", user="", hour=at.hour, operation="chat", provider="p", model="m", credential="c", task="")
    return UsageSum("acme", at.date(), key, Use(requests=requests, cost_nanousd=requests * 10**9, prompt_tokens=3))


class Usage:
    """Sums in memory, and which days were asked for."""

    def __init__(self, *sums: UsageSum) -> None:
        self._sums = sums
        self.days: list[date] = []

    def by_day(self, days: Iterable[tuple[str, date]]) -> Iterator[DaySums]:
        """As UsageReader.by_day."""
        for tenant, day in days:
            self.days.append(day)
            yield DaySums(tenant, day, tuple(each for each in self._sums if (each.tenant, each.day) == (tenant, day)))


class Journal:
    """What came in, in memory."""

    def days(self, source: str, first: date) -> dict[date, dict[str, int]]:
        """As Journal.days."""
        return {date(2026, 11, 22): {"received": 5, "kept_without_vectors": 1}, date(2026, 11, 24): {"received": 2}}


def read(
    usage: Usage,
    *names: FigureName,
    interval: FigureInterval = "day",
    sources: int = 0,
    most_days: int = 1000,
    now: datetime = NOW,
) -> tuple[list[Series], list[str]]:
    reader = FigureReader(cast("Any", usage), lambda _: cast("Any", ["s"] * sources), cast("Any", Journal()))
    query = FigureQuery(
        tenant="acme",
        names=names,
        interval=interval,
        zone=BERLIN,
        now=now,
        has_time=lambda: len(usage.days) < most_days,
    )
    found = reader.read(query)
    return list(found.series), [each.reason for each in found.skipped]


def test_days_are_the_tenant_s_and_begin_with_the_first_that_anything_was_used() -> None:
    usage = Usage(
        used(datetime(2026, 11, 22, 23, tzinfo=UTC), 4),  # the 23rd in Berlin
        used(datetime(2026, 11, 25, 22, tzinfo=UTC), 7),
        used(datetime(2026, 11, 25, 23, tzinfo=UTC), 9),  # a day that is not over
    )
    [requests, cost], skipped = read(usage, "usage.requests", "usage.cost", "usage.requests")
    assert (requests.values, cost.values, skipped) == ([4, 0, 7], [4, 0, 7], [])
    assert requests.starts[0].isoformat() == "2026-11-23T00:00:00+01:00"
    assert next_end(requests, NOW, BERLIN).isoformat() == "2026-11-27T00:05:00+01:00"


@pytest.mark.parametrize(
    ("name", "interval", "now", "known_at"),
    [
        ("usage.requests", "day", NOW, "2026-11-27T00:05:00+01:00"),
        # The day before is over, and not yet known.
        ("usage.requests", "day", NOW.replace(hour=0, minute=2), "2026-11-26T00:07:00+01:00"),
        ("usage.requests", "day", datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN), "2026-10-26T00:05:00+01:00"),
        ("usage.requests", "hour", NOW, "2026-11-26T02:05:00+01:00"),
        ("ingestion.items", "day", NOW.replace(hour=0), "2026-11-26T00:05:00+00:00"),
        ("ingestion.items", "day", NOW.replace(hour=12), "2026-11-27T00:05:00+00:00"),
    ],
)
def test_of_what_was_first_used_today_the_end_of_today_is_waited_for(
    name: str, interval: FigureInterval, now: datetime, known_at: str
) -> None:
    series = Series(name=name, interval=interval, measured="count", values=())
    assert next_end(series, now, BERLIN).isoformat() == known_at


def test_an_hour_that_has_just_ended_is_still_being_recorded() -> None:
    usage = Usage(used(datetime(2026, 11, 25, 22, tzinfo=UTC), 7), used(datetime(2026, 11, 25, 23, tzinfo=UTC), 9))
    [requests], _ = read(usage, "usage.requests", interval="hour")
    assert requests.values == [7, 9]


def test_where_there_is_no_time_for_all_days_the_newest_are_read_and_half_a_day_is_not_shown() -> None:
    usage = Usage(*(used(datetime(2026, 11, day, 22, tzinfo=UTC)) for day in range(1, 26)))
    [requests], [reason] = read(usage, "usage.requests", most_days=4)
    # Of 22 November in Berlin the first hour is in a day of UTC that was not read.
    assert requests.starts[0].isoformat() == "2026-11-24T00:00:00+01:00"
    assert "no time to read all of it" in reason


def test_that_time_ran_out_after_the_last_day_is_no_loss() -> None:
    usage = Usage(*(used(datetime(2026, 11, day, 22, tzinfo=UTC)) for day in range(1, 26)))
    assert read(usage, "usage.requests", most_days=93)[1] == []


def test_the_hour_that_is_repeated_as_clocks_go_back_is_counted_in_two_buckets() -> None:
    usage = Usage(*(used(datetime(2026, 10, 25, hour, tzinfo=UTC), 10 + hour) for hour in range(4)))
    [requests], _ = read(
        usage, "usage.requests", interval="hour", now=datetime(2026, 10, 25, 4, 30, tzinfo=UTC).astimezone(BERLIN)
    )
    assert requests.values == [10, 11, 12, 13]
    assert [start.isoformat()[11:] for start in requests.starts] == [
        "02:00:00+02:00",
        "02:00:00+01:00",
        "03:00:00+01:00",
        "04:00:00+01:00",
    ]
    [by_day], _ = read(usage, "usage.requests", now=datetime(2026, 10, 26, 4, 30, tzinfo=BERLIN))
    assert by_day.values == [46]


def test_what_came_in_is_by_days_of_utc_and_added_up_over_sources() -> None:
    [items, without], _ = read(Usage(), "ingestion.items", "ingestion.without_vectors", sources=2)
    assert items.values == [10, 0, 4, 0]
    assert without.values == [2, 0, 0, 0]
    assert items.starts[0] == datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "interval", "reason"),
    [
        ("usage.requests", "day", "Nothing was used"),
        ("ingestion.items", "day", "Nothing has come in"),
        ("ingestion.items", "hour", "by day, not by hour"),
    ],
)
def test_a_figure_that_there_is_nothing_of_is_left_out_for_a_reason(
    name: FigureName, interval: FigureInterval, reason: str
) -> None:
    found, [said] = read(Usage(), name, interval=interval)
    assert found == []
    assert reason in said


def test_three_months_are_read_for_days_and_two_for_hours() -> None:
    for interval, days in (("day", 93), ("hour", 59)):
        usage = Usage(used(datetime(2026, 11, 25, 22, tzinfo=UTC)))
        read(usage, "usage.requests", interval=cast("FigureInterval", interval))
        assert usage.days == [NOW.astimezone(UTC).date() - timedelta(days=back) for back in range(days)]
