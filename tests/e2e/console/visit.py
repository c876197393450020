"""A visit to the console in a real browser, as a person would make it, which notes all that goes wrong."""

from collections.abc import Collection
from importlib.resources import files
from typing import Any, Self

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_SERIOUS = {"serious", "critical"}
# Long enough for functions that start on a busy machine, several at once.
_WAIT_MS = 60_000
_SKELETONS = "() => document.querySelectorAll('.skeleton, [aria-busy=true]').length"
_TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_AXE = """rules => axe.run(document, {runOnly: rules}).then(found => found.violations.map(
  each => [each.impact, `${each.id}: ${each.nodes.map(node => node.html.slice(0, 120)).join(' ')}`]))"""


class Visit:
    """A page of the console. `expects` are statuses of answers that are meant to go wrong."""

    def __init__(self, browser: Browser, url: str, *, expects: Collection[int] = (), **options: Any) -> None:
        """Open the console; `options` are those of a browser's context."""
        self.url = url
        self.problems: list[str] = []
        """What the browser complained of: errors of scripts, and what the policy refused."""
        self.asked: list[str] = []
        """The requests to the API, as method and path."""
        self._expected = [f"status of {status}" for status in expects]
        self._context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", **options)
        self._context.set_default_timeout(_WAIT_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._note)
        self.page.goto(f"{url}/console")

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        self._context.close()

    def expect(self, status: int) -> None:
        """Answers of this status are meant from now on."""
        self._expected.append(f"status of {status}")

    def sign_in(self, key: str) -> None:
        """Sign in, and wait for the first screen."""
        self.page.fill("#key", key)
        self.page.click("form .primary")
        self.page.wait_for_selector(".shell")
        self.settle()

    def go(self, screen: str) -> None:
        """Go to a screen by its address, and wait until it has what it shows."""
        self.page.evaluate("screen => { location.hash = '/' + screen }", screen)
        self.settle()

    def settle(self) -> None:
        """Wait until the screen has what it shows. Not by wait_for_function, which takes eval."""
        self.page.wait_for_timeout(100)
        self.page.wait_for_selector("h1")
        for _ in range(_WAIT_MS // 50):
            if not self.page.evaluate(_SKELETONS):
                return
            self.page.wait_for_timeout(50)
        raise TimeoutError(f"{self.page.url} is still loading")

    def text(self) -> str:
        """What the screen says."""
        return self.page.inner_text("main")

    def findings(self) -> list[str]:
        """What axe finds on the page that is serious, and by how many pixels the page is too wide."""
        if not self.page.evaluate("() => 'axe' in window"):
            # The policy is for what a page runs: the browser's own tools are not bound by it.
            self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
        found = [says for impact, says in self.page.evaluate(_AXE, _RULES) if impact in _SERIOUS]
        too_wide = self.page.evaluate(_TOO_WIDE)
        return [*found, *([f"{too_wide} px too wide"] if too_wide > 0 else [])]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(each in message.text for each in self._expected):
            self.problems.append(f"console: {message.text[:300]}")

    def _note(self, request: Request) -> None:
        path = request.url.removeprefix(self.url)
        if not path.startswith(("/console", "data:", "blob:")):
            self.asked.append(f"{request.method} {path}")
