"""Insights that were found, what is thought of them, and which are muted: /api/v1/ai/dashboard/insights."""

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.api.tenant_names import NamedTenantQuery, tenant_of
from sluice.insights.identity import OWN_ID_PATTERN
from sluice.insights.shown import Insight, InsightFeedback, shown_feedback, shown_moment
from sluice.insights.store import KeptFinding
from sluice.insights.topic import Topic
from sluice.tenants.tenant import Role

ROUTES = Routes("Insights")

_ID = {"id": PathParameter("The id of an insight.", "ins_2026112500_0123456789abcdef01234567")}
_DAY_S = 86_400


class InsightMute(BaseModel):
    """The body of POST .../mute: for how many days; 0 takes it back."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    days: Annotated[int, Field(ge=0, le=366)] = 7


class GivenInsightFeedback(BaseModel):
    """The body of POST .../feedback."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    is_useful: bool


class InsightsQuery(NamedTenantQuery):
    """The query of GET /api/v1/ai/dashboard/insights: at most `limit`, those before the insight `before`."""

    before: Annotated[str, Field(pattern=OWN_ID_PATTERN)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class FoundInsight(Insight):
    """An insight that was found unasked, and what became of it."""

    found_at: str
    muted_until: str | None
    notice: Annotated[
        Literal["none", "sending", "sent"],
        Field(description="Whether anybody was told of it. It stays at sending if telling was cut off."),
    ]
    noticed_at: str | None


class FoundInsights(TypedDict):
    """Insights, those of the last days first. If there may be more, `before` asks for those before it."""

    object: Literal["list"]
    data: list[FoundInsight]
    before: str | None


class InsightTopic(TypedDict):
    """What is thought of insights of one kind in one series."""

    object: Literal["dashboard.insight.topic"]
    id: str
    series: str
    kind: Literal["anomaly", "trend", "recommendation"]
    muted_until: str | None
    feedback: InsightFeedback


@ROUTES.get("/api/v1/ai/dashboard/insights", role=Role.MANAGER, errors={404})
def list_dashboard_insights(call: Call[None, InsightsQuery]) -> FoundInsights:
    """List what was found in a tenant's own figures, unasked or asked, the last days first."""
    tenant, limit = tenant_of(call), call.query.limit
    found = call.app.findings.page(tenant, before=call.query.before, limit=limit)
    topics = call.app.findings.topics(tenant, [each.topic for each in found])
    return {
        "object": "list",
        "data": [_shown_found(each, topics[each.topic]) for each in found],
        "before": found[-1].id if len(found) == limit else None,
    }


@ROUTES.post(
    "/api/v1/ai/dashboard/insights/{id}/feedback",
    role=Role.MANAGER,
    parameters=_ID,
    example={"is_useful": True},
    errors={404, 409},
)
def rate_dashboard_insight(call: Call[GivenInsightFeedback, NamedTenantQuery]) -> InsightTopic:
    """Say whether an insight was useful.

    By each API key once for all insights of a kind in a series; said again, of whichever of them, it replaces what was
    said. A kind of insight that three keys more find not useful
    than useful is told of no more, and of low priority.
    """
    kept, topic = call.app.findings.rate(tenant_of(call), call.path["id"], call.actor, is_useful=call.body.is_useful)
    return _shown_topic(kept, topic)


@ROUTES.post(
    "/api/v1/ai/dashboard/insights/{id}/mute",
    role=Role.MANAGER,
    parameters=_ID,
    example={"days": 7},
    errors={404, 409},
)
def mute_dashboard_insight(call: Call[InsightMute, NamedTenantQuery]) -> InsightTopic:
    """Mute insights of one kind in one series: they are neither shown nor told of for some days."""
    days = call.body.days
    until_s = int(time.time()) + days * _DAY_S if days else 0
    kept, topic = call.app.findings.mute(tenant_of(call), call.path["id"], until_s, call.actor)
    return _shown_topic(kept, topic)


def _shown_found(kept: KeptFinding, topic: Topic) -> FoundInsight:
    insight: Insight = json.loads(kept.content)
    return {
        **insight,
        "priority": "low" if topic.is_unwanted else insight["priority"],
        "feedback": shown_feedback(topic),
        "found_at": str(_at(kept.found_at)),
        "muted_until": _at(topic.muted_until),
        "notice": kept.notice,
        "noticed_at": _at(kept.noticed_at),
    }


def _shown_topic(kept: KeptFinding, topic: Topic) -> InsightTopic:
    return {
        "object": "dashboard.insight.topic",
        "id": kept.id,
        "series": kept.series,
        "kind": cast("Any", kept.kind),
        "muted_until": _at(topic.muted_until),
        "feedback": shown_feedback(topic),
    }


def _at(seconds: int | None) -> str | None:
    return shown_moment(datetime.fromtimestamp(seconds, UTC)) if seconds else None
