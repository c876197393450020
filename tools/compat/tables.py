"""What docs/clients.md shows of clients.toml and outcomes.json."""

from collections.abc import Sequence

from tools.compat import outcomes
from tools.compat.clients import QUICKSTARTS, Client, Quickstart, clients
from tools.compat.outcomes import Outcome
from tools.processes import ROOT

_NOT_RUN = "<!-- not run: `make compat` runs it, with the client in an environment of its own -->"
_LANGUAGES = {".py": "python", ".mjs": "js", ".sh": "sh"}


def client_rows() -> Sequence[tuple[str, ...]]:
    """Client, version, surface, script, and whether it works, of all quickstarts."""
    return [
        (client.title, outcome.version, outcome.surface, _link(outcome.part), _said(outcome))
        for client, outcome in _recorded()
        if client.quickstarts
    ]


def quickstart_sections() -> str:
    """How each client is pointed at Sluice, with its scripts."""
    return "\n\n".join(_section(client) for client in clients() if client.quickstarts)


def suite_rows() -> Sequence[tuple[str, ...]]:
    """Suite, version, licence, part, API, and how many tests passed, failed and were left out."""
    return [
        (
            f"[{client.title}]({client.page})",
            outcome.version,
            client.licence,
            f"`{outcome.part}`",
            outcome.surface,
            str(outcome.passed),
            _failures(outcome),
            str(sum(each.tests for each in outcome.left_out) or ""),
        )
        for client, outcome in _recorded()
        if client.suites
    ]


def left_out_rows() -> Sequence[tuple[str, str, str, str]]:
    """Suite, part, how many tests are left out, and why."""
    return [
        (client.title, f"`{outcome.part}`", str(each.tests), each.reason)
        for client, outcome in _recorded()
        for each in outcome.left_out
    ]


def _link(script: str) -> str:
    """A script, seen from docs/clients.md."""
    return f"[`{script}`](../{(QUICKSTARTS / script).relative_to(ROOT)})"


def _failures(outcome: Outcome) -> str:
    """The tests that failed and by what, or why none ran."""
    return "; ".join(f"`{each.replace('`', "'")}`" for each in (outcome.why, *outcome.failed) if each)


def _section(client: Client) -> str:
    heading = f"### {client.title}\n\n[`{client.packages[0]}`]({client.page}). {client.pointing}"
    oddity = f"\n\nTo know: {client.oddity}" if client.oddity else ""
    return "\n\n".join([heading + oddity, *(_script(each) for each in client.quickstarts)])


def _script(quickstart: Quickstart) -> str:
    language = _LANGUAGES[quickstart.path.suffix]
    mark = "" if language == "js" else f"{_NOT_RUN}\n"
    heading = f"{quickstart.surface.capitalize()}, {_link(quickstart.script)}:"
    return f"{heading}\n\n{mark}```{language}\n{quickstart.code.strip()}\n```"


def _recorded() -> Sequence[tuple[Client, Outcome]]:
    """What is recorded, in the order of clients.toml."""
    found = {outcome.key: outcome for outcome in outcomes.read()}
    return [(client, found[run]) for client in clients() for run in client.runs if run in found]


def _said(outcome: Outcome) -> str:
    if outcome.verdict == "works":
        return "works"
    # It stands in a table's cell, and may quote anything.
    why = outcome.why.replace("`", "'")
    return f"{'no' if outcome.verdict == 'fails' else 'not run'}: `{why}`"
