"""The code that the documentation shows, taken out of its pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.processes import ROOT

# What runs. Other languages (json, toml) are data, or show what is printed.
PROGRAMS = frozenset({"python", "sh"})

_SNIPPET = re.compile(
    r"(?m)^(?P<indent> *)(?:<!-- not run: (?P<reason>[^>]*?) -->\n(?P=indent))?"
    r"```(?P<language>\w*)[^\n]*\n(?P<code>(?:.*\n)*?)(?P=indent)```$"
)
_HEADING = re.compile(r"(?m)^#+ (.+)$")
# A status of HTTP that a comment announces for what follows it: "# A guard at work: 400, and nothing was spent."
_ANNOUNCED = re.compile(r"(?m)^#.*\b([45]\d\d)\b")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block of a page. `reason` says why it is not run, None if it is."""

    page: str
    heading: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def name(self) -> str:
        """Where it stands: `README.md:38`."""
        return f"{self.page}:{self.line}"

    @property
    def announced_errors(self) -> list[int]:
        """The statuses of errors that its comments announce, in order."""
        return [int(status) for status in _ANNOUNCED.findall(self.code)]

    def at(self, root_url: str, api_key: str) -> str:
        """The code for a running stack, in place of that of `make run` and the key that a reader fills in."""
        return self.code.replace("http://localhost:8080", root_url).replace("sl-...", api_key)


def snippets(path: Path) -> Iterator[Snippet]:
    """All blocks of a page."""
    text = path.read_text()
    for found in _SNIPPET.finditer(text):
        headings = _HEADING.findall(text[: found.start()])
        indent = len(found["indent"])
        yield Snippet(
            page=str(path.relative_to(ROOT)),
            heading=headings[-1] if headings else "",
            line=text.count("\n", 0, found.start()) + 1,
            language=found["language"],
            code="".join(line[indent:] for line in found["code"].splitlines(keepends=True)),
            reason=found["reason"],
        )
