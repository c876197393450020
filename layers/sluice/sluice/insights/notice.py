"""What is told of a finding unasked: an event for EventBridge, and for webhooks. Pure.

The event is described by docs/insight.schema.json.
"""

from datetime import datetime
from typing import Literal, TypedDict

from sluice.insights.finding import Finding
from sluice.insights.rates import rates
from sluice.reports.material import moment

SOURCE, KIND = "sluice", "Insight"
"""How EventBridge is told of a finding."""


class InsightNotice(TypedDict):
    """The detail of an event."""

    version: Literal[1]
    id: str
    stack: str
    tenant: str
    insight_type: str
    series: str
    direction: str
    priority: str
    title: str
    observed: float
    expected: float
    expected_low: float
    expected_high: float
    change_percent: float
    confidence: float
    bucket: str
    found_at: str
    text: str


def notice(finding: Finding, name: str, tenant: str, stack: str, now: datetime) -> InsightNotice:
    """What is told of an alert, whose last point is what it was found at."""
    point = finding.points[-1]
    if point.value is None or point.expected is None or point.low is None or point.high is None or point.time is None:
        raise ValueError("an alert has a value, a moment and a band")
    rate = rates()[finding.rate]
    return {
        "version": 1,
        "id": name,
        "stack": stack,
        "tenant": tenant,
        "insight_type": finding.insight_type,
        "series": finding.series,
        "direction": finding.direction,
        "priority": finding.priority,
        "title": finding.title,
        "observed": point.value,
        "expected": point.expected,
        "expected_low": point.low,
        "expected_high": point.high,
        "change_percent": finding.change_percent,
        "confidence": rate.value,
        "bucket": moment(point.time),
        "found_at": moment(now),
        "text": f"Tenant {tenant}: {finding.description} {100 * rate.value:.0f} % {rate.says}.",
    }
