import json
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sluice.quota.limits import LimitStatus, deployment_limit
from sluice.reports.alerts import QuotaAlert, alert
from sluice.reports.material import Counted
from tests.usage_history import budget_of, requests_of
from tools.processes import ROOT

NOW = datetime(2026, 11, 26, 9, 5, tzinfo=UTC)
SCHEMA: Any = json.loads((ROOT / "docs" / "quota-alert.schema.json").read_text())


def deployment(used: int, limit: str = "tokens_per_day", capacity: int = 1_000) -> Counted:
    return Counted(
        of="deployment",
        id="groq-1#llama",
        name=None,
        limit=deployment_limit(limit, capacity),
        status=LimitStatus(limit, capacity, used, 3_600_000),
        selects={"credential": "groq-1", "model": "llama"},
    )


def given(counted: Counted) -> QuotaAlert:
    found = alert(counted, NOW, "sluice")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "counted",
    [
        budget_of("tenant", 83, name="The school", tenant="school"),
        budget_of("key", 100, tenant="school", caller="k1"),
        requests_of("k1", 95, tenant="school", caller="k1"),
        deployment(1_200),
        deployment(900, "characters_per_month"),
    ],
)
def test_alerts_are_what_the_schema_says(counted: Counted) -> None:
    validator = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(json.loads(json.dumps(given(counted))))


def test_the_schema_has_the_fields_of_an_alert_and_no_others() -> None:
    assert set(SCHEMA["properties"]) == set(QuotaAlert.__annotations__) == set(SCHEMA["required"])


@pytest.mark.parametrize(
    ("used", "percentage"), [(799, None), (800, 80), (899, 80), (900, 90), (999, 90), (1_000, 100), (1_500, 100)]
)
def test_the_highest_percentage_that_is_reached_is_told(used: int, percentage: int | None) -> None:
    found = alert(deployment(used), NOW, "sluice")
    assert (found and found["percentage"]) == percentage
    assert found is None or found["is_blocked"] == (percentage == 100)


def test_minutes_are_not_told_of_nor_limits_of_nothing() -> None:
    assert alert(deployment(1_000, "tokens_per_minute"), NOW, "sluice") is None
    assert alert(budget_of("tenant", 0, usd=0, tenant="school"), NOW, "sluice") is None


def test_a_window_is_the_utc_month_or_day() -> None:
    assert given(budget_of("tenant", 90, tenant="school"))["window"] == "2026-11"
    assert given(deployment(900))["window"] == "2026-11-26"


def test_an_alert_has_the_same_id_whenever_it_is_found_and_another_at_each_percentage() -> None:
    first, again = given(deployment(800)), alert(deployment(850), NOW.replace(hour=23), "sluice")
    assert again
    assert first["id"] == again["id"]
    others = (given(deployment(900)), given(deployment(800, "characters_per_month")))
    assert len({first["id"], *(each["id"] for each in others)}) == 3


def test_the_text_says_whose_limit_how_much_and_until_when() -> None:
    text = given(budget_of("tenant", 83, tenant="school"))["text"]
    assert text.startswith("83 % used, tenant school: budget of the month, $8.30 of $10.00.")
    assert "2026-11-30 09:05 UTC" in text
    assert given(deployment(1_000))["text"].startswith("Used up, deployment groq-1#llama: tokens a day, 1,000 of 1,000")
