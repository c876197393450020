"""Types of preferences, and what is usual where a tenant says nothing. Pure.

The names are those of the pages that ask for them: in camel case what a console edits, in snake case what agents read.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

type PreferenceType = Literal["agent_config", "dashboard_ai", "embedding_config", "qa_agent"]

type _ModelName = Annotated[str, Field(min_length=1, max_length=256)]
type ResponseStyle = Literal["brief", "detailed"]
type AnalysisDepth = Literal["basic", "advanced"]
type CustomPrompts = Annotated[list[Annotated[str, Field(min_length=1, max_length=2_000)]], Field(max_length=10)]


class _Preferences(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class QuestionAnswering(_Preferences):
    """How questions are answered: by which model, how long, from which confidence on, and in which words.

    With the depth advanced, a total comes with what was before and what it is made of. With custom prompts a model
    words also what was computed.
    """

    primaryModel: _ModelName | None = None  # noqa: N815 -- a name of the API
    fallbackModel: _ModelName | None = None  # noqa: N815 -- a name of the API
    responseStyle: ResponseStyle = "detailed"  # noqa: N815 -- a name of the API
    confidenceThreshold: Annotated[float, Field(ge=0, le=1)] = 0.8  # noqa: N815 -- a name of the API
    analysisDepth: AnalysisDepth = "advanced"  # noqa: N815 -- a name of the API
    customPrompts: CustomPrompts = Field(default_factory=list)  # noqa: N815 -- a name of the API


class InsightGeneration(_Preferences):
    """How findings are looked for, and whether anybody is told of them unasked."""

    analysisDepth: AnalysisDepth = "advanced"  # noqa: N815 -- a name of the API
    proactiveInsights: bool = True  # noqa: N815 -- a name of the API
    customPrompts: CustomPrompts = Field(default_factory=list)  # noqa: N815 -- a name of the API


class DashboardAi(_Preferences):
    """What a dashboard shows beside its figures."""

    autoRefresh: bool = True  # noqa: N815 -- a name of the API
    anomalyDetection: bool = True  # noqa: N815 -- a name of the API
    predictiveAnalytics: bool = True  # noqa: N815 -- a name of the API
    narrativeGeneration: bool = True  # noqa: N815 -- a name of the API


class AgentConfig(_Preferences):
    """Preferences of type agent_config: what all agents of a tenant do, where nothing says it more closely."""

    questionAnswering: QuestionAnswering = Field(default_factory=QuestionAnswering)  # noqa: N815 -- a name of the API
    insightGeneration: InsightGeneration = Field(default_factory=InsightGeneration)  # noqa: N815 -- a name of the API
    dashboardAI: DashboardAi = Field(default_factory=DashboardAi)  # noqa: N815 -- a name of the API


class DashboardPreferences(_Preferences):
    """Preferences of type dashboard_ai: which insights a dashboard is given. null is as agent_config says."""

    anomaly_detection: bool | None = None
    trend_analysis: bool = True
    recommendations: bool = True
    predictive_analytics: bool | None = None
    narrative_generation: bool | None = None


class EmbeddingPreferences(_Preferences):
    """Preferences of type embedding_config: the model that new stores of documents embed with."""

    model: _ModelName | None = None
    dimensions: Annotated[int, Field(ge=1, le=4_096)] | None = None


class QuestionPreferences(_Preferences):
    """Preferences of type qa_agent. null is as agent_config's questionAnswering says."""

    primaryModel: _ModelName | None = None  # noqa: N815 -- a name of the API
    fallbackModel: _ModelName | None = None  # noqa: N815 -- a name of the API
    responseStyle: ResponseStyle | None = None  # noqa: N815 -- a name of the API
    confidenceThreshold: Annotated[float, Field(ge=0, le=1)] | None = None  # noqa: N815 -- a name of the API
    analysisDepth: AnalysisDepth | None = None  # noqa: N815 -- a name of the API
    customPrompts: CustomPrompts | None = None  # noqa: N815 -- a name of the API


MODELS: Mapping[PreferenceType, type[BaseModel]] = {
    "agent_config": AgentConfig,
    "dashboard_ai": DashboardPreferences,
    "embedding_config": EmbeddingPreferences,
    "qa_agent": QuestionPreferences,
}


def defaults(kind: PreferenceType) -> dict[str, Any]:
    """What is usual."""
    return MODELS[kind]().model_dump(mode="json")


def resolved(kind: PreferenceType, values: Mapping[str, Any]) -> dict[str, Any]:
    """What holds: what was chosen over what is usual. What an older version wrote, and is gone, is left out."""
    return _over(defaults(kind), values)


def question_answering(agent: Mapping[str, Any], questions: Mapping[str, Any]) -> QuestionAnswering:
    """How questions are answered, by what was chosen of agent_config and qa_agent."""
    said = {name: value for name, value in questions.items() if value is not None}
    usual = resolved("agent_config", agent)["questionAnswering"]
    return QuestionAnswering.model_validate(_over(usual, said))


def dashboard(agent: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, bool]:
    """Which insights a dashboard is given, by what was chosen of agent_config and dashboard_ai."""
    usual = resolved("agent_config", agent)["dashboardAI"]
    own = resolved("dashboard_ai", chosen)
    from_agent = {
        "anomaly_detection": usual["anomalyDetection"],
        "predictive_analytics": usual["predictiveAnalytics"],
        "narrative_generation": usual["narrativeGeneration"],
    }
    return {name: from_agent[name] if value is None else value for name, value in own.items()}


def merged(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is chosen once `given` is changed of it: groups by their fields; null takes a choice away."""
    found = dict(before)
    for name, value in given.items():
        old = before.get(name)
        if isinstance(value, Mapping):
            value = merged(old if isinstance(old, Mapping) else {}, value)
        if value is None or value == {}:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _over(usual: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in usual.items():
        own = values.get(name)
        if isinstance(value, Mapping):
            found[name] = _over(value, own if isinstance(own, Mapping) else {})
        else:
            found[name] = value if own is None else own
    return found
