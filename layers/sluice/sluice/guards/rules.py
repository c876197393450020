"""Guard rules: data in shared/guards/, compiled into linear-time automata.

A rule fires when the weights of its signals reach its threshold; a signal is one sign in several wordings, counted
once. All patterns are matched together, in a time linear in the text: docs/decisions/0003-guard-rules-are-data.md.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from sluice.errors import InvalidRequestError
from sluice.guards.normalization import fold
from sluice.guards.validators import VALIDATORS

DIRECTORY = Path(__file__).parent.parent / "shared" / "guards"

PROMPT_EMPTY = "prompt-empty"
PROMPT_OVERSIZED = "prompt-oversized"

_GAP = re.compile(r"<\.\.(\d+)>")
_NAME = re.compile(r"<(\w+)>")


class Mode(StrEnum):
    """What happens when a rule fires."""

    BLOCK = "block"
    FLAG = "flag"
    OFF = "off"


class Direction(StrEnum):
    """Which way a text travels."""

    PROMPT = "prompt"
    OUTPUT = "output"


class View(StrEnum):
    """What a pattern is matched against: the text as it was written, or its plain words."""

    TEXT = "text"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Signal:
    """One sign, in several wordings. `held` matches every beginning of a match: a stream waits while it sees one."""

    patterns: tuple[str, ...]
    weight: float
    view: View
    held: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of shared/guards/*.toml. `roles` is None when messages of every role are judged."""

    id: str
    description: str
    mode: Mode
    applies: frozenset[Direction]
    roles: frozenset[str] | None
    threshold: float
    validator: str | None
    signals: tuple[Signal, ...]
    supported_by: frozenset[str] = frozenset()

    def judges(self, role: str) -> bool:
        """Whether messages of this role are its business."""
        return self.roles is None or role in self.roles


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fired. It carries nothing of the text that it fired on."""

    rule_id: str
    mode: Mode
    message: str


def read_rules(directory: Path = DIRECTORY) -> tuple[Rule, ...]:
    """All rules of a directory, ordered by file name; a mistake raises ValueError naming the file and the rule."""
    rules: list[Rule] = []
    for path in sorted(directory.glob("*.toml")):
        document = tomllib.loads(path.read_text("utf-8"))
        view, vocabulary = View(document["view"]), document.get("vocabulary", {})
        for row in document["rules"]:
            try:
                rules.append(_rule(row, view, vocabulary))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path.name}, rule {row.get('id', '?')}: {error!r}") from error
    return tuple(rules)


def _rule(row: Mapping[str, Any], view: View, vocabulary: Mapping[str, str]) -> Rule:
    if row.get("validator") is not None and row["validator"] not in VALIDATORS:
        raise ValueError(f"validator must be one of {sorted(VALIDATORS)}, got {row['validator']!r}")
    return Rule(
        id=row["id"],
        description=row["description"],
        mode=Mode(row["mode"]),
        applies=frozenset(Direction(name) for name in row["applies"]),
        roles=frozenset(row["roles"]) if "roles" in row else None,
        threshold=row.get("threshold", 1.0),
        validator=row.get("validator"),
        signals=tuple(_signal(signal, view, vocabulary) for signal in row["signals"]),
        supported_by=frozenset(row.get("supported_by", ())),
    )


def _signal(row: Mapping[str, Any], default_view: View, vocabulary: Mapping[str, str]) -> Signal:
    view = View(row.get("view", default_view))
    patterns: list[str] = row["patterns"]
    if view is View.WORDS:
        patterns = [_word_pattern(pattern, vocabulary) for pattern in patterns]
    return Signal(tuple(patterns), row.get("weight", 1.0), view, row.get("held", r"\S+"))


def _word_pattern(pattern: str, vocabulary: Mapping[str, str]) -> str:
    pattern = _GAP.sub(r"(?:[^ ]+ ){0,\1}", pattern)
    pattern = _NAME.sub(lambda name: f"(?:{vocabulary[name[1]]})", pattern)
    return f" (?:{fold(pattern).lower() if not pattern.isascii() else pattern}) "


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of this process, read once."""
    return read_rules()


@cache
def rule_ids() -> frozenset[str]:
    """Every id that a tenant can give a mode for."""
    return frozenset({PROMPT_EMPTY, PROMPT_OVERSIZED} | {rule.id for rule in rules()})


def check_rule_ids(ids: Iterable[str], param: str) -> None:
    """InvalidRequestError, naming the field below `param`, for an id of no rule: a mode for it would do nothing."""
    for field in (f"{param}.{each}" for each in ids if each not in rule_ids()):
        known = ", ".join(sorted(rule_ids()))
        raise InvalidRequestError(f"{field}: there is no such guard rule; there are {known}.", param=field)
