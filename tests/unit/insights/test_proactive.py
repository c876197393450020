"""Looking unasked: which day a run is for, and that a day which was not looked at in full is not done."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sluice.insights.figures import FigureReader
from sluice.insights.proactive import ProactiveInsights, ProactiveStores
from sluice.reports.claims import Claims, Thing
from sluice.tenants.tenant import Tenant
from sluice.usage.sums import DaySums


class Runs:
    """Claims in memory: which were finished."""

    def __init__(self) -> None:
        self.finished: list[str] = []

    def level(self, thing: Thing) -> int:
        """As Claims.level."""
        return int(f"{thing.partition} {thing.sort}" in self.finished)

    def claim(self, *_: object) -> bool:
        """As Claims.claim."""
        return True

    def finish(self, thing: Thing, _: int) -> None:
        """As Claims.finish."""
        self.finished.append(f"{thing.partition} {thing.sort}")


class Looking:
    """Two tenants, in whose usage there is nothing; `most_days` is for how many days of it there is time."""

    def __init__(self, zone: str) -> None:
        self.runs = Runs()
        self.days: list[date] = []
        self.most_days = 1_000
        self._tenants = [Tenant(id=name, name=name, time_zone=zone) for name in ("acme", "zoo")]

    def by_day(self, days: Iterable[tuple[str, date]]) -> Iterator[DaySums]:
        """As UsageReader.by_day."""
        for tenant, day in days:
            self.days.append(day)
            yield DaySums(tenant, day, ())

    def run(self, now: datetime) -> list[str]:
        """Run once; the answer is what has been finished until now."""
        stores = ProactiveStores(
            directory=cast("Any", SimpleNamespace(all_tenants=lambda: self._tenants)),
            preferences=cast("Any", SimpleNamespace(get=lambda *_: SimpleNamespace(values={}))),
            figures=FigureReader(cast("Any", self), lambda _: [], cast("Any", None)),
            findings=cast("Any", SimpleNamespace(record=lambda *_: {})),
            claims=cast("Claims", self.runs),
            bus=cast("Any", None),
            announcer=cast("Any", None),
        )
        self.days.clear()
        ProactiveInsights(stores, "sluice", now.timestamp).run(lambda: len(self.days) < self.most_days)
        return self.runs.finished


@pytest.mark.parametrize(
    ("zone", "now", "day"),
    [
        ("UTC", datetime(2026, 11, 26, 0, 3, tzinfo=UTC), "2026-11-24"),
        ("UTC", datetime(2026, 11, 26, 0, 5, tzinfo=UTC), "2026-11-25"),
        ("Europe/Berlin", datetime(2026, 11, 25, 23, 4, 59, tzinfo=UTC), "2026-11-24"),
        ("Europe/Berlin", datetime(2026, 11, 25, 23, 30, tzinfo=UTC), "2026-11-25"),
    ],
)
def test_a_day_is_done_once_all_of_it_is_recorded_and_not_before(zone: str, now: datetime, day: str) -> None:
    assert Looking(zone).run(now) == [f"insights.runs#acme {day}", f"insights.runs#zoo {day}"]


def test_a_day_whose_figures_were_not_read_in_time_is_done_in_the_next_hour() -> None:
    looking, now = Looking("UTC"), datetime(2026, 11, 26, 1, 5, tzinfo=UTC)
    looking.most_days = 93 + 40
    assert looking.run(now) == ["insights.runs#acme 2026-11-25"]
    looking.most_days = 1_000
    assert looking.run(now.replace(hour=2)) == ["insights.runs#acme 2026-11-25", "insights.runs#zoo 2026-11-25"]
