import pytest

from sluice.reports.daily import daily_report
from sluice.reports.erasure import without_user
from sluice.reports.report import Report
from tests.unit.reports.test_daily import MATERIAL


@pytest.fixture(scope="module")
def report() -> Report:
    return daily_report(MATERIAL)


def test_a_user_s_row_is_counted_with_what_names_nobody(report: Report) -> None:
    users = report["groups"]["users"]
    user = max(row["id"] for row in users)
    changed = without_user(report, user)
    assert changed
    left = changed["groups"]["users"]
    assert user not in {row["id"] for row in left}
    assert {row["id"] for row in left} == {row["id"] for row in users} - {user} | {""}
    for name in ("requests", "prompt_tokens", "completion_tokens", "cache_hits", "errors"):
        assert sum(row[name] for row in left) == sum(row[name] for row in users)
    assert without_user(changed, user) is None


def test_all_else_stays_as_it_is(report: Report) -> None:
    user = max(row["id"] for row in report["groups"]["users"])
    changed = without_user(report, user)
    assert changed
    assert {**changed, "groups": report["groups"]} == report
    assert {**changed["groups"], "users": []} == {**report["groups"], "users": []}


def test_a_report_that_does_not_name_the_user_is_not_changed(report: Report) -> None:
    assert without_user(report, "nobody-there") is None
