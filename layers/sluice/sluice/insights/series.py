"""Series: what was measured hour by hour, day by day or step by step. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from sluice.loading.dataclass import dataclass

type Interval = Literal["hour", "day", "week", "step"]
type Measured = Literal["count", "amount"]
type Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Pace:
    """What an interval is judged by, in buckets: how far back is looked, and what the recent level is of.

    `least` is how many are wanted. `judged` are looked at in depth, `shown` are drawn, `ahead` are forecast, and
    `tested` are where forecasts are tried.
    """

    window: int
    recent: int
    least: int
    judged: int
    shown: int
    ahead: int
    tested: int


PACES: dict[Interval, Pace] = {
    "hour": Pace(window=1_344, recent=24, least=672, judged=24, shown=48, ahead=24, tested=96),
    "day": Pace(window=56, recent=7, least=28, judged=7, shown=42, ahead=7, tested=56),
    "week": Pace(window=26, recent=4, least=8, judged=2, shown=26, ahead=4, tested=26),
    "step": Pace(window=26, recent=4, least=8, judged=2, shown=26, ahead=3, tested=26),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values of buckets without a gap between them, all of which have ended; None where nothing is known.

    `starts` are in the time zone whose weeks count, and empty where the interval is "step". A change for the `worse` is
    one that is worth a recommendation; `least` is the smallest difference that anybody is told of unasked.
    """

    name: str
    interval: Interval
    measured: Measured
    values: Sequence[float | None]
    starts: Sequence[datetime] = ()
    unit: str = ""
    worse: Direction | None = None
    least: float = 0.0
    is_own: bool = False

    @property
    def pace(self) -> Pace:
        """What it is judged by."""
        return PACES[self.interval]

    @property
    def latest(self) -> datetime | None:
        """When its last bucket began."""
        return self.starts[-1] if self.starts else None

    def start(self, place: int) -> datetime | None:
        """When a bucket begins, those after the last one too; None if nobody said."""
        if not self.starts:
            return None
        if place < len(self.starts):
            return self.starts[place]
        return later(self.starts[-1], self.interval, place - len(self.starts) + 1)

    def season(self, place: int) -> int:
        """Which of the buckets of a week one is, by the clock of its time zone."""
        start = self.start(place)
        if start is None or self.interval not in {"hour", "day"}:
            return 0
        return start.weekday() if self.interval == "day" else start.weekday() * 24 + start.hour


def later(start: datetime, interval: Interval, steps: int) -> datetime:
    """The beginning of the bucket that is so many after another: days begin at the same hour, whatever clocks do."""
    if interval == "hour":
        return (start.astimezone(UTC) + timedelta(hours=steps)).astimezone(start.tzinfo)
    days = steps * (7 if interval == "week" else 1)
    return datetime.combine(start.date() + timedelta(days=days), start.timetz())
