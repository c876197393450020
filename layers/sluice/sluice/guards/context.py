"""What stands around a match: whether it is about the model's own instructions, or about something else.

"Ignore all previous instructions" and "how do I override the previous method's instructions in a subclass" share their
words; what tells them apart is who is to do it, and to what. Contexts are data, as the rules are.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import re2

from sluice.guards.automata import silent_options
from sluice.guards.normalization import encode, is_mark, marked_words
from sluice.loading.dataclass import dataclass

MOST_MATCHES = 200
"""How many matches of one signal are looked at in a text; with more, none is excused."""

_TOKENS_AROUND = 14
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
    """A text in parts, in which what is around a match can be looked up, word by word."""

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = parts
        self._tokens: dict[int, tuple[list[str], list[str]]] = {}

    def around(self, part: int, plain: bytes, start: int, end: int) -> tuple[str, str, str]:
        """What is before, in, and after a match.

        It is between these bytes of `plain`, the words from this part on, the spaces around it included.
        """
        last_tokens, tokens = self._near(part)
        words = [at for at, token in enumerate(tokens) if not is_mark(token)]
        first = plain.count(b" ", 0, start)
        begin, stop = words[first], words[plain.count(b" ", 0, end) - 2] + 1
        before = [*last_tokens, *tokens[:begin]][-_TOKENS_AROUND:]
        begins = len(before) < _TOKENS_AROUND or "." in before
        if "." in before:
            before = before[len(before) - before[::-1].index(".") :]
        after = tokens[stop : stop + _TOKENS_AROUND]
        if "." in after:
            after = after[: after.index(".") + 1]
        lead = ["+"] * (part > 0 or first >= _WORDS_OF_MATERIAL) + ["^"] * begins
        return " ".join((*lead, *before)), " ".join(tokens[begin:stop]), " ".join(after)

    def _near(self, part: int) -> tuple[list[str], list[str]]:
        """The last words and marks before a part, and those of it and of the next."""
        if part not in self._tokens:
            last = marked_words(self._parts[part - 1])[-_TOKENS_AROUND:] if part else []
            self._tokens[part] = last, marked_words("".join(self._parts[part : part + 2]))
        return self._tokens[part]


def around(text: bytes, start: int, end: int) -> tuple[str, str, str]:
    """The same for a match between these bytes of a text as it was written, in characters."""
    before = text[max(0, start - _BYTES_AROUND) : start].decode("utf-8", "ignore")[-_CHARACTERS_AROUND:]
    after = text[end : end + _BYTES_AROUND].decode("utf-8", "ignore")[:_CHARACTERS_AROUND]
    *_, sentence = _SENTENCE_ENDS.split(before)
    begins = "^" if len(before) < _CHARACTERS_AROUND or len(sentence) < len(before) else ""
    rest = _SENTENCE_ENDS.search(after)
    return begins + sentence, text[start:end].decode("utf-8", "ignore"), after[: rest.end()] if rest else after
