"""Finds signals of the rules in texts, and says which rules they make fire."""

from collections.abc import Container, Iterator, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import re2

from sluice.guards.automata import TextMatcher, WordMatcher, silent_options
from sluice.guards.context import MOST_MATCHES, Surroundings, around
from sluice.guards.decoders import DECODERS
from sluice.guards.normalization import encode, words
from sluice.guards.rules import Direction, Finding, Mode, Rule, View, rules
from sluice.guards.strings import unescaped
from sluice.guards.validators import VALIDATORS

_MOST_MATCHES = 1_000
"""How many matches of one signal a validator looks at: some 10 ms."""

NO_MODES: Mapping[str, Mode] = MappingProxyType({})
"""Of a tenant that has changed none."""

_STRICTNESS = {Mode.OFF: 0, Mode.FLAG: 1, Mode.BLOCK: 2}


class Scanner:
    """All rules of one direction, matched together."""

    def __init__(self, direction: Direction) -> None:
        # Those that sum others come after them.
        self.rules = tuple(
            sorted((rule for rule in rules() if direction in rule.applies), key=lambda rule: len(rule.sums))
        )
        self._signals = [(rule, signal) for rule in self.rules for signal in rule.signals]
        # Decoders have negative numbers; they run along with the rules, so that a plain text is read once.
        decoders = [(-index, decoder.pattern) for index, decoder in enumerate(DECODERS, start=1)]
        self._text = TextMatcher([*self._patterns(View.TEXT), *(decoders if direction is Direction.PROMPT else [])])
        self._words = WordMatcher(self._patterns(View.WORDS))
        self._located: dict[str, Any] = {}
        # Signals that are about something else have numbers of their own, so that what is found stays a set.
        self._excused = len(self._signals)

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
        valid = {number for number in numbers if number < 0 or self._is_valid(number, encoded, is_open)}
        return self._in_context(valid, text, encoded)

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
        plain = words(text)
        return self._in_context(self._words.occurring(plain), text, plain)

    def hidden_signals(self, text: str, decoders: set[int]) -> set[int]:
        """Numbers of the signals that show in what the decoders read."""
        numbers: set[int] = set()
        for number in decoders:
            for hidden in filter(None, DECODERS[-number - 1].hidden(text)):
                numbers |= self.text_signals(hidden) | self.word_signals(hidden)
        return {number for number in numbers if number >= 0}

    def findings(self, numbers: set[int], modes: Mapping[str, Mode], role: str | None = None) -> tuple[Finding, ...]:
        """What these signals come to for a tenant with these modes; with a role, by the rules that judge it."""
        fired = self.fired(numbers, role, modes)
        return tuple(Finding(rule.id, rule.mode_of(modes), rule.description) for rule in fired)

    def fired(self, numbers: set[int], role: str | None = None, modes: Mapping[str, Mode] = NO_MODES) -> list[Rule]:
        """The rules that these signals make fire, those that sum others last."""
        scores = self._scores(numbers)
        fired: list[Rule] = []
        for rule in self.rules:
            is_asked = rule.mode_of(modes) is not Mode.OFF and rule.judges(role)
            if is_asked and self._reaches(rule, scores, modes, {each.id for each in fired}):
                fired.append(rule)
        return fired

    def _scores(self, numbers: set[int]) -> Mapping[str, float]:
        scores: dict[str, float] = {}
        for number in numbers:
            if number >= 0:
                rule, weight = self._weighed(number, numbers)
                scores[rule.id] = scores.get(rule.id, 0.0) + weight
        return scores

    def _reaches(
        self, rule: Rule, scores: Mapping[str, float], modes: Mapping[str, Mode], fired: Container[str]
    ) -> bool:
        """Whether a rule fires, after those that it sums have been asked."""
        total = scores.get(rule.id, 0.0)
        if rule.id in scores and total >= rule.threshold / 2:
            total += max(sum(scores.get(other, 0.0) for other in rule.supported_by), 0.0)
        for other in self.rules:
            if other.id in rule.sums:
                if other.id in fired:
                    return False
                if _STRICTNESS[other.mode_of(modes)] >= _STRICTNESS[rule.mode_of(modes)]:
                    total += max(scores.get(other.id, 0.0), 0.0)
        return total > rule.threshold - 0.01

    def reads_words(self, role: str) -> bool:
        """Whether any rule that judges this role is about wording."""
        return any(rule.judges(role) and signal.view is View.WORDS for rule, signal in self._signals)

    def _weighed(self, number: int, numbers: set[int]) -> tuple[Rule, float]:
        """The rule of a signal, and what it weighs, which is nothing twice."""
        if number < self._excused:
            rule, signal = self._signals[number]
            return rule, signal.weight
        rule, signal = self._signals[number - self._excused]
        is_said_elsewhere = number - self._excused in numbers or signal.context is None
        return rule, 0.0 if is_said_elsewhere or signal.context is None else signal.context.weight

    def _in_context(self, numbers: set[int], text: str, searched: bytes) -> set[int]:
        """The signals, with those that are about something else under their other numbers."""
        surroundings = None
        found = set[int]()
        for number in numbers:
            signal = self._signals[number][1] if number >= 0 else None
            if signal is None or signal.context is None:
                found.add(number)
                continue
            if signal.view is View.WORDS:
                surroundings = surroundings or Surroundings(text, searched)
            look = surroundings.around if surroundings and signal.view is View.WORDS else partial(around, searched)
            is_excused = all(
                signal.context.excuses(*look(start, end)) for start, end in self._spans(signal.patterns, searched)
            )
            found.add(number + self._excused if is_excused else number)
        return found

    def _spans(self, patterns: tuple[str, ...], text: bytes) -> Iterator[tuple[int, int]]:
        for pattern in patterns:
            locator, start, seen = self._locator(pattern), 0, 0
            while (match := locator.search(text, start)) is not None:
                seen += 1
                if seen > MOST_MATCHES:
                    return
                yield match.start(), match.end()
                # Words share the space between them.
                start = max(match.start() + 1, match.end() - 1)

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
