"""The console in a real browser, on the deployed stack, as a person uses it."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route

from sluice.api.pages import CONTENT_SECURITY_POLICY
from tests.e2e.conftest import FAKE_MODEL, PRICED_MODEL
from tests.e2e.console.conftest import FORMULA, HOSTILE, Api
from tests.e2e.console.visit import Visit
from tools.stack import RunningStack

TABS = [f"configuration?tab={tab}&tenant=hostile" for tab in ("agents", "embedding", "providers", "testing", "costs")]
SCREENS = ["overview", "activity", "usage", "providers", "configuration", "keys", "ask", "playground", "insights"]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 640}},
}


def test_the_root_leads_to_the_sign_in_and_a_key_to_the_overview(
    chromium: Browser, stack: RunningStack, url: str
) -> None:
    with Visit(chromium, url) as visit:
        visit.page.goto(url)
        assert visit.page.url == f"{url}/console"
        visit.page.wait_for_selector("#key")
        assert visit.findings() == []
        visit.sign_in(stack.stack.admin_key)
        assert visit.page.inner_text("h1") == "Overview"
        visit.page.click("text=Sign out")
        visit.page.wait_for_selector("#key")
        assert visit.page.evaluate("sessionStorage.length") == 0
        assert visit.problems == []


def test_a_key_that_is_none_is_refused_with_what_to_do(chromium: Browser, url: str) -> None:
    with Visit(chromium, url, expects={401}) as visit:
        for key, says in (("sl-nobody", "malformed"), ("sl-ключ", "characters that no key has")):
            visit.page.fill("#key", key)
            visit.page.click("form .primary")
            visit.page.wait_for_selector(f".trouble:has-text('{says}')")
        assert visit.problems == []


def test_a_deployment_is_tested_by_a_button(admin: Visit) -> None:
    admin.go("providers")
    deployment = f"[id='fake-1#{FAKE_MODEL}']"
    admin.page.click(f"{deployment} >> text=Test")
    admin.page.wait_for_selector(f"{deployment} >> text=Test passed.")


def test_two_models_are_compared_and_a_task_is_run(chromium: Browser, url: str, keys: dict[str, str]) -> None:
    with Visit(chromium, url) as visit:
        visit.sign_in(keys["lab"])
        visit.go("playground?mode=two")
        visit.page.select_option("#m0", FAKE_MODEL)
        visit.page.select_option("#m1", PRICED_MODEL)
        visit.page.fill("#ask", "Compare this")
        visit.page.press("#ask", "Control+Enter")
        visit.page.wait_for_selector(".pane >> nth=1 >> footer")
        visit.page.wait_for_selector(".pane >> nth=0 >> footer")
        assert visit.text().count("Compare this") == 2
        assert visit.findings() == []
        assert visit.problems == []


@pytest.mark.parametrize("look", LOOKS)
def test_every_screen_is_accessible_and_asks_at_most_three_requests(
    chromium: Browser, stack: RunningStack, url: str, keys: dict[str, str], look: str
) -> None:
    with Visit(chromium, url, **LOOKS[look]) as visit:
        visit.sign_in(stack.stack.admin_key)
        found: dict[str, Any] = {}
        # Where there is the least room.
        tabs = TABS if look == "narrow" else []
        for screen in [*SCREENS, *tabs, "keys?tenant=hostile", "usage?by=key&range=1d"]:
            before = len(visit.asked)
            visit.go(screen)
            asked, problems = visit.asked[before:], visit.findings()
            if problems or len(asked) > 3:
                found[screen] = (problems, asked)
        visit.go("activity?tenant=hostile")
        visit.page.click("tbody a.cover >> nth=0")
        visit.page.wait_for_selector("text=Decisions")
        found |= {"a request": problems} if (problems := visit.findings()) else {}
        visit.go("usage?tenant=hostile")
        visit.page.click("text=Show table")
        found |= {"a chart's table": problems} if (problems := visit.findings()) else {}
        assert found == {}
        assert visit.problems == []


def test_a_role_is_shown_what_it_may_see(chromium: Browser, url: str, keys: dict[str, str]) -> None:
    menus = {
        "lab": ["Overview", "Usage and costs", "Ask and search", "Playground"],
        "manager": [
            *("Overview", "Activity", "Usage and costs", "Insights", "AI configuration", "Keys and budgets"),
            *("Ask and search", "Playground"),
        ],
    }
    for key, menu in menus.items():
        with Visit(chromium, url) as visit:
            visit.sign_in(keys[key])
            shown = [each.split("\n")[0] for each in visit.page.locator("nav a").all_inner_texts()]
            assert shown == menu
            for screen in [
                "overview",
                "usage",
                "ask",
                *(["activity", "configuration", "keys"] if key == "manager" else []),
            ]:
                visit.go(screen)
                assert visit.page.query_selector(".trouble") is None
                assert visit.findings() == []
            visit.go("providers")
            assert "may not see this screen" in visit.text()
            assert visit.problems == []


def test_a_tenant_s_name_is_text_wherever_it_is(admin: Visit) -> None:
    for screen in ("overview", "keys?tenant=hostile", "activity?tenant=hostile", "usage?tenant=hostile"):
        admin.go(screen)
        assert admin.page.query_selector("img[src=x]") is None
        assert screen == "overview" or HOSTILE in admin.page.inner_text("body")


def test_a_table_holds_no_formulas(admin: Visit) -> None:
    admin.go("keys?tenant=hostile")
    admin.page.wait_for_selector(f"tbody >> text={FORMULA}")
    with admin.page.expect_download() as saved:
        admin.page.click("text=Save CSV")
    path = saved.value.path()
    names = {row["name"] for row in csv.DictReader(io.StringIO(Path(path).read_text()))}
    assert f"'{FORMULA}" in names
    assert not [name for name in names if name.startswith(("=", "+", "-", "@"))]


def test_keys_for_a_class_are_saved_as_a_table(admin: Visit) -> None:
    admin.go("keys?tenant=hostile")
    admin.page.click("text=Keys for a class")
    admin.page.fill("#c-names", "ada\ngrace\n\nada\n")
    admin.page.click("dialog .primary:has-text('Make keys')")
    admin.page.wait_for_selector("dialog:has-text('2 keys made')")
    admin.page.wait_for_selector("dialog >> text=Close")
    with admin.page.expect_download() as saved:
        admin.page.click("dialog >> text=Save CSV")
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
    assert [row["name"] for row in rows] == ["ada", "grace"]
    assert all(row["api_key"].startswith("sl-") for row in rows)


def test_a_key_is_changed_rotated_and_revoked(admin: Visit) -> None:
    page, name = admin.page, f"lab {time.time_ns()}"
    row = f"tbody button.name:has-text('{name}')"
    admin.go("keys?tenant=hostile")
    page.click(".page-aside >> text=Make a key")
    page.fill("#k-name", name)
    page.click("dialog .primary")
    page.click("text=I have stored it")
    page.click(row)
    page.wait_for_selector("dialog .quota:has-text('requests a day')")
    page.fill("#k-rpm", "7")
    page.click("dialog .primary:has-text('Save')")
    page.wait_for_selector(f"tbody tr:has-text('{name}'):has-text('7,')")
    page.click(row)
    page.click("dialog >> text=Rotate >> nth=-1")
    page.wait_for_selector("dialog:has-text('has another secret'):has-text('holds for 24 hours more')")
    page.click("text=I have stored it")
    page.wait_for_selector(f"tbody tr:has-text('{name}'):has-text('two secrets until')")
    page.click(row)
    page.wait_for_selector("dialog:has-text('The secret before this one is taken until')")
    page.click("text=Revoke…")
    page.click("text=Revoke for good")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector(row, state="detached")


def test_who_rotates_the_key_that_is_signed_in_goes_on_with_its_new_secret(
    chromium: Browser, url: str, api: Api
) -> None:
    name = f"own {time.time_ns()}"
    own = api.make("/v1/keys", tenant="hostile", name=name, role="manager")["api_key"]
    with Visit(chromium, url) as visit:
        page = visit.page
        visit.sign_in(own)
        visit.go("keys")
        page.click(f"tbody button.name:has-text('{name}')")
        page.select_option("#k-hours", "0")
        page.click("dialog >> text=Rotate >> nth=-1")
        page.wait_for_selector("dialog:has-text('has another secret')")
        page.click("text=I have stored it")
        kept = page.evaluate("sessionStorage.getItem('sluice.key')")
        assert kept != own
        assert kept.split("-")[1] == own.split("-")[1]
        # Keys are looked after with the newest secret alone.
        page.reload()
        visit.settle()
        page.click(f"tbody button.name:has-text('{name}')")
        page.fill("#k-name", f"{name} again")
        page.click("dialog .primary:has-text('Save')")
        page.wait_for_selector(f"tbody button.name:has-text('{name} again')")
        assert visit.problems == []


def test_ten_thousand_keys_are_read_page_by_page(admin: Visit) -> None:
    row = {"object": "key", "tenant": "hostile", "role": "caller", "created_at": 0, "expires_at": None}
    limits = {
        "requests_per_minute": 1,
        "requests_per_day": 2,
        "budget_usd_per_month": None,
        "tokens_per_minute": None,
        "tokens_per_day": None,
    }

    def page_of_keys(route: Route) -> None:
        after = route.request.url.partition("after=k")[2]
        first = int(after or -1) + 1
        data = [
            {**row, "id": f"k{number:011}", "name": f"pupil {number}", "limits": limits, "revoked_at": None}
            for number in range(first, first + 100)
        ]
        body = {"object": "list", "data": data, "has_more": first + 100 < 10_000}
        route.fulfill(body=json.dumps(body), content_type="application/json")

    admin.page.route("**/v1/keys?**", page_of_keys)
    admin.go("keys?tenant=hostile")
    admin.page.click("text=Load all")
    admin.page.wait_for_selector("h2:has-text('10,000 keys')", timeout=60_000)
    assert admin.page.locator("tbody tr").count() == 50
    admin.page.fill("input[aria-label='Filter by name or id']", "pupil 9999")
    admin.page.wait_for_selector("h2:has-text('1 key')")


def test_a_key_that_is_revoked_meanwhile_leads_back_to_the_sign_in(
    chromium: Browser, url: str, keys: dict[str, str]
) -> None:
    with Visit(chromium, url, expects={401}) as visit:
        visit.sign_in(keys["manager"])
        error = {"error": {"message": "This API key was revoked.", "code": "invalid_api_key"}}
        visit.page.route("**/v1/requests**", lambda route: route.fulfill(status=401, json=error))
        visit.page.evaluate("location.hash = '/activity'")
        visit.page.wait_for_selector("#key")
        assert "This API key was revoked." in visit.text()
        assert visit.page.evaluate("sessionStorage.getItem('sluice.key')") is None
        assert visit.problems == []


@pytest.mark.parametrize(("status", "says"), [(500, "It may pass"), (429, "Try again in 2 s"), (403, "higher role")])
def test_what_goes_wrong_is_said_with_what_to_do(
    chromium: Browser, url: str, keys: dict[str, str], status: int, says: str
) -> None:
    with Visit(chromium, url, expects={status}) as visit:
        visit.sign_in(keys["manager"])
        code = "insufficient_role" if status == 403 else "x"
        error = {"error": {"message": "It went wrong.", "code": code}}
        headers = {"retry-after": "2"} if status == 429 else {}
        visit.page.route("**/v1/requests**", lambda route: route.fulfill(status=status, json=error, headers=headers))
        visit.go("activity")
        assert "It went wrong." in visit.text()
        assert says in visit.text()
        visit.page.unroute("**/v1/requests**")
        visit.page.click("button:has-text('Try again')")
        visit.page.wait_for_selector("tbody a.cover")
        assert visit.problems == []


def test_old_figures_stay_when_the_stack_is_gone(chromium: Browser, url: str, keys: dict[str, str]) -> None:
    with Visit(chromium, url) as visit:
        visit.sign_in(keys["manager"])
        visit.go("activity")
        visit.page.wait_for_selector("tbody a.cover")
        visit.page.route("**/v1/requests**", lambda route: route.abort())
        visit.page.wait_for_selector(".stale", timeout=30_000)
        assert "Not updated since" in visit.text()
        assert visit.page.query_selector("tbody a.cover") is not None


def test_times_are_the_server_s_though_the_viewer_s_clock_is_hours_off(
    chromium: Browser, url: str, keys: dict[str, str], api: Api
) -> None:
    with Visit(chromium, url) as visit:
        visit.page.clock.set_fixed_time((time.time() + 5 * 3600) * 1000)
        visit.sign_in(keys["manager"])
        api.ask(keys["lab"], f"What time is it, {time.time_ns()}?")
        visit.go("overview")
        visit.page.reload()
        visit.settle()
        whens = visit.page.locator("main time").all_inner_texts()
        assert whens
        assert not [when for when in whens if "5 h" in when]


def test_all_of_it_can_be_reached_by_keyboard(admin: Visit) -> None:
    page = admin.page
    for letter, title in (("a", "Activity"), ("u", "Usage and costs"), ("k", "Keys and budgets"), ("o", "Overview")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_selector(f"h1:text-is('{title}')")
    page.keyboard.press("?")
    page.wait_for_selector("dialog:has-text('Keyboard')")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("/")
    page.keyboard.type("sky")
    page.keyboard.press("Escape")
    admin.go("activity?tenant=hostile")
    page.wait_for_selector("tbody a.cover")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Decisions")
    page.keyboard.press("Escape")
    page.wait_for_selector("h1:text-is('Activity')")


def test_the_first_load_is_small(chromium: Browser, url: str) -> None:
    with Visit(chromium, url) as visit:
        visit.page.wait_for_selector("#key")
        sizes = visit.page.evaluate("performance.getEntriesByType('resource').map(each => each.encodedBodySize)")
        assert 0 < sum(sizes) < 150_000


def test_the_deployed_function_answers_as_the_local_door_does(stack: RunningStack, url: str) -> None:
    deployed = stack.deployment
    page = httpx.get(f"{deployed.api_url}/console", headers=deployed.api_headers, timeout=60)
    local = httpx.get(f"{url}/console")
    assert page.text == local.text
    for answer in (page, local):
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    again = httpx.get(f"{url}/console", headers={"if-none-match": local.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["..%2f..%2fapp.py", "../app.py", "~x/%2e%2e/%2e%2e/app.py", "%2fetc%2fpasswd"])
def test_no_path_leads_out_of_the_files(url: str, path: str) -> None:
    with httpx.Client() as client:
        request = client.build_request("GET", url, extensions={"target": f"/console/{path}".encode()})
        answer = client.send(request)
    assert answer.status_code == 404
    assert "SITE" not in answer.text


def test_the_description_of_the_api_is_shown(chromium: Browser, url: str) -> None:
    with Visit(chromium, url) as visit:
        visit.page.goto(f"{url}/docs")
        visit.page.wait_for_selector(".operation")
        visit.page.fill("input[type=search]", "/v1/chat/completions")
        assert visit.findings() == []
        visit.page.click("button:has-text('/v1/chat/completions')")
        assert "Answer a chat" in visit.text()
        assert visit.problems == []
