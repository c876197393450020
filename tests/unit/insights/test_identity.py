"""Ids of findings: the same for the same finding, and no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sluice.insights.agent import agent_of
from sluice.insights.analysis import analyse
from sluice.insights.finding import Finding
from sluice.insights.identity import finding_id, is_finding_id, is_of_own_figures, topic_of
from sluice.insights.ratios import dropped
from sluice.insights.trends import trends
from tests.insight_series import MONDAY, daily, timed, usual

NOW = datetime(2026, 12, 6, 3, tzinfo=UTC)


def alert(**more: Any) -> Finding:
    [found, *_] = analyse([daily([*usual(89), 400.0], **more)], agent_of({}, {})).findings
    return found


def test_a_finding_is_the_same_whenever_it_is_found_and_whether_it_is_told_of_or_not() -> None:
    first = finding_id(alert(), NOW, is_own=True)
    assert first.startswith("ins_2026120500_")
    assert is_finding_id(first)
    assert is_of_own_figures(first)
    assert finding_id(replace(alert(), insight_type="anomaly"), NOW + timedelta(days=2), is_own=True) == first
    others = [
        finding_id(alert(name="other"), NOW, is_own=True),
        finding_id(replace(alert(), direction="down"), NOW, is_own=True),
        finding_id(replace(alert(), insight_type="recommendation"), NOW, is_own=True),
        finding_id(replace(alert(), at=NOW), NOW, is_own=True),
        finding_id(alert(), NOW, is_own=False),
    ]
    assert len({first, *others}) == 6
    assert all(map(is_finding_id, others))
    assert not is_of_own_figures(others[-1])


def test_findings_of_a_kind_in_a_series_are_one_topic() -> None:
    assert topic_of(alert()) == topic_of(replace(alert(), insight_type="anomaly", at=NOW, direction="down"))
    assert topic_of(alert()) != topic_of(alert(name="other"))
    assert topic_of(alert()) != topic_of(replace(alert(), insight_type="trend"))


def test_an_hour_and_the_day_that_it_begins_are_two_findings_of_two_topics() -> None:
    day = alert()
    hour = replace(day, interval="hour")
    assert finding_id(hour, NOW, is_own=True) != finding_id(day, NOW, is_own=True)
    assert topic_of(hour) != topic_of(day)


def test_a_trend_of_hours_is_the_same_one_in_all_hours_of_a_week() -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 9, 7, tzinfo=zone)
    weeks = 9

    def found(hours: int) -> str:
        values: list[float | None] = [100 + 10.0 * (hour // 168) for hour in range(weeks * 168 + hours)]
        [trend] = trends(timed("hour", values, first=first), 12)
        return finding_id(trend, NOW, is_own=True)

    # The clocks have gone back in October: the second hour that is over after nine weeks is Monday's first.
    assert {found(hours) for hours in (2, 3, 50, 169)} == {found(100)}
    assert found(100).startswith("ins_2026110823_")
    assert found(1) != found(100) != found(170)


def test_what_has_no_moment_is_the_same_in_all_hours_of_a_week() -> None:
    drop = dropped("deployments", 3, 5)
    assert drop is not None
    found = [finding_id(drop, MONDAY + timedelta(hours=hour), is_own=False) for hour in (0, 1, 167, 168)]
    assert len(set(found[:3])) == 1
    assert found[0].startswith("insd_2026090700_")
    assert found[3] != found[0]
    other = dropped("deployments", 2, 5)
    assert other is not None
    assert finding_id(other, MONDAY, is_own=False) != found[0]


def test_what_is_no_id_is_none() -> None:
    assert not any(map(is_finding_id, ["", "ins_1_2", "ins_2026120500_" + "g" * 24, "ins_2026120500_" + "a" * 25]))
