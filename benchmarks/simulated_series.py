"""Series that are made up, with what is usual in them and what is not: for the measurements of insights. Pure.

A day is expected to be the level, times the weekday's share, times a noise of its own that is partly the day before's,
times a drift. What is counted then is drawn from a Poisson distribution around that.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sluice.insights.series import Interval, Measured, Series

_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_SHARES = (1.0, 1.05, 1.1, 1.0, 0.9, 0.5, 0.45)
_HOURS = 24
_LARGE_MEAN = 50.0
_CARRIED = 0.3
STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What is usual in a series: its level a bucket, how much noise is on it, how much it drifts from day to day.

    `holidays`: how many of the days have half the level. Amounts are counts times a price that varies.
    """

    level: float
    noise: float = 0.1
    drift: float = 0.0
    holidays: float = 0.0
    measured: Measured = "count"
    interval: Interval = "day"


def series(pattern: Pattern, count: int, rng: random.Random, factor: Callable[[int], float] = lambda _: 1.0) -> Series:
    """A series of `count` buckets, each multiplied by its `factor`."""
    values, noise, drift = list[float](), 0.0, 0.0
    for place in range(count):
        noise = _CARRIED * noise + math.sqrt(1 - _CARRIED**2) * rng.gauss(0, pattern.noise)
        drift += rng.gauss(0, pattern.drift)
        holiday = 0.5 if rng.random() < pattern.holidays else 1.0
        mean = pattern.level * _share(pattern.interval, place) * math.exp(noise + drift) * holiday * factor(place)
        values.append(_drawn(mean, rng) if pattern.measured == "count" else _spent(mean, rng))
    if pattern.interval == "step":
        return Series(name="made_up", interval="step", measured=pattern.measured, values=values)
    starts = [_MONDAY + place * STEP[pattern.interval] for place in range(count)]
    return Series(name="made_up", interval=pattern.interval, measured=pattern.measured, values=values, starts=starts)


def drawn(means: Sequence[float], rng: random.Random) -> list[float]:
    """Poisson counts around some means."""
    return [_drawn(mean, rng) for mean in means]


def _share(interval: Interval, place: int) -> float:
    if interval == "hour":
        at_work = 1 + 0.9 * math.sin((place % _HOURS - 7) / _HOURS * 2 * math.pi)
        return at_work * _SHARES[place // _HOURS % 7]
    return _SHARES[place % 7] if interval == "day" else 1.0


def _drawn(mean: float, rng: random.Random) -> float:
    if mean > _LARGE_MEAN:
        return max(0.0, round(rng.gauss(mean, math.sqrt(mean))))
    product, drawn_so_far, bound = rng.random(), 0, math.exp(-mean)
    while product > bound:
        product *= rng.random()
        drawn_so_far += 1
    return float(drawn_so_far)


def _spent(mean: float, rng: random.Random) -> float:
    """The sum of so many prices, each of which varies as much as it is high on average."""
    count = _drawn(mean, rng)
    return 0.01 * max(0.0, count + rng.gauss(0, math.sqrt(count)))
