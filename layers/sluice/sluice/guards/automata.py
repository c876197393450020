"""Patterns compiled into automata: RE2, which takes linear time, and which is kept from logging what it reads."""

from collections.abc import Iterable

import re2

from sluice.guards.normalization import encode

# Memory for one automaton. Its states are made as texts need them; should it ever be full, they are made anew.
_AUTOMATON_BYTES = 64 << 20
_PATTERN_BYTES = 8 << 20
_STRETCH_BYTES, _OVERLAP_BYTES = 1000, 250


def silent_options(most_bytes: int = _PATTERN_BYTES) -> re2.Options:
    """Options of a pattern that may take so much memory. By default RE2 writes patterns to stderr, callers' too."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = most_bytes
    return options


class TextMatcher:
    """Patterns compiled into one automaton. Says which of them occur in a text, by the number given with each."""

    def __init__(self, patterns: Iterable[tuple[int, str]]) -> None:
        self._set = re2.Set.SearchSet(silent_options(_AUTOMATON_BYTES))
        self._numbers = [number for number, pattern in patterns if self._set.Add(encode(pattern)) >= 0]
        self._set.Compile()

    def occurring(self, text: bytes) -> set[int]:
        """The numbers of the patterns that occur."""
        return {self._numbers[index] for index in self._set.Match(text) or ()}


class WordMatcher:
    """Patterns of words. Where the literal parts of a pattern do not all occur, it is not tried at all.

    One automaton for all of them would be faster on a text that it has seen, but a new text makes it grow, which costs
    more. Long texts are read in overlapping stretches, because fewer patterns need to be tried in each.
    """

    def __init__(self, patterns: Iterable[tuple[int, str]]) -> None:
        options = silent_options()
        self._filter = re2.Filter()
        self._numbers = [number for number, pattern in patterns if self._filter.Add(encode(pattern), options) >= 0]
        self._filter.Compile()

    def occurring(self, text: bytes) -> set[int]:
        """The numbers of the patterns that occur; `text` is what `words` made."""
        found: set[int] = set()
        for start in range(0, len(text), _STRETCH_BYTES):
            found.update(self._filter.Match(text[start : start + _STRETCH_BYTES + _OVERLAP_BYTES]) or ())
        return {self._numbers[index] for index in found}
