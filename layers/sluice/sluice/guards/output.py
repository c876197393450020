"""The output guard: unsafe content and leaked secrets in the texts of answers, whole or streamed."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from sluice.guards.automata import silent_options
from sluice.guards.normalization import encode
from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Direction, Finding, Mode, View
from sluice.guards.scanner import scanner
from sluice.guards.strings import MOST_VALUES, read, readable, unescaped
from sluice.guards.work import WorkMeter

WINDOW_CHARACTERS = 256
"""Every secret is recognised within fewer characters than this; a stream never holds back more."""

_WORDS_EVERY_CHARACTERS = 64
_ESCAPE = re.compile(r"\\+(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_BEGUN_ESCAPE = re.compile(r"\\{1,32}(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?)?\Z")


class _Run(NamedTuple):
    """A part of a text: what it stands for, and how it is written. They are the same, or it is one escape."""

    plain: str
    written: str


def check_answer(text: str, *, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in a text of an answer; `modes` as in check_prompt."""
    rules = scanner(Direction.OUTPUT)
    return rules.findings(rules.signals(readable(text)), modes)


def check_value(value: Any, *, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in any string of a JSON value. Raises WorkLimitError for one that has too many."""
    rules = scanner(Direction.OUTPUT)
    found: dict[str, Finding] = {}
    for text in read(value, WorkMeter(MOST_VALUES)).texts:
        numbers = rules.signals(text.said, reads_words=not text.is_joined)
        found |= {finding.rule_id: finding for finding in rules.findings(numbers, modes)}
    return tuple(found.values())


class StreamGuard:
    """Guards one text of a streamed answer over a sliding window.

    Text is released as soon as it can't be the beginning of a secret whose rule blocks: usually all but the last word.
    Rules on wording are looked at every few words: one that blocks ends the stream, but what came before it is out.
    Escapes are undone before a text is judged, since whoever reads JSON in it will undo them. `findings` are those so
    far.
    """

    def __init__(self, modes: Mapping[str, Mode], window: int = WINDOW_CHARACTERS) -> None:
        self._modes = modes
        self._window = window
        self._rules = scanner(Direction.OUTPUT)
        blocking = (rule for rule in self._rules.rules if rule.mode_of(modes) is Mode.BLOCK)
        held = {signal.held for rule in blocking for signal in rule.signals if signal.view is View.TEXT}
        self._held_pattern = _beginnings(frozenset(held)) if held else None
        self._begun_escape = ""  # the last characters that came, if they may be half an escape
        self._tail = ""  # what rules are still matched against: the text held, and some of what was released before it
        self._held: list[_Run] = []
        self._unread = 0  # how many characters the rules on wording have not seen
        self._numbers: set[int] = set()
        self.findings: tuple[Finding, ...] = ()

    @property
    def held_characters(self) -> int:
        """How many characters are held back."""
        return sum(len(run.written) for run in self._held) + len(self._begun_escape)

    def feed(self, text: str) -> str:
        """Take the next text and return what may be released; raise GuardBlockedError if a rule blocks."""
        return self._advance(text, is_last=False)

    def finish(self) -> str:
        """Return what was held back, at the end of the stream; raise GuardBlockedError if a rule blocks."""
        return self._advance("", is_last=True)

    def _advance(self, text: str, *, is_last: bool) -> str:
        runs = [*self._held, *self._runs(text, is_last)]
        new = "".join(run.plain for run in runs[len(self._held) :])
        self._tail += new
        self._unread += len(new)
        hold = 0 if is_last else self._beginning_of_secret("".join(run.plain for run in runs))
        overflows = hold > self._window
        self._judge(is_open=not is_last and not overflows)
        self._tail = _from_word_start(self._tail, max(self._window, self._unread) + self._window)
        return self._release(runs, min(hold, self._window))

    def _runs(self, text: str, is_last: bool) -> list[_Run]:
        """The text as runs of characters that stand for themselves, and escapes."""
        written = self._begun_escape + text
        begun = None if is_last else _BEGUN_ESCAPE.search(written)
        self._begun_escape = begun[0] if begun else ""
        written = written[: len(written) - len(self._begun_escape)]
        if "\\" not in written:
            return [_Run(written, written)]
        runs: list[_Run] = []
        start = 0
        for escape in _ESCAPE.finditer(written):
            between = written[start : escape.start()]
            runs += (_Run(between, between), _Run(unescaped(escape[0]), escape[0]))
            start = escape.end()
        return [*runs, _Run(written[start:], written[start:])]

    def _beginning_of_secret(self, pending: str) -> int:
        if self._held_pattern is None or not pending:
            return 0
        encoded = encode(pending)
        found = self._held_pattern.search(encoded)
        return len(encoded[found.start() :].decode("utf-8", "replace")) if found else 0

    def _release(self, runs: list[_Run], hold: int) -> str:
        """Hold the last characters back, escapes whole, and return the others as they were written."""
        held: list[_Run] = []
        while hold > 0:
            run = runs.pop()
            kept = run
            if run.plain == run.written and len(run.plain) > hold:
                kept = _Run(run.plain[-hold:], run.written[-hold:])
                runs.append(_Run(run.plain[:-hold], run.written[:-hold]))
            held.append(kept)
            hold -= len(kept.plain)
        self._held = held[::-1]
        return "".join(run.written for run in runs)

    def _judge(self, *, is_open: bool) -> None:
        numbers = self._rules.text_signals(self._tail, is_open=is_open)
        if self._unread >= _WORDS_EVERY_CHARACTERS or not is_open:
            # The last word may not be complete; what is longer than the window is none.
            last = len(self._tail) - self._tail.rfind(" ") - 1
            complete = self._tail[: len(self._tail) - last] if is_open and last <= self._window else self._tail
            numbers |= self._rules.word_signals(complete)
            self._unread = len(self._tail) - len(complete)
        if numbers <= self._numbers:
            return
        self._numbers |= numbers
        self.findings = self._rules.findings(self._numbers, self._modes)
        raise_if_blocked(self.findings, param=None)


@lru_cache(16)
def _beginnings(held: frozenset[str]) -> Any:
    return re2.compile(encode(f"(?:{'|'.join(sorted(held))})\\z"), silent_options())


def _from_word_start(text: str, characters: int) -> str:
    """The last characters of a text, less a word that would be cut."""
    if len(text) <= characters:
        return text
    end = text[-characters:]
    return end[end.find(" ") + 1 :]
