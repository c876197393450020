"""Finds signals of the rules in texts, and says which rules they make fire."""

from collections.abc import Callable, Container, Iterator, Mapping
from functools import cache, partial
from itertools import chain
from types import MappingProxyType

from sluice.guards.automata import TextMatcher, WordMatcher
from sluice.guards.context import MOST_MATCHES, Surroundings, around
from sluice.guards.decoders import DECODERS
from sluice.guards.normalization import encode, parts, words
from sluice.guards.rules import STRICTNESS, Direction, Finding, Mode, Rule, View, rules
from sluice.guards.strings import unescaped
from sluice.guards.validators import VALIDATORS

_MOST_MATCHES = 1_000
"""How many matches of one signal a validator looks at: some 10 ms."""

NO_MODES: Mapping[str, Mode] = MappingProxyType({})
"""Of a tenant that has changed none."""

# Word rules look at so much of a text at a time; no match is longer than the overlap.
_PART_CHARACTERS, _OVERLAP_BYTES = 1_000, 250
# The part it is in, the words from there on, and where it begins and ends in these.
type _Match = tuple[int, bytes, int, int]


class Scanner:
    """All rules of one direction, matched together."""

    def __init__(self, direction: Direction) -> None:
        # Those that sum others come after them.
        self.rules = tuple(
            sorted((rule for rule in rules() if direction in rule.applies), key=lambda rule: len(rule.sums))
        )
        self._signals = [(rule, signal) for rule in self.rules for signal in rule.signals]
        # Which signal, or decoder by a negative number, each pattern is of: all are matched at once.
        decoders = DECODERS if direction is Direction.PROMPT else ()
        texts = [*self._patterns(View.TEXT), *((-at, decoder.pattern) for at, decoder in enumerate(decoders, start=1))]
        plain = self._patterns(View.WORDS)
        self._text, self._of_text = TextMatcher([pattern for _, pattern in texts]), [number for number, _ in texts]
        self._words, self._of_words = WordMatcher([pattern for _, pattern in plain]), [number for number, _ in plain]
        # Who is judged by their wording: asked for each text of a request for vectors.
        by_words = [rule.roles for rule, signal in self._signals if signal.view is View.WORDS]
        self._reads_all_words = None in by_words
        self._word_roles = frozenset[str]().union(*(roles for roles in by_words if roles is not None))
        # Signals that are about something else have numbers of their own, so that what is found stays a set.
        self._excused = len(self._signals)

    def _patterns(self, view: View) -> list[tuple[int, str]]:
        numbered = ((number, signal) for number, (_, signal) in enumerate(self._signals) if signal.view is view)
        return [(number, pattern) for number, signal in numbered for pattern in signal.patterns]

    def text_signals(self, text: str, *, is_open: bool = False) -> set[int]:
        """Numbers of the signals (and decoders) that the text as written shows.

        If more text may follow (`is_open`), what a validator has to judge is not judged yet where it touches the end.
        """
        encoded = encode(text)
        found: dict[int, list[Iterator[tuple[int, int]]]] = {}
        for place in self._text.occurring(encoded):
            found.setdefault(self._of_text[place], []).append(self._text.spans(place, encoded))
        return {
            self._in_context(number, chain.from_iterable(spans), partial(around, encoded))
            for number, spans in found.items()
            if number < 0 or self._is_valid(number, spans, encoded, is_open)
        }

    def signals(self, text: str, *, reads_words: bool = True) -> set[int]:
        """Numbers of all signals that a string shows, escapes undone, and in what is hidden in its words."""
        plain = unescaped(text)
        found = self.text_signals(plain)
        numbers = {number for number in found if number >= 0}
        if reads_words:
            numbers |= self.word_signals(plain) | self.hidden_signals(plain, found - numbers)
        return numbers

    def word_signals(self, text: str) -> set[int]:
        """Numbers of the signals that the words of a text show."""
        several = parts(text, _PART_CHARACTERS)
        plain = [words(part) for part in several]
        found: dict[int, list[Iterator[_Match]]] = {}
        for at, part in enumerate(plain):
            # What begins in a part may end in the next one.
            stretch = b"".join((part, *(following[1:_OVERLAP_BYTES] for following in plain[at + 1 : at + 2])))
            for place in self._words.occurring(stretch):
                found.setdefault(self._of_words[place], []).append(self._matches(place, at, stretch))
        if not found:
            return set()
        around_match = Surroundings(several).around
        return {
            self._in_context(number, chain.from_iterable(matches), around_match) for number, matches in found.items()
        }

    def _matches(self, place: int, at: int, stretch: bytes) -> Iterator[_Match]:
        for start, end in self._words.spans(place, stretch):
            yield at, stretch, start, end

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
        if not numbers:
            return []
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
                if STRICTNESS[other.mode_of(modes)] >= STRICTNESS[rule.mode_of(modes)]:
                    total += max(scores.get(other.id, 0.0), 0.0)
        return total > rule.threshold - 0.01

    def reads_words(self, role: str) -> bool:
        """Whether any rule that judges this role is about wording."""
        return self._reads_all_words or role in self._word_roles

    def _weighed(self, number: int, numbers: set[int]) -> tuple[Rule, float]:
        """The rule of a signal, and what it weighs, which is nothing twice."""
        if number < self._excused:
            rule, signal = self._signals[number]
            return rule, signal.weight
        rule, signal = self._signals[number - self._excused]
        is_said_elsewhere = number - self._excused in numbers or signal.context is None
        return rule, 0.0 if is_said_elsewhere or signal.context is None else signal.context.weight

    def _in_context[*Match](
        self, number: int, matches: Iterator[tuple[*Match]], look: Callable[[*Match], tuple[str, str, str]]
    ) -> int:
        """The number of a signal, or its other one if each of its matches is about something else."""
        context = self._signals[number][1].context if number >= 0 else None
        if context is None:
            return number
        seen = 0
        for seen, match in enumerate(matches, start=1):
            if seen > MOST_MATCHES or not context.excuses(*look(*match)):
                return number
        return number + self._excused if seen else number

    def _is_valid(self, number: int, spans: list[Iterator[tuple[int, int]]], text: bytes, is_open: bool) -> bool:
        validator = self._signals[number][0].validator
        if validator is None:
            return True
        for tried, (start, end) in enumerate(chain.from_iterable(spans), start=1):
            may_go_on = is_open and end == len(text)
            # What can't be tried is taken for what it looks like.
            if tried > _MOST_MATCHES or (
                not may_go_on and VALIDATORS[validator](text[start:end].decode("utf-8", "replace"))
            ):
                return True
        return False


@cache
def scanner(direction: Direction) -> Scanner:
    """The scanner of this process for a direction, compiled when first needed."""
    return Scanner(direction)
