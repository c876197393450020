"""Findings and forecasts as the API shows them. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.insights.finding import DataPoint, Finding, Forecast
from sluice.insights.rates import rates
from sluice.insights.topic import Topic


class InsightPoint(TypedDict):
    """A value, and between what it was expected; null where nothing was, or nobody said when."""

    metric: str
    time: Annotated[str | None, Field(description="When its bucket began, with the offset of the time zone.")]
    value: float | None
    expected: float | None
    low: float | None
    high: float | None


class InsightFeedback(TypedDict):
    """How many API keys found insights of this kind in this series useful."""

    useful: int
    not_useful: int


class Insight(TypedDict):
    """What is unlike before."""

    id: str
    object: Literal["dashboard.insight"]
    insight_type: Literal["anomaly", "trend", "recommendation", "alert"]
    title: str
    description: str
    confidence: Annotated[float, Field(description="How many of such findings were real, measured in a simulation.")]
    confidence_says: Annotated[str, Field(description="What was measured, in words that follow the percentage.")]
    is_confident: Annotated[bool, Field(description="Whether it is as sure as the tenant's confidenceThreshold.")]
    data_points: list[InsightPoint]
    suggested_actions: list[str]
    priority: Literal["low", "medium", "high", "critical"]
    series: str
    direction: Literal["up", "down"]
    method: Literal["robust_z", "mann_kendall", "ratio"]
    score: Annotated[float | None, Field(description="z of robust_z, p of mann_kendall.")]
    change_percent: float
    at: Annotated[str | None, Field(description="When the bucket began that it was found in; null if nobody said.")]
    feedback: InsightFeedback


class InsightForecast(TypedDict):
    """What a series is expected to be in its next buckets."""

    series: str
    unit: str
    level: Annotated[float, Field(description="How many of such buckets the interval is made to hold.")]
    coverage: Annotated[float, Field(description="How many it held, measured in a simulation.")]
    points: list[InsightPoint]


def shown_insight(finding: Finding, name: str, topic: Topic, *, is_confident: bool) -> Insight:
    """A finding. What many did not find useful is of low priority."""
    rate = rates()[finding.rate]
    return {
        "id": name,
        "object": "dashboard.insight",
        "insight_type": finding.insight_type,
        "title": finding.title,
        "description": finding.description,
        "confidence": rate.value,
        "confidence_says": rate.says,
        "is_confident": is_confident,
        "data_points": shown_points(finding.points),
        "suggested_actions": list(finding.actions),
        "priority": "low" if topic.is_unwanted else finding.priority,
        "series": finding.series,
        "direction": finding.direction,
        "method": finding.method,
        "score": finding.score,
        "change_percent": finding.change_percent,
        "at": shown_moment(finding.at),
        "feedback": shown_feedback(topic),
    }


def shown_forecast(forecast: Forecast) -> InsightForecast:
    """A forecast."""
    return {
        "series": forecast.series,
        "unit": forecast.unit,
        "level": forecast.level,
        "coverage": rates()[forecast.rate].value,
        "points": shown_points(forecast.points),
    }


def shown_points(points: Sequence[DataPoint]) -> list[InsightPoint]:
    """Values and their bands."""
    return [
        {
            "metric": each.metric,
            "time": shown_moment(each.time),
            "value": each.value,
            "expected": each.expected,
            "low": each.low,
            "high": each.high,
        }
        for each in points
    ]


def shown_feedback(topic: Topic) -> InsightFeedback:
    """What was thought of a kind of finding."""
    return {"useful": topic.useful, "not_useful": topic.not_useful}


def shown_moment(at: datetime | None) -> str | None:
    """A moment in ISO 8601."""
    return None if at is None else at.isoformat(timespec="seconds")
