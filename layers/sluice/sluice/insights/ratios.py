"""Findings by ratios, where there is a value and its mean, or a few values: too little for statistics. Pure.

The ratios are those of the dashboards that send such figures: a value under 70 % of its mean has dropped, and the last
two of at least four values over 120 % of the first two are a trend.
"""

from collections.abc import Sequence

from sluice.insights.finding import DataPoint, Finding
from sluice.insights.robust import change_percent
from sluice.insights.wording import percent, sentence_start, title_of, words_of

DROP, RISE = 0.7, 1.2
LEAST_VALUES = 4
_ENDS = 2


def dropped(name: str, current: float, historical_average: float) -> Finding | None:
    """What a value says beside its mean, which is above 0: that it has dropped, or nothing."""
    if not current < historical_average * DROP:
        return None
    lost = -change_percent(current, historical_average)
    measure = name.rpartition("_")[2] or "value"
    return Finding(
        series=name,
        interval="step",
        insight_type="anomaly",
        direction="down",
        method="ratio",
        rate="ratio.drop",
        title=f"{title_of(name)} Drop Detected",
        description=f"{sentence_start(words_of(name))} has dropped {percent(lost)} below historical average",
        priority="medium",
        points=[
            DataPoint(
                metric=f"current_{measure}", value=current, expected=historical_average, low=historical_average * DROP
            ),
            DataPoint(metric="historical_average", value=historical_average),
        ],
        change_percent=-lost,
    )


def risen(name: str, values: Sequence[float]) -> Finding | None:
    """What at least four values say, the first of which are above 0 on average: that they rise, or nothing."""
    older, recent = sum(values[:_ENDS]) / _ENDS, sum(values[-_ENDS:]) / _ENDS
    if not recent > older * RISE:
        return None
    risen_by = change_percent(recent, older)
    measured = name.removesuffix("_trend")
    return Finding(
        series=name,
        interval="step",
        insight_type="trend",
        direction="up",
        method="ratio",
        rate="ratio.rise",
        title=f"{title_of(measured)} Increasing Trend",
        description=(f"{sentence_start(words_of(measured))} has increased {percent(risen_by)} over recent periods"),
        priority="medium",
        points=[
            DataPoint(metric="recent_average", value=recent, expected=older, high=older * RISE),
            DataPoint(metric="baseline_average", value=older),
        ],
        change_percent=risen_by,
    )
