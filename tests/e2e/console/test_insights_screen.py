"""Insights in the console: what is found is drawn with what was expected, rated, and muted."""

import json
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, Route

from tests.e2e.console.visit import Visit

_DAYS = 70
_WEEK = (120, 131, 125, 128, 119, 20, 24)


def _with_a_peak(route: Route) -> None:
    """A new tenant has no weeks behind it: a dashboard's own figures are sent in place of Sluice's."""
    if route.request.method != "POST":
        route.continue_()
        return
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in range(_DAYS, 0, -1)]
    points = [{"time": str(day), "value": _WEEK[day.weekday()] + day.day % 5} for day in days]
    points[-1]["value"] = 900
    body = {"deployments": {"points": points, "interval": "day", "measured": "count"}, "narrative": False}
    route.continue_(post_data=json.dumps(body))


def test_what_is_unusual_is_drawn_with_what_was_expected_rated_and_muted(
    chromium: Browser, url: str, keys: dict[str, str]
) -> None:
    with Visit(chromium, url) as visit:
        page = visit.page
        visit.sign_in(keys["manager"])
        visit.go("insights?by=hour")
        assert "With less than four weeks of use there is nothing to compare with" in visit.text()
        assert visit.findings() == []
        page.route("**/api/v1/ai/dashboard/insights?tenant=hostile", _with_a_peak)
        visit.go("insights")
        page.wait_for_selector(".insight .uplot")
        assert visit.findings() == []
        page.click(".insight >> text=Show table")
        page.wait_for_selector(".insight tbody >> text=900")
        page.click(".insight >> text=Useful >> nth=0")
        page.wait_for_selector(".insight:has-text('1 key found such useful')")
        page.click(".insight >> text=Mute for 7 days")
        page.wait_for_selector(".verdict:has-text('muted')")
        assert visit.problems == []
