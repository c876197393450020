"""Trends: weekly sums that go up or down for at least eight weeks. Pure."""

from datetime import datetime

from sluice.insights.finding import DataPoint, Finding
from sluice.insights.robust import change_percent, trend
from sluice.insights.series import Series
from sluice.insights.wording import percent, sentence_start, title_of, words_of

_LEAST_STEPS = 8
_MOST_STEPS = {"week": 52, "step": 104}
_CHANCE = 0.01
_LEAST_CHANGE_PERCENT = 10.0
_DAYS = 7
_HOURS = 24
_BAND = 2.0


def trends(series: Series, weeks: int) -> list[Finding]:
    """The trend of the last `weeks` weekly sums, or of single values where those are a week or a step each."""
    values, starts, is_summed = _steps(series, weeks)
    if sum(value is not None for value in values) < _LEAST_STEPS:
        return []
    line = trend(values)
    last = len(values) - 1
    begun, ended = line.start, line.start + line.slope * last
    if line.p >= _CHANCE or not begun:
        return []
    change = change_percent(ended, begun)
    if abs(change) < _LEAST_CHANGE_PERCENT:
        return []
    rises, name = change > 0, series.name.removesuffix("_trend")
    verb, over = ("increased" if rises else "decreased"), f"over {last + 1} {_of(series)}"
    points = [
        DataPoint(
            metric=f"{series.name}_per_week" if is_summed else series.name,
            value=value,
            time=starts[step] if starts else None,
            expected=line.start + line.slope * step,
            low=line.start + line.slope * step - _BAND * line.deviation,
            high=line.start + line.slope * step + _BAND * line.deviation,
        )
        for step, value in enumerate(values)
    ]
    return [
        Finding(
            series=series.name,
            interval=series.interval,
            insight_type="trend",
            direction="up" if rises else "down",
            method="mann_kendall",
            rate="trend.0.001" if line.p < _CHANCE / 10 else "trend.0.01",
            title=f"{title_of(name)} {'Increasing' if rises else 'Decreasing'} Trend",
            description=f"{sentence_start(words_of(name))} has {verb} {percent(abs(change))} {over}.",
            priority="medium",
            points=points,
            change_percent=change,
            at=series.latest,
            score=line.p,
        )
    ]


def _of(series: Series) -> str:
    return "steps" if series.interval == "step" else "weeks"


def _steps(series: Series, weeks: int) -> tuple[list[float | None], list[datetime], bool]:
    """The values that a trend is looked for in, when each began, and whether they are sums of weeks."""
    most = _MOST_STEPS.get(series.interval)
    if most is not None:
        return list(series.values[-most:]), list(series.starts[-most:]), False
    size = _DAYS * (_HOURS if series.interval == "hour" else 1)
    count = min(weeks, len(series.values) // size)
    first = len(series.values) - count * size
    sums, starts = list[float | None](), list[datetime]()
    for place in range(first, len(series.values), size):
        known = [value for value in series.values[place : place + size] if value is not None]
        sums.append(sum(known) if len(known) == size else None)
        starts.append(series.starts[place])
    return sums, starts, True
