"""Ids of findings: the same for the same finding, and no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.insights.agent import agent_of
from sluice.insights.analysis import analyse
from sluice.insights.finding import Finding
from sluice.insights.identity import finding_id, is_finding_id, is_of_own_figures, topic_of
from tests.insight_series import daily, usual

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


def test_what_is_no_id_is_none() -> None:
    assert not any(map(is_finding_id, ["", "ins_1_2", "ins_2026120500_" + "g" * 24, "ins_2026120500_" + "a" * 25]))
