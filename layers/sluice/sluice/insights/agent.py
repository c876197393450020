"""What a tenant wants of insights: its preferences of the agent and of dashboards, resolved. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.loading.dataclass import dataclass
from sluice.tenants.preference_types import AnalysisDepth, ResponseStyle, dashboard, question_answering, resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What is looked for, and what is done with what is found."""

    is_proactive: bool
    refreshes: bool
    finds_anomalies: bool
    finds_trends: bool
    recommends: bool
    forecasts: bool
    narrates: bool
    confidence_threshold: float
    depth: AnalysisDepth
    style: ResponseStyle
    wishes: Sequence[str]


def agent_of(agent_config: Mapping[str, Any], dashboard_ai: Mapping[str, Any]) -> Agent:
    """What holds, by what was chosen of both."""
    usual = resolved("agent_config", agent_config)
    own = dashboard(agent_config, dashboard_ai)
    questions = question_answering(agent_config, {})
    generation = usual["insightGeneration"]
    return Agent(
        is_proactive=generation["proactiveInsights"],
        refreshes=usual["dashboardAI"]["autoRefresh"],
        finds_anomalies=own["anomaly_detection"],
        finds_trends=own["trend_analysis"],
        recommends=own["recommendations"],
        forecasts=own["predictive_analytics"],
        narrates=own["narrative_generation"],
        confidence_threshold=questions.confidenceThreshold,
        depth=generation["analysisDepth"],
        style=questions.responseStyle,
        wishes=tuple(generation["customPrompts"]),
    )
