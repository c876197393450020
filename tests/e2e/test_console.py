"""The console in a real browser, on the deployed stack, as a person uses it."""

import httpx
import pytest
from playwright.sync_api import Browser

from sluice.api.pages import CONTENT_SECURITY_POLICY
from tests.e2e.console_visit import Visit
from tools.stack import RunningStack


@pytest.fixture
def url(stack: RunningStack) -> str:
    """Where the console is."""
    return stack.stack.base_url.removesuffix("/v1")


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
        assert visit.findings() == []
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


def test_the_deployed_function_answers_as_the_local_door_does(stack: RunningStack, url: str) -> None:
    deployed = stack.deployment
    page = httpx.get(f"{deployed.api_url}/console", headers=deployed.api_headers)
    local = httpx.get(f"{url}/console")
    assert page.text == local.text
    for answer in (page, local):
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    again = httpx.get(f"{url}/console", headers={"if-none-match": local.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["..%2f..%2fapp.py", "../app.py", "~x/%2e%2e/%2e%2e/app.py", "%2fetc%2fpasswd"])
def test_no_path_leads_out_of_the_files(url: str, path: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with httpx.Client() as client:
        request = client.build_request("GET", url, extensions={"target": f"/console/{path}".encode()})
        answer = client.send(request)
    assert (host, port) != ("", "")
    assert answer.status_code == 404
    assert "SITE" not in answer.text


def test_the_description_of_the_api_is_shown(chromium: Browser, url: str) -> None:
    with Visit(chromium, url) as visit:
        visit.page.goto(f"{url}/docs")
        visit.page.wait_for_selector(".operation")
        assert visit.findings() == []
        visit.page.fill("input[type=search]", "/v1/chat/completions")
        visit.page.click("button:has-text('/v1/chat/completions')")
        assert "Answer a chat" in visit.text()
        assert visit.problems == []
