"""Reads a question as phrases that mean something: every word of it is one, a name, or silent. Pure.

Periods are read first, then names, then phrases of the lexicon, the longest first.
"""

from collections.abc import Sequence
from dataclasses import field
from datetime import date

from sluice.answering.lexicon import lexicon
from sluice.answering.names import Named, Names, names_in
from sluice.answering.periods import MARK, NUMBER_WORDS, Period, read_periods
from sluice.answering.plan import DIMENSIONS, Dimension, Filter
from sluice.answering.words import plain
from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase that means something, and where it is."""

    start: int
    end: int
    tags: frozenset[str]
    words: str
    name: Named | None = None


@dataclass(slots=True)
class Reading:
    """A question as it was read."""

    items: list[Phrase]
    periods: tuple[Period, ...]
    now: Period | None = None
    filters: list[Filter] = field(default_factory=list)
    dimensions: list[tuple[Dimension, bool]] = field(default_factory=list)
    number: int | None = None

    def has(self, *tags: str) -> bool:
        """Whether any phrase has one of these tags."""
        return any(tag in item.tags for item in self.items for tag in tags)

    def of_kind(self, kind: str) -> list[str]:
        """The values of a kind of tag, in their order, each once."""
        found = (tag.removeprefix(kind) for item in self.items for tag in sorted(item.tags) if tag.startswith(kind))
        return list(dict.fromkeys(found))


def read_question(text: str, today: date, names: Names) -> Reading | None:
    """The phrases of a question; None if a word of it is not understood."""
    dated = read_periods(plain(text), today)
    words = dated.text.split()
    named = names_in(words, names)
    read = Reading([], dated.found, dated.now)
    numbers: list[int] = []
    start = 0
    while start < len(words):
        item = _name_at(words, start, named) or _phrase_at(words, start)
        if item is not None:
            read.items.append(item)
            start = item.end
            continue
        word = words[start]
        if _number(word) is not None:
            numbers.append(start)
        elif word != MARK and word not in lexicon().silent:
            return None
        start += 1
    for item in read.items:
        if item.name is not None:
            read.filters.append(_meant(item, read.items))
    read.dimensions = [each for item in read.items for each in _dimension(item, read)]
    if not _takes_numbers(read, words, numbers):
        return None
    return read


def _name_at(words: Sequence[str], start: int, named: dict[int, Named]) -> Phrase | None:
    """The name at a place, unless it is a word that means something else and nothing says that a name is meant."""
    name = named.get(start)
    if name is None:
        return None
    own = tuple(words[start : name.end])
    if own in lexicon().tags or (len(own) == 1 and (own[0] in lexicon().silent or _number(own[0]) is not None)):
        around = [words[place] for place in (start - 1, name.end) if 0 <= place < len(words)]
        marks = {tag.removeprefix("d:") for word in around for tag in lexicon().tags.get((word,), ())}
        if not any(meaning.dimension in marks for meaning in name.meanings):
            return None
    return Phrase(start, name.end, frozenset(), " ".join(own), name)


def _phrase_at(words: Sequence[str], start: int) -> Phrase | None:
    for length in range(min(lexicon().longest, len(words) - start), 0, -1):
        phrase = tuple(words[start : start + length])
        if phrase in lexicon().tags:
            return Phrase(start, start + length, lexicon().tags[phrase], " ".join(phrase))
    return None


def _meant(item: Phrase, items: Sequence[Phrase]) -> Filter:
    """Which of all that a name may name is meant: what a word beside it says, or what is likely."""
    if item.name is None:
        raise ValueError("no name")
    marks = {
        tag.removeprefix("d:")
        for other in items
        if other.end == item.start or other.start == item.end
        for tag in other.tags
        if tag.startswith("d:")
    }
    marked = [each for each in item.name.meanings if each.dimension in marks]
    return (marked or item.name.meanings)[0]


def _dimension(item: Phrase, read: Reading) -> list[tuple[Dimension, bool]]:
    """The dimension that a phrase is, and whether it speaks of several; none where it only says what a name is."""
    found = [each for each in DIMENSIONS if f"d:{each}" in item.tags]
    if not found:
        return []
    for other in read.items:
        is_beside = other.name is not None and (other.end == item.start or other.start == item.end)
        if is_beside and _meant(other, read.items).dimension == found[0] and item.words not in {"who", "whom", "when"}:
            return []
    return [(found[0], item.words.endswith("s"))]


def _takes_numbers(read: Reading, words: Sequence[str], numbers: Sequence[int]) -> bool:
    """Whether every number says how many are wanted: the top 3, the three cheapest, the 3 models with most errors."""
    if not numbers:
        return True
    beside = {item.start for item in read.items if _is_order(item) or is_dimension(item)}
    after = {item.end for item in read.items if _is_order(item)}
    is_one = len(numbers) == 1 and (numbers[0] in after or numbers[0] + 1 in beside)
    if not is_one or not read.of_kind("o:"):
        return False
    read.number = _number(words[numbers[0]])
    return bool(read.number)


def _is_order(item: Phrase) -> bool:
    return any(tag.startswith("o:") for tag in item.tags)


def is_dimension(item: Phrase) -> bool:
    """Whether a phrase is something to group by."""
    return any(tag.startswith("d:") for tag in item.tags)


def _number(word: str) -> int | None:
    if word.isascii() and word.isdigit() and len(word) <= 4:
        return int(word)
    return NUMBER_WORDS.get(word)
