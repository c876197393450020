"""Finds signals of the rules in texts, and says which rules they make fire."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import re2

from sluice.guards.automata import TextMatcher, WordMatcher, silent_options
from sluice.guards.decoders import DECODERS
from sluice.guards.normalization import encode, words
from sluice.guards.rules import Direction, Rule, View, rules
from sluice.guards.strings import unescaped
from sluice.guards.validators import VALIDATORS

_MOST_MATCHES = 1_000
"""How many matches of one signal a validator looks at: some 10 ms."""


class Scanner:
    """All rules of one direction, matched together."""

    def __init__(self, direction: Direction) -> None:
        self.rules = tuple(rule for rule in rules() if direction in rule.applies)
        self._signals = [(rule, signal) for rule in self.rules for signal in rule.signals]
        # Decoders have negative numbers; they run along with the rules, so that a plain text is read once.
        decoders = [(-index, decoder.pattern) for index, decoder in enumerate(DECODERS, start=1)]
        self._text = TextMatcher([*self._patterns(View.TEXT), *(decoders if direction is Direction.PROMPT else [])])
        self._words = WordMatcher(self._patterns(View.WORDS))
        self._located: dict[str, Any] = {}

    def _patterns(self, view: View) -> Iterator[tuple[int, str]]:
        for number, (_, signal) in enumerate(self._signals):
            if signal.view is view:
                for pattern in signal.patterns:
                    yield number, pattern

    def text_signals(self, text: str, *, is_open: bool = False) -> set[int]:
        """Numbers of the signals (and decoders) that the text as written shows.

        If more text may follow (`is_open`), what a validator has to judge is not judged yet where it touches the end.
        """
        encoded = encode(text)
        numbers = self._text.occurring(encoded)
        return {number for number in numbers if number < 0 or self._is_valid(number, encoded, is_open)}

    def signals(self, text: str, *, reads_words: bool = True) -> set[int]:
        """Numbers of all signals that a string shows, escapes undone, and in what is hidden in its words."""
        numbers: set[int] = set()
        for reading in {text, unescaped(text)} - {""}:
            found = self.text_signals(reading)
            numbers |= found
            if reads_words:
                numbers |= self.word_signals(reading)
                numbers |= self.hidden_signals(reading, {number for number in found if number < 0})
        return {number for number in numbers if number >= 0}

    def word_signals(self, text: str) -> set[int]:
        """Numbers of the signals that the words of a text show."""
        return self._words.occurring(words(text))

    def hidden_signals(self, text: str, decoders: set[int]) -> set[int]:
        """Numbers of the signals that show in what the decoders read."""
        numbers: set[int] = set()
        for number in decoders:
            for hidden in filter(None, DECODERS[-number - 1].hidden(text)):
                numbers |= self.text_signals(hidden) | self.word_signals(hidden)
        return {number for number in numbers if number >= 0}

    def fired(self, numbers: set[int], role: str | None = None) -> list[Rule]:
        """The rules that these signals make fire, in their own order; with a role, only those that judge it."""
        scores: dict[str, float] = {}
        for number in numbers:
            if number >= 0:
                rule, signal = self._signals[number]
                scores[rule.id] = scores.get(rule.id, 0.0) + signal.weight

        def reaches(rule: Rule) -> bool:
            own = scores.get(rule.id, 0.0)
            support = sum(scores.get(other, 0.0) for other in rule.supported_by) if own >= rule.threshold / 2 else 0.0
            return rule.id in scores and own + max(support, 0.0) > rule.threshold - 0.01

        return [rule for rule in self.rules if reaches(rule) and (role is None or rule.judges(role))]

    def reads_words(self, role: str) -> bool:
        """Whether any rule that judges this role is about wording."""
        return any(rule.judges(role) and signal.view is View.WORDS for rule, signal in self._signals)

    def _is_valid(self, number: int, text: bytes, is_open: bool) -> bool:
        rule, signal = self._signals[number]
        if rule.validator is None:
            return True
        is_valid = VALIDATORS[rule.validator]
        tried = 0
        for pattern in signal.patterns:
            locator, start = self._locator(pattern), 0
            while (match := locator.search(text, start)) is not None:
                tried += 1
                if match.end() == len(text) and is_open:
                    break
                # What can't be tried is taken for what it looks like.
                if tried > _MOST_MATCHES or is_valid(match.group().decode("utf-8", "replace")):
                    return True
                # A placeholder may run into the beginning of a real one.
                start = match.start() + 1
        return False

    def _locator(self, pattern: str) -> Any:
        if pattern not in self._located:
            self._located[pattern] = re2.compile(encode(pattern), silent_options())
        return self._located[pattern]


@cache
def scanner(direction: Direction) -> Scanner:
    """The scanner of this process for a direction, compiled when first needed."""
    return Scanner(direction)
