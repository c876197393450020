"""An event of one repository of GitHub's, and what documents of it have in common. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from sluice.ingestion.change import IgnoredError, NotUnderstoodError, moment, versioned
from sluice.ingestion.reading import listing, mapping
from sluice.ingestion.source import SourceOptions

_FULL_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)


class GitHubEvent:
    """An event of one repository, and when it was told. Raises IgnoredError, NotUnderstoodError."""

    def __init__(self, payload: Mapping[str, Any], received_ms: int, options: SourceOptions) -> None:
        repository = payload.get("repository")
        name = repository if isinstance(repository, str) else mapping(repository).get("full_name")
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            raise NotUnderstoodError("an event names no repository")
        if not options.takes_repository(name):
            raise IgnoredError("a repository that is not taken")
        self.payload = payload
        self.repository = name
        self.received_ms = received_ms

    @property
    def action(self) -> object:
        """What happened."""
        return self.payload.get("action")

    @property
    def items(self) -> list[Mapping[str, Any]]:
        """What a list of the backfill holds."""
        return [mapping(each) for each in listing(self.payload.get("items"))]

    def at(self, value: object) -> str:
        """The moment of a part, and when it was told of."""
        return versioned(moment(value) or moment(self.received_ms) or "", self.received_ms)

    def document_id(self, number: int) -> str:
        """The id of an issue or a pull request."""
        return f"github:{self.repository}#{number}"


def attributes_of(event: GitHubEvent, **others: str | float) -> dict[str, str | float | bool]:
    """What searches are filtered by; empty texts are left out."""
    known = {name: value for name, value in others.items() if value != ""}
    return {"source": "github", "repository": event.repository, **known}


def url_of(value: object) -> str:
    """A URL of a page; an empty text in place of anything else."""
    is_url = isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= 2_000
    return value if is_url and isinstance(value, str) and value.isascii() and value.isprintable() else ""
