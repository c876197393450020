"""What docs/clients.md shows of clients.toml and outcomes.json."""

from collections.abc import Sequence

from tools.compat import outcomes
from tools.compat.clients import Client, Quickstart, clients
from tools.compat.outcomes import Outcome

_NOT_RUN = "<!-- not run: `make compat` runs it, with the client in an environment of its own -->"
_LANGUAGES = {".py": "python", ".mjs": "js", ".sh": "sh"}


def client_rows() -> Sequence[tuple[str, str, str, str]]:
    """Client, version, surface, and whether it works, of all quickstarts."""
    return [
        (client.title, outcome.version, outcome.surface, _said(outcome))
        for client, outcome in _recorded()
        if any(outcome.part == quickstart.script for quickstart in client.quickstarts)
    ]


def quickstart_sections() -> str:
    """How each client is pointed at Sluice, with its scripts."""
    return "\n\n".join(_section(client) for client in clients() if client.quickstarts)


def _section(client: Client) -> str:
    heading = f"### {client.title}\n\n[`{client.packages[0]}`]({client.page}). {client.pointing}"
    oddity = f"\n\nTo know: {client.oddity}" if client.oddity else ""
    return "\n\n".join([heading + oddity, *(_script(each) for each in client.quickstarts)])


def _script(quickstart: Quickstart) -> str:
    language = _LANGUAGES[quickstart.path.suffix]
    mark = "" if language == "js" else f"{_NOT_RUN}\n"
    return f"{quickstart.surface.capitalize()}:\n\n{mark}```{language}\n{quickstart.code.strip()}\n```"


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
