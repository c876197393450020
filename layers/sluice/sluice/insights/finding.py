"""What is found in a series: a finding, and the numbers that it rests on. Pure."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal

from sluice.insights.series import Direction, Interval
from sluice.loading.dataclass import dataclass

type InsightType = Literal["anomaly", "trend", "recommendation", "alert"]
type Priority = Literal["low", "medium", "high", "critical"]
type Method = Literal["robust_z", "mann_kendall", "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPoint:
    """A value that a finding rests on, and between what it was expected; None where nothing was, or nobody said when.

    `metric` says which value it is.
    """

    metric: str
    value: float | None
    time: datetime | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is unlike before in one series.

    `interval` is how long its buckets are, `at` when the bucket began, None where nobody said when.
    `rate` names the measured rate that it is as sure as; `score` is what it was found by: z, or p of a trend.
    """

    series: str
    interval: Interval
    insight_type: InsightType
    direction: Direction
    method: Method
    rate: str
    title: str
    description: str
    priority: Priority
    points: Sequence[DataPoint]
    change_percent: float
    at: datetime | None = None
    score: float | None = None
    actions: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a series is expected to be in the buckets after its last one, and between what most will be."""

    series: str
    unit: str
    level: float
    rate: str
    points: Sequence[DataPoint]
