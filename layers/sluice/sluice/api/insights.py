"""Insights into a dashboard's series and Sluice's own figures: /api/v1/ai/dashboard/insights."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypedDict
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluice.api.route import Call, Reply, Routes
from sluice.api.tenant_names import NamedTenantQuery, tenant_of
from sluice.errors import InvalidRequestError, PermissionDeniedError
from sluice.insights.agent import Agent, agent_of
from sluice.insights.analysis import analyse, is_confident
from sluice.insights.figures import FIGURES, FigureInterval, FigureName, FigureQuery, next_end
from sluice.insights.narrative import Narrative, NarrativeStatus
from sluice.insights.proactive import kept_finding
from sluice.insights.reading import MOST_SERIES, Read, Skipped, read_all
from sluice.insights.series import Series
from sluice.insights.shown import (
    Insight,
    InsightForecast,
    shown_forecast,
    shown_insight,
)
from sluice.reports.material import moment
from sluice.tenants.tenant import Role
from sluice.tenants.time_zone import time_zone

ROUTES = Routes("Insights")

# What is left of a request's time for the rest of its answer.
_ANSWERING_S = 8.0


class DashboardData(BaseModel):
    """The body of POST /api/v1/ai/dashboard/insights: series by their names, and which of Sluice's own figures.

    Every other field is a series too, as dashboards send them: `{"current": 3, "historical_avg": 5}`, a list of
    numbers, the oldest first, or `{"points": [{"time": "2026-11-25", "value": 17}], "interval": "day", "measured":
    "count", "unit": "deployments", "worse": "down", "time_zone": "Europe/Berlin"}`, where all but the points may be
    left out.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    series: Annotated[dict[str, JsonValue], Field(max_length=MOST_SERIES)] = Field(default_factory=dict)
    figures: Annotated[list[FigureName], Field(max_length=len(FIGURES))] = Field(default_factory=list)
    interval: Annotated[FigureInterval, Field(description="Of the figures.")] = "day"
    time_zone: Annotated[str, Field(max_length=64, description="Whose days count; else the tenant's.")] | None = None
    narrative: Annotated[
        bool | None, Field(description="Whether a model tells of what is found; else as the tenant prefers.")
    ] = None


class InsightNarrative(TypedDict):
    """What a model tells of the insights. It is no source of numbers: one that is in none of them is `dropped`."""

    status: NarrativeStatus
    text: str | None
    reason: str | None


class SkippedSeries(TypedDict):
    """A series, or a part of what there is to find in it, that could not be judged."""

    series: str
    reason: str


class InsightAgentConfig(TypedDict):
    """What holds of the tenant's preferences."""

    proactiveInsights: bool
    autoRefresh: bool
    anomalyDetection: bool
    predictiveAnalytics: bool
    narrativeGeneration: bool
    trend_analysis: bool
    recommendations: bool
    confidenceThreshold: float
    analysisDepth: Literal["basic", "advanced"]
    responseStyle: Literal["brief", "detailed"]
    customPrompts: list[str]


class DashboardInsights(TypedDict):
    """What is unlike before, those first that matter most."""

    object: Literal["dashboard.insights"]
    tenant: str
    insights: list[Insight]
    muted: Annotated[int, Field(description="How many are left out because they are muted.")]
    forecasts: list[InsightForecast]
    narrative: InsightNarrative
    skipped: list[SkippedSeries]
    generated_at: str
    refresh_at: Annotated[
        str | None, Field(description="When there will be more to look at; null if the tenant's autoRefresh is off.")
    ]
    agent_config: InsightAgentConfig


@ROUTES.post(
    "/api/v1/ai/dashboard/insights",
    role=Role.CALLER,
    example={
        "deployment_frequency": {"current": 3, "historical_avg": 5},
        "lead_time_trend": [20, 22, 28, 31],
        "narrative": False,
    },
    is_counted_inside=True,
    errors={403, 404},
)
def generate_dashboard_insights(call: Call[DashboardData, NamedTenantQuery]) -> Reply[DashboardInsights]:
    """Find what is unusual in series, what goes up or down, and what to expect.

    Of a dashboard's own series, or of Sluice's own figures by their names, which are for managers. How sure a finding
    is was measured in a simulation. A narrative is a request to a model of its own, and counts as one.
    """
    counter = call.app.caller_counter
    with counter.kept(counter.count(call.principal)):
        return _insights(call)


def _insights(call: Call[DashboardData, NamedTenantQuery]) -> Reply[DashboardInsights]:
    app, body, tenant, now = call.app, call.body, tenant_of(call), datetime.now(UTC)
    agent = agent_of(
        app.preferences.get(tenant, "agent_config").values, app.preferences.get(tenant, "dashboard_ai").values
    )
    zone = _zone_of(call, tenant)
    read, skipped = _read(call, tenant, now, zone)
    analysis = analyse(read, agent)
    own = {each.name for each in read if isinstance(each, Series) and each.is_own}
    kept = [kept_finding(each, agent, now, is_own=each.series in own) for each in analysis.findings]
    topics = app.findings.record(tenant, kept)
    shown = [
        (finding, shown_insight(finding, each.id, topics[each.topic], is_confident=is_confident(finding, agent)))
        for finding, each in zip(analysis.findings, kept, strict=True)
        if not topics[each.topic].is_muted(now.timestamp())
    ]
    wants_narrative = agent.narrates if body.narrative is None else body.narrative
    narrative = Narrative(status="off")
    if wants_narrative:
        narrative = app.narrator.tell([finding for finding, _ in shown], agent, call.principal, call.context)
    answer: DashboardInsights = {
        "object": "dashboard.insights",
        "tenant": tenant,
        "insights": [insight for _, insight in shown],
        "muted": len(kept) - len(shown),
        "forecasts": [shown_forecast(each) for each in analysis.forecasts],
        "narrative": {"status": narrative.status, "text": narrative.text, "reason": narrative.reason},
        "skipped": [{"series": each.series, "reason": each.reason} for each in (*skipped, *analysis.skipped)],
        "generated_at": moment(now),
        "refresh_at": _refresh_at(read, agent, now, zone),
        "agent_config": _shown_agent(agent),
    }
    return Reply(answer, narrative.provenance)


def _read(
    call: Call[DashboardData, NamedTenantQuery], tenant: str, now: datetime, zone: ZoneInfo
) -> tuple[list[Read], list[Skipped]]:
    """What is to be judged, and what can't be. Raises InvalidRequestError, PermissionDeniedError."""
    body, principal = call.body, call.principal
    twice = body.series.keys() & body.__pydantic_extra__.keys() | {*FIGURES} & {*body.series, *body.__pydantic_extra__}
    if twice:
        raise InvalidRequestError(f"{min(twice)} is given twice, or is the name of a figure.", param=min(twice))
    sent = {**body.__pydantic_extra__, **body.series}
    if not sent and not body.figures:
        names = ", ".join(FIGURES)
        raise InvalidRequestError(f"Send a series, or name some of the figures: {names}.", param="figures")
    if body.figures and not principal.role.includes(Role.MANAGER):
        raise PermissionDeniedError(
            "The figures of a whole tenant take a key of the role manager; series of your own take any key.",
            param="figures",
        )
    read, skipped = read_all(sent, zone, now)
    if body.figures:
        until_s = time.monotonic() + max(0.0, call.deadline.remaining_s - _ANSWERING_S)
        query = FigureQuery(
            tenant=tenant,
            names=body.figures,
            interval=body.interval,
            zone=zone,
            now=now,
            has_time=lambda: time.monotonic() < until_s,
        )
        figures = call.app.insight_figures.read(query)
        read, skipped = [*read, *figures.series], [*skipped, *figures.skipped]
    return read, skipped


def _zone_of(call: Call[DashboardData, NamedTenantQuery], tenant: str) -> ZoneInfo:
    """The time zone that a request names, else the tenant's. Raises InvalidRequestError."""
    try:
        return time_zone(call.body.time_zone or _time_zone_of(call, tenant))
    except ValueError as error:
        raise InvalidRequestError(f"time_zone: {error}.", param="time_zone") from None


def _time_zone_of(call: Call[DashboardData, NamedTenantQuery], tenant: str) -> str | None:
    own = call.principal.tenant
    found = own if tenant == own.id else call.app.directory.stored_tenant(tenant)
    return None if found is None else found.time_zone


def _refresh_at(read: Sequence[Read], agent: Agent, now: datetime, zone: ZoneInfo) -> str | None:
    ends = [next_end(each, now, zone) for each in read if isinstance(each, Series) and each.interval != "step"]
    if not agent.refreshes or not ends:
        return None
    # Not at once where a dashboard sends what is old.
    return moment(max(min(ends), now + timedelta(minutes=1)))


def _shown_agent(agent: Agent) -> InsightAgentConfig:
    return {
        "proactiveInsights": agent.is_proactive,
        "autoRefresh": agent.refreshes,
        "anomalyDetection": agent.finds_anomalies,
        "predictiveAnalytics": agent.forecasts,
        "narrativeGeneration": agent.narrates,
        "trend_analysis": agent.finds_trends,
        "recommendations": agent.recommends,
        "confidenceThreshold": agent.confidence_threshold,
        "analysisDepth": agent.depth,
        "responseStyle": agent.style,
        "customPrompts": list(agent.wishes),
    }
