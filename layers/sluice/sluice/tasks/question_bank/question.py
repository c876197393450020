"""What an interview question is, and when two of them ask the same. Pure."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from sluice.loading.dataclass import dataclass

LEAST_CHARACTERS = 10
MOST_CHARACTERS = 500
_MOST_CATEGORY_CHARACTERS = 60
_MOST_POINTS = 8
_MOST_POINT_CHARACTERS = 300
_LEAST_WORDS = 3

SIMILAR = 0.75
"""Two questions ask the same from this overlap of their words on (Jaccard index)."""


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MARKS = frozenset("?\uff1f\u061f")
# "C++" and "C#" are not "C". What `_spaced` leaves of a text is words, spaces and these.
_WORD = re.compile(r"\w[^ +#]*[+#]*")
# Thai, Lao, Burmese, Khmer, and from the Chinese radicals on: scripts that have no spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0010ffff]")
# They join letters or keep them apart, in Persian, Sinhala and others, and can be neither printed nor heard.
_JOINERS = frozenset("\u200c\u200d")
# What a question begins with that has no question mark.
_REQUESTS = _set_of(
    "choose compare consider define describe design discuss draw estimate explain give identify imagine list name "
    "outline pick propose share show sketch summarise summarize suppose take talk tell think walk write"
)
_FILLERS = _set_of(
    "a an and are as at be been by can could describe did do does each explain for from give had has have how i if in "
    "into is it its list me name of on or our say should so tell than that the their them then there these they this "
    "to us was we were what when where which who whom whose why will with would you your"
)
_PLAIN = r'[^"\\\n\r\t<>{}?]{10,300}'
_REQUEST = "|".join(sorted(map(str.capitalize, _REQUESTS)))

PATTERN = f"^({_PLAIN}[?\uff1f\u061f]|({_REQUEST}) {_PLAIN}[.])$"
"""What a JSON Schema can say of a question, for servers that hold a model to it. Narrower than `is_question`.

It names what a JSON string has to escape: llama.cpp puts such a class into its grammar as it is.
"""

# What models say instead of a question, and what is left of a prompt.
_NOT_ASKED = ("<data-", "</data-", "```", "{{", "as an ai ", "as a language model", "lorem ipsum", "[insert")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, the topic it belongs to, and what a good answer to it says."""

    text: str
    category: str
    expected_points: tuple[str, ...]

    @property
    def id(self) -> str:
        """The same for questions that differ in case, white space and punctuation only."""
        return hashlib.sha256(normal(self.text).encode()).hexdigest()[:32]


def normal(text: str) -> str:
    """A question without what makes no difference in it: case, white space, punctuation."""
    return " ".join(_words(label(text)))


def label(text: str) -> str:
    """A role or category without what makes no difference in it: case, white space."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def asks_the_same(one: str, other: str) -> bool:
    """Whether two questions are one in other words, as far as their words tell."""
    return is_alike(content_words(one), content_words(other))


def is_alike(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether questions with these `content_words` are one in other words."""
    shared = len(mine & theirs)
    return shared >= SIMILAR * (len(mine) + len(theirs) - shared)


def content_words(text: str) -> frozenset[str]:
    """The words that tell what a question is about; all of them if it has no such words."""
    words = frozenset(normal(text).split())
    return words - _FILLERS or words


def read_questions(output: object, categories: Mapping[str, str]) -> tuple[list[Question], int]:
    """The valid ones among the questions in a model's output, and how many are not.

    `categories` are those asked for, by their `label`; empty if any will do.
    """
    proposed = output.get("questions") if isinstance(output, dict) else None
    entries = proposed if isinstance(proposed, list) else []
    found = list(_valid(entries, categories))
    return found, len(entries) - len(found)


def _valid(entries: list[Any], categories: Mapping[str, str]) -> Iterator[Question]:
    for entry in entries:
        question = read_question(entry, categories)
        if question is not None:
            yield question


def read_question(entry: object, categories: Mapping[str, str]) -> Question | None:
    """The question that an entry of a model's output is, or None."""
    if not isinstance(entry, dict):
        return None
    text, category = _text(entry.get("question")), _text(entry.get("category"))
    points = entry.get("expected_points")
    if not is_question(text) or not isinstance(points, list) or not 1 <= len(points) <= _MOST_POINTS:
        return None
    said = tuple(_text(point) for point in points)
    if any(not 1 <= len(point) <= _MOST_POINT_CHARACTERS for point in said):
        return None
    spelled = categories.get(label(category)) if categories else category
    if spelled is None or not 1 <= len(spelled) <= _MOST_CATEGORY_CHARACTERS:
        return None
    return Question(text, spelled, said)


def is_question(text: str) -> bool:
    """Whether a text reads as a question: it asks or invites, in words, at a length that can be read aloud."""
    if not LEAST_CHARACTERS <= len(text) <= MOST_CHARACTERS:
        return False
    folded = text.casefold()
    if any(phrase in folded for phrase in _NOT_ASKED):
        return False
    words = _words(folded)
    if 2 * sum(map(_is_letter, "".join(words))) < len(folded):
        return False
    if len(set(words)) < _LEAST_WORDS and not any(map(_UNSPACED.search, words)):
        return False
    return not _MARKS.isdisjoint(text) or words[0] in _REQUESTS


def _text(value: object) -> str:
    """A value as one line; "" if it is no text, or none that can be stored."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.split())
    is_sendable = all(character.isprintable() or character in _JOINERS for character in line)
    return line if is_sendable else ""


def _words(text: str) -> list[str]:
    return _WORD.findall("".join(map(_spaced, text)))


def _spaced(character: str) -> str:
    """A character as far as it belongs to a word, else a space."""
    if character in _JOINERS:
        return ""
    # Not `\w`, which leaves out the marks, the vowel signs of Hindi and Thai among them.
    is_of_word = unicodedata.category(character)[0] in "LMN" or character in "_+#"
    return character if is_of_word else " "


def _is_letter(character: str) -> bool:
    """A letter, or a mark on one: in many scripts that is how a vowel is written."""
    return unicodedata.category(character)[0] in "LM"
