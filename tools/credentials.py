"""Which provider keys the local stack is given: those in .env and credentials.json, and the local model."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.catalog.catalog import catalog
from sluice.providers.credentials import CredentialsError, parse_credentials
from sluice.providers.registry import Registry
from tools import model
from tools.env_file import Problem, read_env_file, read_text

type Credential = Mapping[str, Any]
"""An entry of the credentials secret."""

_FORM = "README.md shows its form, under Provider credentials"


@dataclass(frozen=True, slots=True)
class FoundCredentials:
    """What files with keys hold: what can be used, and the mistakes in what can't."""

    credentials: Sequence[Credential] = ()
    problems: Sequence[Problem] = ()


def local_model(base_url: str, *, by_name_only: bool) -> Credential:
    """The credential of the local model, chosen for `auto` unless it is to be had `by_name_only`."""
    credential = {"provider": "local", "alias": "local-1", "api_key": "local", "base_url": base_url}
    return credential | {"models": {model.ALIAS: {"serves": []}}} if by_name_only else credential


def from_files(root: Path) -> FoundCredentials:
    """The credentials of `.env` and `credentials.json` in a folder; none if there are no such files."""
    env_file = read_env_file(root / ".env")
    found: list[Credential] = []
    for each in env_file.keys:
        number = 1 + sum(other["provider"] == each.variable.provider for other in found)
        found.append(
            {"provider": each.variable.provider, "alias": f"{each.variable.alias}-{number}", "api_key": each.key}
        )
    entries = _from_json(root / "credentials.json", found)
    return FoundCredentials([*found, *entries.credentials], [*env_file.problems, *entries.problems])


def _from_json(path: Path, others: Sequence[Credential]) -> FoundCredentials:
    if not path.exists():
        return FoundCredentials()
    text = read_text(path)
    if isinstance(text, Problem):
        return FoundCredentials(problems=[text])
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        remedy = "Look for a comma, quotation mark or bracket that is missing or too many there, or just before"
        return FoundCredentials(problems=[Problem(path.name, error.lineno, f"it is not JSON: {error.msg}", remedy)])
    try:
        parsed = parse_credentials(text)
    except CredentialsError as error:
        return FoundCredentials(problems=[Problem(path.name, 1, _own_words(error.message), _FORM)])
    try:
        broken = Registry.build(catalog(), parsed).broken
    except CredentialsError as error:
        broken = error.broken
    lines = dict(enumerate(_lines_of_entries(text)))
    mistakes = {each.position: (each.reason, _FORM) for each in broken}
    for position, entry in enumerate(document["credentials"]):
        if position not in mistakes and (clash := _clash(entry, others)):
            mistakes[position] = clash
    return FoundCredentials(
        [entry for position, entry in enumerate(document["credentials"]) if position not in mistakes],
        [Problem(path.name, lines.get(position), *mistakes[position]) for position in sorted(mistakes)],
    )


def _clash(entry: Credential, others: Sequence[Credential]) -> tuple[str, str] | None:
    """What an entry has that one of .env has too, and the remedy."""
    if any(entry.get("alias") == each["alias"] for each in others):
        return f"the alias {entry['alias']!r} is that of a key in .env", "Choose another alias"
    if any(entry.get("api_key") == each["api_key"] for each in others):
        return "its key is in .env too", "Remove one: its provider's limits are counted once, and two would be spent"
    return None


def _own_words(message: str) -> str:
    return message.removeprefix("the credentials secret: ")


def _lines_of_entries(text: str) -> Iterator[int]:
    """The line that each entry begins in."""
    decoder = json.JSONDecoder()
    start = re.search(r'"credentials"\s*:\s*\[', text)
    at = start.end() if start else len(text)
    while separator := re.compile(r"[\s,]*(?=[^\s,\]])").match(text, at):
        yield text.count("\n", 0, separator.end()) + 1
        _, at = decoder.raw_decode(text, separator.end())
