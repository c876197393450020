"""Anomalies: buckets that are far from what is expected of them. Pure.

A bucket is listed from |z| = 4 on, and anybody is told of it unasked from 5 on, if it is a quarter more or less than
expected, by an amount that matters, and the bucket before it was not as unusual already. How often either is wrong is
measured: see docs/insights.md.
"""

from collections.abc import Sequence

from sluice.insights.baseline import Baseline
from sluice.insights.finding import DataPoint, Finding, InsightType, Priority
from sluice.insights.robust import MOST_PERCENT, change_percent, deviations
from sluice.insights.series import Direction, Series
from sluice.insights.wording import amount, moment_of, percent, sentence_start, title_of, words_of
from sluice.loading.dataclass import dataclass

LISTED, TOLD = 4.0, 5.0
"""From which |z| on a bucket is listed, and anybody is told of it."""
_CERTAIN = 7.0
_TOLD_CHANGE_PERCENT = 25.0
_CRITICAL_CHANGE_PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a bucket compares with what was expected of it."""

    place: int
    value: float
    expected: float
    low: float
    high: float
    z: float

    @property
    def direction(self) -> Direction:
        """Whether it is more or less than expected."""
        return "up" if self.z > 0 else "down"

    @property
    def change_percent(self) -> float:
        """By how much it differs, of what was expected."""
        return change_percent(self.value, self.expected)


def judgement(series: Series, baseline: Baseline, place: int) -> Judgement | None:
    """How a bucket compares; None if nothing is known or expected of it."""
    value, scaled = series.values[place], baseline.scaled[place]
    expectation = baseline.expected(place)
    if value is None or scaled is None or expectation is None:
        return None
    reach = LISTED * expectation.deviation
    return Judgement(
        place=place,
        value=value,
        expected=baseline.value(expectation.centre),
        low=baseline.value(expectation.centre - reach),
        high=baseline.value(expectation.centre + reach),
        z=deviations(scaled - expectation.centre, expectation.deviation),
    )


def is_told(series: Series, found: Judgement, before: Judgement | None) -> bool:
    """Whether anybody is to be told of it unasked."""
    is_continued = before is not None and abs(before.z) > TOLD and before.direction == found.direction
    return (
        abs(found.z) > TOLD
        and abs(found.change_percent) >= _TOLD_CHANGE_PERCENT
        and abs(found.value - found.expected) >= series.least
        and not is_continued
    )


def anomalies(series: Series, baseline: Baseline, judged: int) -> list[Finding]:
    """What is unusual among the last `judged` buckets, the newest first."""
    last = len(series.values) - 1
    found = {
        place: each
        for place in range(max(0, last - judged), last + 1)
        if (each := judgement(series, baseline, place)) is not None
    }
    unusual = [each for place, each in found.items() if place > last - judged and abs(each.z) > LISTED]
    if not unusual:
        return []
    points = _points(series, baseline, found)
    return [_finding(series, each, found.get(each.place - 1), points) for each in reversed(unusual)]


def rate_of(series: Series, z: float) -> str:
    """The measured rate that a finding is as sure as."""
    size = abs(z)
    return f"anomaly.{series.interval}.{7 if size > _CERTAIN else 5 if size > TOLD else 4}"


def _finding(
    series: Series, found: Judgement, before: Judgement | None, points: Sequence[tuple[int, DataPoint]]
) -> Finding:
    name, start = words_of(series.name), series.start(found.place)
    told = is_told(series, found, before)
    kind: InsightType = "alert" if told else "anomaly"
    rose, change = found.direction == "up", abs(found.change_percent)
    by = f"{percent(change)} {'above' if rose else 'below'}" if change < MOST_PERCENT else "far above"
    return Finding(
        series=series.name,
        interval=series.interval,
        insight_type=kind,
        direction=found.direction,
        method="robust_z",
        rate=rate_of(series, found.z),
        title=f"{title_of(series.name)} {'Rise' if rose else 'Drop'} Detected",
        description=(
            f"{sentence_start(name)} of {moment_of(start, series.interval)} was {amount(found.value, series.unit)}, "
            f"{by} what is usual; {amount(found.low, series.unit)} to {amount(found.high, series.unit)} was expected."
        ),
        priority=_priority(found, told=told),
        points=[point for place, point in points if place <= found.place],
        change_percent=found.change_percent,
        at=start,
        score=found.z,
    )


def _priority(found: Judgement, *, told: bool) -> Priority:
    if not told:
        return "medium"
    is_extreme = found.change_percent >= _CRITICAL_CHANGE_PERCENT or not found.value
    return "critical" if abs(found.z) > 2 * TOLD and is_extreme else "high"


def _points(series: Series, baseline: Baseline, found: dict[int, Judgement]) -> list[tuple[int, DataPoint]]:
    last = len(series.values) - 1
    points = []
    for place in range(max(0, last + 1 - series.pace.shown), last + 1):
        each = found.get(place) or judgement(series, baseline, place)
        band = (None, None, None) if each is None else (each.expected, each.low, each.high)
        points.append(
            (
                place,
                DataPoint(
                    metric=series.name,
                    value=series.values[place],
                    time=series.start(place),
                    expected=band[0],
                    low=band[1],
                    high=band[2],
                ),
            )
        )
    return points
