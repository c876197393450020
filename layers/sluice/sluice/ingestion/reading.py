"""Values of payloads, whatever types they turn out to have. Pure."""

from collections.abc import Mapping
from typing import Any

from sluice.ingestion.change import MOST_LINE_CHARACTERS
from sluice.ingestion.markup import one_line

MOST_LISTED = 50
"""How many labels, components and the like are read."""


class Lines:
    """Lines of a document in the making; `trimmed` names those that were cut."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.trimmed: list[str] = []

    def add(self, label: str, text: str, most: int = MOST_LINE_CHARACTERS) -> None:
        """Add a line, unless there is nothing in it."""
        if text:
            self.lines.append((label, self.cut(label, text, most)))

    def cut(self, label: str, text: str, most: int) -> str:
        """A text with `most` characters at the most."""
        if len(text) <= most:
            return text
        if label.lower() not in self.trimmed:
            self.trimmed.append(label.lower())
        return text[:most].rstrip() + "..."


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def listing(value: object) -> list[Any]:
    """A JSON array; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """A string, on one line; an empty one in place of anything else."""
    return one_line(value[:100_000]) if isinstance(value, str) else ""


def name_of(value: object) -> str:
    """The name of a thing that may be an object or a string: {"name": "Bug"}, "Bug"."""
    if isinstance(value, Mapping):
        value = next(
            (value[each] for each in ("name", "value", "displayName", "login") if isinstance(value.get(each), str)), ""
        )
    return text_of(value)[:MOST_LINE_CHARACTERS]


def names_of(value: object) -> list[str]:
    """The names of things in a list, each once."""
    return list(dict.fromkeys(name for name in map(name_of, listing(value)[:MOST_LISTED]) if name))


def id_of(value: object) -> str:
    """An id, which may be a number or a string; empty if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    try:
        text = str(value)
    except ValueError:
        return ""  # a number of more digits than Python writes
    return text if 0 < len(text) <= 100 and text.isascii() and text.isprintable() and " " not in text else ""
