from sluice.reports.daily import daily_report
from sluice.reports.erasure import without_user
from tests.unit.reports.test_daily import MATERIAL

REPORT = daily_report(MATERIAL)


def test_a_user_s_row_is_counted_with_what_names_nobody() -> None:
    users = REPORT["groups"]["users"]
    user = max(row["id"] for row in users)
    changed = without_user(REPORT, user)
    assert changed
    left = changed["groups"]["users"]
    assert user not in {row["id"] for row in left}
    assert {row["id"] for row in left} == {row["id"] for row in users} - {user} | {""}
    for name in ("requests", "prompt_tokens", "completion_tokens", "cache_hits", "errors"):
        assert sum(row[name] for row in left) == sum(row[name] for row in users)
    assert without_user(changed, user) is None


def test_all_else_stays_as_it_is() -> None:
    user = max(row["id"] for row in REPORT["groups"]["users"])
    changed = without_user(REPORT, user)
    assert changed
    assert {**changed, "groups": REPORT["groups"]} == REPORT
    assert {**changed["groups"], "users": []} == {**REPORT["groups"], "users": []}


def test_a_report_that_does_not_name_the_user_is_not_changed() -> None:
    assert without_user(REPORT, "nobody-there") is None
