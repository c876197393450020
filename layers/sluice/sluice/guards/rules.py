"""Guard rules: data in shared/guards/, compiled into linear-time automata.

A rule fires when the weights of its signals reach its threshold; a signal is one sign in several wordings, counted
once. All patterns are matched together, in a time linear in the text: docs/decisions/0003-guard-rules-are-data.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from sluice.errors import InvalidRequestError
from sluice.guards.context import Context
from sluice.guards.normalization import fold
from sluice.guards.validators import VALIDATORS
from sluice.loading.dataclass import dataclass
from sluice.loading.toml import read_toml

DIRECTORY = Path(__file__).parent.parent / "shared" / "guards"

PROMPT_EMPTY = "prompt-empty"
PROMPT_OVERSIZED = "prompt-oversized"
GUARD_MODEL_PROMPT = "guard-model-prompt"
GUARD_MODEL_ANSWER = "guard-model-answer"
GUARD_MODEL_UNAVAILABLE = "guard-model-unavailable"
"""No mode of a tenant's, but its `when_unavailable`, says what this does."""
GUARD_MODEL_RULES = frozenset({GUARD_MODEL_PROMPT, GUARD_MODEL_ANSWER, GUARD_MODEL_UNAVAILABLE})
"""What guard models find, where a tenant has some."""

_GAP = re.compile(r"<\.\.(\d+)>")
_NAME = re.compile(r"<(\w+)>")


class Mode(StrEnum):
    """What happens when a rule fires."""

    BLOCK = "block"
    FLAG = "flag"
    OFF = "off"


STRICTNESS = {Mode.OFF: 0, Mode.FLAG: 1, Mode.BLOCK: 2}
"""Modes by how much they do."""


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
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of shared/guards/*.toml. `roles` is None when messages of every role are judged.

    `sums` names rules whose weights it adds to its own, where none of them fired. The mode of one that `is_fixed` is
    the same for every tenant. `moderation` are OpenAI's categories of moderations that it is about.
    """

    id: str
    description: str
    mode: Mode
    applies: frozenset[Direction]
    roles: frozenset[str] | None
    threshold: float
    validator: str | None
    signals: tuple[Signal, ...]
    supported_by: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()
    is_fixed: bool = False
    moderation: tuple[str, ...] = ()

    def judges(self, role: str | None) -> bool:
        """Whether messages of this role are its business; without a role, it is no message."""
        return self.roles is None or role is None or role in self.roles

    def mode_of(self, modes: Mapping[str, Mode]) -> Mode:
        """Its mode for a tenant with these modes."""
        return self.mode if self.is_fixed else modes.get(self.id, self.mode)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fired. It carries nothing of the text that it fired on."""

    rule_id: str
    mode: Mode
    message: str


def read_rules(directory: Path = DIRECTORY) -> tuple[Rule, ...]:
    """All rules of a directory, ordered by file name; a mistake raises ValueError naming the file and the rule.

    A file may add `signals` to rules of other files: each of them names its rule.
    """
    rules: dict[str, Rule] = {}
    added: list[tuple[Path, str, Signal]] = []
    for path in sorted(directory.glob("*.toml")):
        document = read_toml(path)
        wording = _Wording.read(document)
        for row in document.get("rules", ()):
            with _named(path, row.get("id")):
                rules[row["id"]] = _rule(row, wording)
        for row in document.get("signals", ()):
            with _named(path, row.get("rule")):
                added.append((path, row["rule"], _signal(row, wording)))
    for path, rule_id, signal in added:
        with _named(path, rule_id):
            rules[rule_id] = replace(rules[rule_id], signals=(*rules[rule_id].signals, signal))
    return tuple(rules.values())


@contextmanager
def _named(path: Path, rule_id: object) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name}, rule {rule_id or '?'}: {error!r}") from error


@dataclass(frozen=True, slots=True)
class _Wording:
    """What the rules of a file share."""

    view: View
    vocabulary: Mapping[str, str]
    contexts: Mapping[str, Context]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "_Wording":
        vocabulary: dict[str, str] = {}
        for name, words in document.get("vocabulary", {}).items():
            vocabulary[name] = _expanded(words, vocabulary)
        view = View(document["view"])
        contexts = {name: _context(row, view, vocabulary) for name, row in document.get("contexts", {}).items()}
        return cls(view, vocabulary, contexts)


# Where the signs of a context have to be: right before a match, in it, or right after it.
_BEFORE, _INSIDE, _AFTER = "{0}(?:{1})$", "{0}(?:{1}){2}", "^(?:{1}){2}"
_PLACES = {
    "before": _BEFORE,
    "except_before": _BEFORE,
    "inside": _INSIDE,
    "after": _AFTER,
    "except_after": _AFTER,
    "demands": _AFTER,
}


def _context(row: Mapping[str, Any], view: View, vocabulary: Mapping[str, str]) -> Context:
    is_words = View(row.get("view", view)) is View.WORDS
    begin, end = ("(?:^| )", "(?: |$)") if is_words else ("", "")
    plain = _plain if is_words else str
    signs = {
        name: tuple(_PLACES[name].format(begin, plain(_expanded(each, vocabulary)), end) for each in signs)
        for name, signs in row.items()
        if name not in {"weight", "view"}
    }
    return Context(weight=row["weight"], **signs)


def _rule(row: Mapping[str, Any], wording: _Wording) -> Rule:
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
        signals=tuple(_signal(signal, wording) for signal in row["signals"]),
        supported_by=frozenset(row.get("supported_by", ())),
        sums=frozenset(row.get("sums", ())),
        is_fixed=row.get("is_fixed", False),
        moderation=tuple(row.get("moderation", ())),
    )


def _signal(row: Mapping[str, Any], wording: _Wording) -> Signal:
    view = View(row.get("view", wording.view))
    patterns: list[str] = row["patterns"]
    if view is View.WORDS:
        patterns = [f" (?:{_plain(_expanded(pattern, wording.vocabulary))}) " for pattern in patterns]
    context = wording.contexts[row["context"]] if "context" in row else None
    return Signal(tuple(patterns), row.get("weight", 1.0), view, row.get("held", r"\S+"), context)


def _expanded(pattern: str, vocabulary: Mapping[str, str]) -> str:
    pattern = _GAP.sub(r"(?:[^ ]+ ){0,\1}", pattern)
    return _NAME.sub(lambda name: f"(?:{vocabulary[name[1]]})", pattern)


def _plain(pattern: str) -> str:
    """A pattern of words as the words are that it sees."""
    return pattern if pattern.isascii() else fold(pattern).lower()


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of this process, read once."""
    return read_rules()


@cache
def rule_ids() -> frozenset[str]:
    """The ids of all rules."""
    return frozenset(
        {PROMPT_EMPTY, PROMPT_OVERSIZED, GUARD_MODEL_PROMPT, GUARD_MODEL_ANSWER} | {rule.id for rule in rules()}
    )


@cache
def own_modes() -> Mapping[str, Mode]:
    """The mode of each rule whose mode is not fixed, where nobody says another."""
    fixed = (PROMPT_EMPTY, GUARD_MODEL_PROMPT, GUARD_MODEL_ANSWER)
    return {**dict.fromkeys(fixed, Mode.BLOCK), **{rule.id: rule.mode for rule in rules() if not rule.is_fixed}}


@cache
def modes_up_to(most: Mode) -> Mapping[str, Mode]:
    """The modes of rules that would do more than `most`, so that they do that: `most` itself.

    A prompt's size is not among them: how long one may be is a setting of its own.
    """
    return {rule_id: most for rule_id, mode in own_modes().items() if STRICTNESS[mode] > STRICTNESS[most]}


def check_rule_ids(ids: Iterable[str], param: str) -> None:
    """InvalidRequestError, naming the field below `param`, for an id of no rule or of one whose mode is fixed."""
    fixed = {rule.id for rule in rules() if rule.is_fixed}
    for each in ids:
        field = f"{param}.{each}"
        if each in fixed:
            raise InvalidRequestError(f"{field}: this guard rule has the same mode for every tenant.", param=field)
        if each not in rule_ids():
            known = ", ".join(sorted(rule_ids() - fixed))
            raise InvalidRequestError(f"{field}: there is no such guard rule; there are {known}.", param=field)
