"""The event of an alert, against its schema."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from sluice.insights.agent import agent_of
from sluice.insights.analysis import analyse
from sluice.insights.identity import finding_id
from sluice.insights.notice import notice
from tests.insight_series import daily, usual
from tools.processes import ROOT

SCHEMA: Any = json.loads((ROOT / "docs" / "insight.schema.json").read_text())
NOW = datetime(2026, 12, 6, 3, tzinfo=UTC)


@pytest.mark.parametrize("value", [400.0, 0.0])
def test_the_event_is_what_its_schema_says(value: float) -> None:
    [alert, *_] = analyse([daily([*usual(89), value], name="usage.requests")], agent_of({}, {})).findings
    told = notice(alert, finding_id(alert, NOW, is_own=True), "acme", "sluice", NOW)
    jsonschema.validate(told, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert set(SCHEMA["properties"]) == set(told)
    assert told["text"].startswith("Tenant acme: Usage requests of 2026-12-05 was")
    assert " % of such findings in daily series" in told["text"]
