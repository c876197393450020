"""Which browser tests use, and what is said where there is none."""

from pathlib import Path

import pytest

from tools import browser


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without one: an empty folder to look for programs in."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "_MAC_APPLICATIONS", ())
    return tmp_path


def program(path: Path) -> str:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_a_browser_is_found_by_its_usual_names(name: str, no_browser: Path) -> None:
    assert browser.find() is None
    path = program(no_browser / name)
    assert browser.find() == path


def test_the_one_that_is_named_is_taken(
    no_browser: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program(no_browser / "chromium")
    named = program(tmp_path_factory.mktemp("elsewhere") / "chrome")
    monkeypatch.setenv("CHROMIUM", named)
    assert browser.find() == named


def test_one_that_is_named_and_not_there_is_not_replaced_by_another(
    no_browser: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(no_browser / "chromium")
    monkeypatch.setenv("CHROMIUM", "/nowhere/chrome")
    assert browser.find() is None
    with pytest.raises(SystemExit, match="CHROMIUM"):
        browser.main()


def test_what_is_missing_is_said(no_browser: Path) -> None:
    with pytest.raises(SystemExit, match="make test CHROMIUM="):
        browser.main()


@pytest.mark.usefixtures("no_browser")
def test_who_wants_no_browser_is_not_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "off")
    browser.main()
