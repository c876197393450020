"""What stands around a match: whether it is about the model's own instructions, or about something else.

"Ignore all previous instructions" and "how do I override the previous method's instructions in a subclass" share their
words; what tells them apart is who is to do it, and to what. Contexts are data, as the rules are.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2

from sluice.guards.automata import silent_options
from sluice.guards.normalization import encode, is_mark, marked_words, words

MOST_MATCHES = 200
"""How many matches of one signal are looked at in a text; with more, none is excused."""

_TOKENS_AROUND = 14
_PART_CHARACTERS = 2_000
_GAP = re.compile(r"[ \n]")
_CHARACTERS_AROUND, _BYTES_AROUND = 16, 64
_WORDS_OF_MATERIAL = 12
_SENTENCE_ENDS = re.compile("[.!?\n\u3002\uff01\uff1f\u0964]")


@dataclass(frozen=True, slots=True)
class Context:
    """Signs that a match is about something else: it then has this `weight` instead of its signal's.

    Patterns see what is right before the match, the match, or what is right after it, within its sentence, as words
    with marks: `.` ends a sentence, `^` begins one, `,` `:` and `"` are themselves, and `+` is in front if there was
    more than a line of text before. `except_after` takes away from `after`, and `except_before` or `demands`, which see
    what is right before or after, from all.
    """

    weight: float
    before: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    except_before: tuple[str, ...] = ()
    except_after: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()

    def excuses(self, before: str, match: str, after: str) -> bool:
        """Whether a match is about something else."""
        if _fits(self.except_before, before) or _fits(self.demands, after):
            return False
        is_of_something_else = _fits(self.after, after) and not _fits(self.except_after, after)
        return is_of_something_else or _fits(self.before, before) or _fits(self.inside, match)


def _fits(patterns: tuple[str, ...], text: str) -> bool:
    return bool(patterns) and _compiled(patterns).search(encode(text)) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> Any:
    return re2.compile(encode("|".join(patterns)), silent_options())


class Surroundings:
    """A text as words and marks, in which what is around a match can be looked up. Only what is near is read."""

    def __init__(self, text: str, plain: bytes) -> None:
        self._text = text
        self._plain = plain
        self._parts = list(_parts(text))
        self._tokens: dict[int, list[str]] = {}

    def around(self, start: int, end: int) -> tuple[str, str, str]:
        """What is before, in, and after a match between these bytes of the plain words, the spaces around included."""
        first, last = self._plain.count(b" ", 0, start), self._plain.count(b" ", 0, end) - 2
        at = max(0, bisect_right(self._parts, first, key=lambda part: part[0]) - 2)
        tokens = self._near(at)
        words = [place for place, token in enumerate(tokens) if not is_mark(token)]
        begin, stop = words[first - self._parts[at][0]], words[last - self._parts[at][0]] + 1
        before = tokens[max(0, begin - _TOKENS_AROUND) : begin]
        begins = len(before) < _TOKENS_AROUND or "." in before
        if "." in before:
            before = before[len(before) - before[::-1].index(".") :]
        after = tokens[stop : stop + _TOKENS_AROUND]
        if "." in after:
            after = after[: after.index(".") + 1]
        lead = ["+"] * (first >= _WORDS_OF_MATERIAL) + ["^"] * begins
        return " ".join((*lead, *before)), " ".join(tokens[begin:stop]), " ".join(after)

    def _near(self, at: int) -> list[str]:
        """The words and marks of three parts, the match's in the middle, for it may go beyond its own."""
        if at not in self._tokens:
            stop = self._parts[at + 3][1] if at + 3 < len(self._parts) else len(self._text)
            self._tokens[at] = marked_words(self._text[self._parts[at][1] : stop])
        return self._tokens[at]


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a text, parted at white space: how many words are before each, and where it begins."""
    word, begin = 0, 0
    while begin < len(text):
        yield word, begin
        gap = _GAP.search(text, begin + _PART_CHARACTERS)
        end = gap.start() if gap else len(text)
        word += len(words(text[begin:end]).split())
        begin = end


def around(text: bytes, start: int, end: int) -> tuple[str, str, str]:
    """The same for a match between these bytes of a text as it was written, in characters."""
    before = text[max(0, start - _BYTES_AROUND) : start].decode("utf-8", "ignore")[-_CHARACTERS_AROUND:]
    after = text[end : end + _BYTES_AROUND].decode("utf-8", "ignore")[:_CHARACTERS_AROUND]
    *_, sentence = _SENTENCE_ENDS.split(before)
    begins = "^" if len(before) < _CHARACTERS_AROUND or len(sentence) < len(before) else ""
    rest = _SENTENCE_ENDS.search(after)
    return begins + sentence, text[start:end].decode("utf-8", "ignore"), after[: rest.end()] if rest else after
