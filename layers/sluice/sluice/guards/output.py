"""The output guard: unsafe content and leaked secrets in answers, whole or streamed."""

from collections.abc import Mapping

import re2

from sluice.guards.prompt import raise_if_blocked
from sluice.guards.rules import Direction, Finding, Mode, View, scanner

WINDOW_CHARACTERS = 256
"""Every secret is recognised within fewer characters than this; a stream never holds back more."""

_WORDS_EVERY_CHARACTERS = 64


def check_answer(text: str, *, modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    """Everything that the rules find in an answer; `modes` as in check_prompt."""
    rules = scanner(Direction.OUTPUT)
    return _findings(rules.text_signals(text) | rules.word_signals(text), modes)


def _findings(numbers: set[int], modes: Mapping[str, Mode]) -> tuple[Finding, ...]:
    fired = scanner(Direction.OUTPUT).fired(numbers)
    found = (Finding(rule.id, modes.get(rule.id, rule.mode), rule.description) for rule in fired)
    return tuple(finding for finding in found if finding.mode is not Mode.OFF)


class StreamGuard:
    """Guards one choice of a streamed answer over a sliding window.

    Text is released as soon as it can't be the beginning of a secret whose rule blocks: usually all but the last word.
    Rules on wording are looked at every few words: one that blocks ends the stream, but what came before it is out.
    `findings` are those so far.
    """

    def __init__(self, modes: Mapping[str, Mode], window: int = WINDOW_CHARACTERS) -> None:
        self._modes = modes
        self._window = window
        self._rules = scanner(Direction.OUTPUT)
        blocking = {
            signal.held
            for rule in self._rules.rules
            if modes.get(rule.id, rule.mode) is Mode.BLOCK
            for signal in rule.signals
            if signal.view is View.TEXT
        }
        self._held_pattern = re2.compile(f"(?:{'|'.join(sorted(blocking))})\\z") if blocking else None
        self._tail = ""  # what rules are still matched against: the text held, and some of what was released before it
        self._held = 0  # how many characters at the end of the tail are not released
        self._unread = 0  # how many characters the rules on wording have not seen
        self._numbers: set[int] = set()
        self.findings: tuple[Finding, ...] = ()

    def feed(self, text: str) -> str:
        """Take the next text and return what may be released; raise GuardBlockedError if a rule blocks."""
        return self._advance(text, is_last=False)

    def finish(self) -> str:
        """Return what was held back, at the end of the stream; raise GuardBlockedError if a rule blocks."""
        return self._advance("", is_last=True)

    def _advance(self, text: str, *, is_last: bool) -> str:
        self._tail += text
        self._unread += len(text)
        pending = self._tail[len(self._tail) - self._held - len(text) :]
        hold = 0 if is_last else self._beginning_of_secret(pending)
        overflows = hold > self._window
        self._judge(is_open=not is_last and not overflows)
        self._held = min(hold, self._window)
        self._tail = _from_word_start(self._tail, max(self._window, self._unread) + self._window)
        return pending[: len(pending) - self._held]

    def _beginning_of_secret(self, pending: str) -> int:
        found = self._held_pattern.search(pending) if self._held_pattern is not None and pending else None
        return len(pending) - found.start() if found else 0

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
        self.findings = _findings(self._numbers, self._modes)
        raise_if_blocked(self.findings, param=None)


def _from_word_start(text: str, characters: int) -> str:
    """The last characters of a text, less a word that would be cut."""
    if len(text) <= characters:
        return text
    end = text[-characters:]
    return end[end.find(" ") + 1 :]
