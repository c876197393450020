"""Pages: which file a path is answered with, what browsers keep, and that nothing else is reached."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from functions.console.app import SITE, handler
from sluice.api.pages import CONTENT_SECURITY_POLICY, Site
from tools import events, template
from tools.processes import ROOT

STATIC = ROOT / "functions" / "console" / "static"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "screens").mkdir()
    (tmp_path / "console.html").write_text('<script src="console/~version/app.js"></script>')
    (tmp_path / "app.js").write_text("import './screens/one.js'")
    (tmp_path / "screens" / "one.js").write_text("export default 1")
    return Site(tmp_path, files_below="/console")


def ask(path: str, **headers: str) -> dict[str, Any]:
    event = json.loads(events.page_text())
    answer: dict[str, Any] = handler({**event, "path": path, "headers": {**event["headers"], **headers}}, None)
    return answer


def test_a_page_names_files_of_its_own_version(site: Site) -> None:
    page = site.answer("/console", {})
    assert (page.status, page.text) == (200, f'<script src="console/{site.version}/app.js"></script>')
    assert page.headers["cache-control"] == "no-cache"


def test_a_file_of_this_version_is_kept_and_one_of_another_is_not(site: Site) -> None:
    kept = site.answer(f"/console/{site.version}/screens/one.js", {})
    assert (kept.status, kept.text) == (200, "export default 1")
    assert "immutable" in kept.headers["cache-control"]
    other = site.answer("/console/~0123456789abcdef/screens/one.js", {})
    assert (other.text, other.headers["cache-control"]) == (kept.text, "no-store")


def test_another_file_is_another_version(site: Site, tmp_path: Path) -> None:
    (tmp_path / "screens" / "one.js").write_text("export default 2")
    assert Site(tmp_path, files_below="/console").version != site.version


def test_what_the_browser_has_is_not_sent_again(site: Site) -> None:
    page = site.answer("/console", {})
    again = site.answer("/console", {"if-none-match": f'"other", W/{page.headers["etag"]}'})
    assert (again.status, again.text) == (304, "")
    assert site.answer("/console", {"if-none-match": '"other"'}).status == 200


def test_the_root_leads_to_the_console_in_a_stage_and_without_one() -> None:
    def location(shown: str) -> str:
        event = json.loads(events.page_text())
        answer = handler({**event, "path": "/", "requestContext": {"path": shown}}, None)
        assert answer["statusCode"] == 302
        return str(answer["multiValueHeaders"]["location"][0])

    assert (location("/live/"), location("/"), location("/live")) == ("console", "console", "live/console")
    assert ask("/console/")["multiValueHeaders"]["location"] == ["../console"]


@pytest.mark.parametrize(
    "path",
    [
        "/console/..%2f..%2fapp.py",
        "/console/../app.py",
        "/console/~x/../app.py",
        f"/console/{SITE.version}/../../app.py",
        f"/console/{SITE.version}/%2e%2e/app.py",
        f"/console/{SITE.version}//etc/passwd",
        f"/console/{SITE.version}/screens",
        f"/console/{SITE.version}/",
        f"/console/{SITE.version}/console.html",
        "/console/\x00",
        "/consoles",
        "/docs/app.js",
    ],
)
def test_no_path_leads_out_of_the_files(path: str) -> None:
    answer = ask(path)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/console", "/docs", f"/console/{SITE.version}/app.js", "/nowhere", "/"])
def test_everything_comes_with_a_strict_policy(path: str) -> None:
    headers = ask(path)["multiValueHeaders"]
    assert headers["content-security-policy"] == [CONTENT_SECURITY_POLICY]
    assert headers["x-content-type-options"] == ["nosniff"]
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY


def test_what_is_deployed_to_the_console_s_function_is_what_it_answers() -> None:
    routes = template.routes(template.load(), "ConsoleFunction")
    assert {(each.method, each.path) for each in routes} == {
        ("GET", "/"),
        ("GET", "/console"),
        ("GET", "/console/{file+}"),
        ("GET", "/docs"),
    }
    for path in ("/console", "/docs", f"/console/{SITE.version}/app.css"):
        assert ask(path)["statusCode"] == 200


def test_head_is_answered_without_a_body() -> None:
    event = json.loads(events.page_text())
    answer = handler({**event, "httpMethod": "HEAD"}, None)
    assert (answer["statusCode"], answer["body"]) == (200, "")


def test_pages_and_files_name_files_that_are_there() -> None:
    for path in STATIC.glob("*.html"):
        for name in re.findall(r'(?:src|href)="console/~version/([^"]+)"', path.read_text()):
            assert (STATIC / name).is_file(), name
    for path in STATIC.rglob("*.js"):
        if path.parent.name != "vendor":
            for name in re.findall(r"from '(\.[^']+)'", path.read_text()):
                assert (path.parent / name).is_file(), (path.name, name)


def test_nothing_in_the_pages_breaks_their_own_policy() -> None:
    for path in [*STATIC.glob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("screens/*.js")]:
        text = path.read_text()
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|javascript:|\beval\(|new Function|innerHTML|outerHTML", text
        )
        assert not re.search(r"style=[\"']", text), f"{path.name}: a style attribute"
        assert not re.search(r"(?:src|href)=\"https?://", text), f"{path.name}: something of another place"


def test_third_party_files_are_those_whose_hashes_and_licences_are_said() -> None:
    said = (STATIC / "vendor" / "LICENSES").read_text()
    files = [path for path in (STATIC / "vendor").iterdir() if path.name != "LICENSES"]
    assert files
    for path in files:
        assert f"vendor/{path.name}" in said
        assert hashlib.sha256(path.read_bytes()).hexdigest() in said
    assert "MIT License" in said
    assert "Apache License" in said
