from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sluice.reports.daily import daily_report
from sluice.reports.local_day import LocalDay
from sluice.reports.material import Material, hour_of
from sluice.usage.sums import Use
from tests.usage_history import budget_of, requests_of, school_usage

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 23, 5, tzinfo=UTC)
MATERIAL = Material(
    tenant="school",
    name="The school",
    day=LocalDay(date(2026, 11, 25), BERLIN),
    now=NOW,
    sums=school_usage(NOW, BERLIN),
    counted=[
        requests_of("k1", 12, name="Physics", tenant="school", caller="k1"),
        budget_of("tenant", 92, name="The school", tenant="school"),
        budget_of("key", 100, tenant="school", caller="k2"),
    ],
    names={"k1": "Physics"},
)


def total(start: datetime, end: datetime) -> Use:
    return sum((each.use for each in MATERIAL.sums if start <= hour_of(each) < end), Use())


def test_a_report_has_the_day_of_the_time_zone_and_all_groupings_add_up_to_it() -> None:
    report = daily_report(MATERIAL)
    used = total(datetime(2026, 11, 24, 23, tzinfo=UTC), datetime(2026, 11, 25, 23, tzinfo=UTC))
    assert report["totals"]["requests"] == used.requests > 0
    assert round(report["totals"]["cost_usd"] * 1e9) == used.cost_nanousd
    assert sum(hour["requests"] for hour in report["hours"]) == used.requests
    assert (report["hours"][0]["local"], report["hours"][-1]["local"]) == ("00:00", "23:00")
    for name, rows in report["groups"].items():
        assert sum(row["requests"] for row in rows) == used.requests, name  # type: ignore[attr-defined]
    assert report["days"][29]["requests"] == used.requests
    assert [day["is_forecast"] for day in report["days"]] == [False] * 30 + [True] * 7
    assert (report["starts_at"], report["ends_at"]) == ("2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z")


def test_limits_are_listed_worst_first_with_what_is_expected_at_their_windows_end() -> None:
    limits = daily_report(MATERIAL)["limits"]
    assert [(each["id"], each["level"]) for each in limits] == [
        ("k2", "used up"),
        ("school", "over 90 %"),
        ("k1", "fine"),
    ]
    used_up, budget, requests = limits
    assert (budget["unit"], budget["capacity"], budget["used"]) == ("usd", 10, 9.2)
    assert budget["outlook"]
    assert budget["outlook"]["until"] == "2026-12-01T00:00:00Z"
    assert budget["outlook"]["total"] > 9.2
    assert budget["outlook"]["used_up_at"]
    assert budget["outlook"]["past_error_percent"] is not None
    assert used_up["outlook"]
    assert used_up["outlook"]["used_up_at"] == "2026-11-25T23:00:00Z"
    assert requests["outlook"]
    assert requests["outlook"]["until"] == "2026-11-26T00:00:00Z"


def test_what_a_budget_counts_beyond_what_was_recorded_is_listed() -> None:
    report = daily_report(MATERIAL)
    recorded = total(datetime(2026, 11, 1, tzinfo=UTC), NOW)
    [tenant, key] = sorted(report["unsettled"], key=lambda each: each["of"], reverse=True)
    assert tenant["recorded_usd"] == pytest.approx(recorded.cost_nanousd / 1e9)
    # All that is known of it, in billionths, and no more.
    assert tenant["beyond_usd"] == pytest.approx(9.2 - recorded.cost_nanousd / 1e9)
    assert (key["id"], key["counted_usd"]) == ("k2", 10)
    settled = replace(MATERIAL, counted=[budget_of("tenant", 1, tenant="school")])
    assert daily_report(settled)["unsettled"] == []


def test_the_first_day_of_a_tenant_has_a_report_without_errors_of_the_past() -> None:
    start = NOW - timedelta(hours=5)
    young = replace(MATERIAL, sums=[each for each in MATERIAL.sums if hour_of(each) >= start])
    report = daily_report(young)
    assert report["totals"]["requests"] > 0
    assert report["day_before"]["requests"] == 0
    assert report["day_error_percent"] is None
    assert report["month"]["outlook"]["method"] == "mean"


def test_a_day_without_anything_has_a_report() -> None:
    report = daily_report(replace(MATERIAL, sums=[], counted=[]))
    assert report["totals"]["requests"] == 0
    assert report["month"]["outlook"]["method"] == "none"
    assert [hour["requests"] for hour in report["hours"]] == [0] * 24


@pytest.mark.slow
def test_only_the_hundred_users_that_used_most_are_named() -> None:
    users = [f"user-{number:03}" for number in range(130)]
    many = replace(MATERIAL, sums=school_usage(NOW, BERLIN, weeks=1, callers=["k1"], users=users))
    report = daily_report(many)
    assert (len(report["groups"]["users"]), report["users_left_out"]) == (100, 30)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_days_when_clocks_are_changed_have_all_their_hours(day: date, hours: int) -> None:
    local = LocalDay(day, BERLIN)
    report = daily_report(replace(MATERIAL, day=local, now=local.end, sums=school_usage(local.end, BERLIN)))
    assert len(report["hours"]) == hours
    assert sum(hour["requests"] for hour in report["hours"]) == report["totals"]["requests"] > 0


def test_a_month_s_last_report_is_of_that_month() -> None:
    now = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)
    utc = ZoneInfo("UTC")
    usage = school_usage(now, utc)
    report = daily_report(replace(MATERIAL, now=now, day=LocalDay(date(2026, 11, 30), utc), sums=usage))
    used = sum(
        each.use.cost_nanousd
        for each in usage
        if datetime(2026, 11, 1, tzinfo=UTC) <= hour_of(each) < now.replace(minute=0)
    )
    assert report["month"]["month"] == "2026-11"
    assert round(report["month"]["so_far_usd"] * 1e9) == used > 0
    assert report["month"]["outlook"]["total"] == pytest.approx(report["month"]["so_far_usd"])
