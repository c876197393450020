"""What is found for whom: the dashboards' own examples, and what each preference changes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sluice.insights.agent import agent_of
from sluice.insights.analysis import MOST_INSIGHTS, Analysis, analyse, is_confident
from sluice.insights.rates import Rate, rates
from sluice.insights.reading import Read, read_all
from tests.insight_series import daily, usual

NOW = datetime(2026, 11, 26, 14, tzinfo=UTC)
DASHBOARD = {
    "deployment_frequency": {"current": 3, "historical_avg": 5},
    "lead_time_trend": [20, 22, 28, 31],
    "team": "Core",
}
SPIKE = daily([*usual(89), 400.0], worse="up")


def sent(data: Mapping[str, Any]) -> list[Read]:
    found, _ = read_all(data, ZoneInfo("UTC"), NOW)
    return found


def analysed(
    read: list[Read], agent_config: Mapping[str, Any] | None = None, dashboard_ai: Mapping[str, Any] | None = None
) -> Analysis:
    return analyse(read, agent_of(agent_config or {}, dashboard_ai or {}))


def types(found: Analysis) -> list[str]:
    return [each.insight_type for each in found.findings]


def test_the_dashboards_examples_are_answered_as_they_were() -> None:
    frequency, lead_time = analysed(sent(DASHBOARD)).findings
    assert frequency.title == "Deployment Frequency Drop Detected"
    assert frequency.description == "Deployment frequency has dropped 40.0% below historical average"
    assert [(each.metric, each.value) for each in frequency.points] == [
        ("current_frequency", 3),
        ("historical_average", 5),
    ]
    assert frequency.actions[0] == "Review recent changes to deployment pipeline"
    assert (frequency.insight_type, frequency.priority, frequency.method) == ("anomaly", "medium", "ratio")
    assert lead_time.title == "Lead Time Increasing Trend"
    assert lead_time.description == "Lead time has increased 40.5% over recent periods"
    assert [(each.metric, each.value) for each in lead_time.points] == [
        ("recent_average", 29.5),
        ("baseline_average", 21),
    ]
    assert lead_time.actions[0] == "Review code review process efficiency"


def test_a_ratio_to_nearly_nothing_is_no_infinite_number() -> None:
    drop, rise = analysed(
        sent({"a": {"current": -1e15, "historical_avg": 5e-324}, "b": [5e-324, 0, 1e15, 1e15]})
    ).findings
    assert (drop.change_percent, rise.change_percent) == (-1e6, 1e6)


@pytest.mark.parametrize(
    "data",
    [
        {"deployment_frequency": {"current": 3.5, "historical_avg": 5}},
        {"lead_time_trend": [20, 20, 24, 24]},
        {"lead_time_trend": [20, 20, 30]},
    ],
)
def test_at_the_ratios_themselves_nothing_is_found(data: dict[str, Any]) -> None:
    assert analysed(sent(data)).findings == []


def test_a_spike_is_an_alert_with_a_recommendation_that_follows_from_it() -> None:
    found = analysed([SPIKE])
    assert types(found) == ["alert", "recommendation"]
    assert found.findings[1].description.startswith(found.findings[0].description)
    assert len(found.forecasts) == 1


@pytest.mark.parametrize(
    ("agent_config", "dashboard_ai", "expected", "forecasts"),
    [
        ({"dashboardAI": {"anomalyDetection": False}}, {}, [], 1),
        ({}, {"anomaly_detection": False}, [], 1),
        ({"dashboardAI": {"anomalyDetection": False}}, {"anomaly_detection": True}, ["alert", "recommendation"], 1),
        ({}, {"recommendations": False}, ["alert"], 1),
        ({"dashboardAI": {"predictiveAnalytics": False}}, {}, ["alert", "recommendation"], 0),
        ({"questionAnswering": {"confidenceThreshold": 1}}, {}, ["alert"], 1),
    ],
)
def test_each_preference_changes_what_is_found(
    agent_config: dict[str, Any], dashboard_ai: dict[str, Any], expected: list[str], forecasts: int
) -> None:
    found = analysed([SPIKE], agent_config, dashboard_ai)
    assert (types(found), len(found.forecasts)) == (expected, forecasts)


def test_trends_are_found_unless_they_are_not_wanted() -> None:
    growing = daily([value * 1.06 ** (day / 7) for day, value in enumerate(filter(None, usual(84)))])
    assert "trend" in types(analysed([growing]))
    assert "trend" not in types(analysed([growing], {}, {"trend_analysis": False}))


def test_a_basic_analysis_looks_at_the_last_day_and_an_advanced_one_at_the_last_week() -> None:
    earlier = daily([*usual(86), 400.0, *usual(90)[87:]])
    assert types(analysed([earlier])) == ["alert"]
    assert types(analysed([earlier], {"insightGeneration": {"analysisDepth": "basic"}})) == []


def test_what_is_too_short_is_said() -> None:
    [short] = analysed([daily(usual(20))]).skipped
    assert short.reason == "20 days of it are known; anomalies and forecasts take 28, with few gaps."
    [empty] = analysed([daily([0.0] * 40, measured="amount")]).skipped
    assert "how much it varies" in empty.reason


def test_there_are_so_many_insights_and_no_more_those_first_that_matter_most() -> None:
    many: list[Read] = [daily([*usual(89), 400.0], name=f"s{number}", worse="up") for number in range(25)]
    found = analysed([*sent(DASHBOARD), *many])
    assert len(found.findings) == MOST_INSIGHTS
    assert found.findings[0].priority == "critical"


def test_what_is_less_sure_than_is_wanted_is_marked() -> None:
    usual_agent, any_agent = agent_of({}, {}), agent_of({"questionAnswering": {"confidenceThreshold": 0}}, {})
    frequency, _ = analysed(sent(DASHBOARD)).findings
    assert is_confident(frequency, any_agent)
    assert is_confident(frequency, usual_agent) is (rates()["ratio.drop"].value >= 0.8)


def test_every_rate_that_a_finding_may_have_is_measured() -> None:
    named = {f"anomaly.{each}.{size}" for each in ("hour", "day", "week", "step") for size in (4, 5, 7)}
    named |= {f"forecast.{each}" for each in ("hour", "day", "week", "step")}
    assert rates().keys() == named | {"trend.0.01", "trend.0.001", "ratio.drop", "ratio.rise"}
    assert all(isinstance(each, Rate) and 0 < each.value < 1 and each.says for each in rates().values())
