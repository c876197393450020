"""Patterns compiled into automata: RE2, which takes linear time, and which is kept from logging what it reads."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import re2

from sluice.guards.normalization import encode

# Memory for one automaton. Its states are made as texts need them; should it ever be full, they are made anew.
_AUTOMATA, _AUTOMATON_BYTES = 6, 16 << 20
_PATTERN_BYTES = 8 << 20


def silent_options(most_bytes: int = _PATTERN_BYTES) -> re2.Options:
    """Options of a pattern that may take so much memory. By default RE2 writes patterns to stderr, callers' too."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = most_bytes
    return options


class TextMatcher:
    """Patterns compiled into few automata. Says which of them occur in a text, by their places in the list.

    One automaton would read ordinary texts a little faster. But what is in the middle of matching several patterns is a
    state of its own, and a text of random characters would make as many states as it has characters.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._sets = [self._compiled_set(patterns[start::_AUTOMATA]) for start in range(_AUTOMATA)]
        self._compiled: dict[int, Any] = {}

    @staticmethod
    def _compiled_set(patterns: Sequence[str]) -> Any:
        compiled = re2.Set.SearchSet(silent_options(_AUTOMATON_BYTES))
        for pattern in patterns:
            compiled.Add(encode(pattern))
        compiled.Compile()
        return compiled

    def occurring(self, text: bytes) -> set[int]:
        """The patterns that occur."""
        return {start + at * _AUTOMATA for start, each in enumerate(self._sets) for at in each.Match(text) or ()}

    def spans(self, place: int, text: bytes) -> Iterator[tuple[int, int]]:
        """Where a pattern occurs, also where one of its matches begins inside another."""
        if place not in self._compiled:
            self._compiled[place] = re2.compile(encode(self._patterns[place]), silent_options())
        start = 0
        while (match := self._compiled[place].search(text, start)) is not None:
            yield match.start(), match.end()
            start = match.start() + 1


class WordMatcher:
    """Patterns of words. Where the literal parts of a pattern do not all occur, it is not tried at all.

    One automaton for all of them would be faster on a text that it has seen, but a new text makes it grow, which costs
    more. `text` is what `words` made, and short: fewer patterns need to be tried in each.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        options = silent_options()
        self._filter = re2.Filter()
        for pattern in patterns:
            self._filter.Add(encode(pattern), options)
        self._filter.Compile()

    def occurring(self, text: bytes) -> Iterable[int]:
        """The patterns that occur, by their places in the list."""
        return self._filter.Match(text) or ()

    def spans(self, place: int, text: bytes) -> Iterator[tuple[int, int]]:
        """Where a pattern occurs."""
        pattern, start = self._filter.re(place), 0
        while (match := pattern.search(text, start)) is not None:
            yield match.start(), match.end()
            # Words share the space between them.
            start = max(match.start() + 1, match.end() - 1)
