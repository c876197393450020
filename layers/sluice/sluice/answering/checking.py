"""Checks what a model has written: it says nothing that no tool and no passage says. Pure.

Each sentence has to name the passages it is from, and every number in it, in digits or in words, has to be in one of
these. Most of its words have to be in them or in the question, and no address that is not.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sluice.answering.passages import Passage, content_words

_CITATION = re.compile(r"\[(\d{1,2})\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:\s*\[\d{1,2}\])*\s+|\n+")
_NUMBER = re.compile(r"\d[\d.,:/\u2009\u202f%-]*\d|\d")
_NUMBER_WORD = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    r"nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen|half|twice|double|triple|"
    r"unlimited|infinite)s?\b",
    re.IGNORECASE,
)
_OTHER_DIGITS = re.compile(r"[^\W0-9_a-zA-Z]")
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\S+", re.IGNORECASE)
_LEAST_SHARED = 0.6
_MOST_CHARACTERS = 3_000
_PLACEHOLDER = re.compile(r"\{(\d{1,2})\}")


def is_supported(text: str, question: str, passages: Sequence[Passage]) -> bool:
    """Whether everything in a text is in the passages that it names, as [1], counted from 1."""
    if not text.strip() or len(text) > _MOST_CHARACTERS:
        return False
    return all(_sentence_is_supported(each, question, passages) for each in _sentences(text))


def cited(text: str) -> list[int]:
    """The numbers of the passages that a text names, in their order, each once."""
    return list(dict.fromkeys(int(each) for each in _CITATION.findall(text)))


def numbers_in(text: str) -> set[str]:
    """The numbers in a text, without what separates their digits, and number words."""
    digits = {_bare(each) for each in _NUMBER.findall(text)}
    others = {each for each in _OTHER_DIGITS.findall(text) if each.isnumeric()}
    return digits | others | {each.casefold().removesuffix("s") for each in _NUMBER_WORD.findall(text)}


def filled(text: str, values: Mapping[int, str], needed: Sequence[int]) -> str | None:
    """A text with values in the place of {1}, {2} and so on; None if it has numbers of its own, or lacks one."""
    names = [int(each) for each in _PLACEHOLDER.findall(text)]
    if (
        not text.strip()
        or len(text) > _MOST_CHARACTERS
        or not set(needed) <= set(names)
        or not set(names) <= set(values)
    ):
        return None
    rest = _PLACEHOLDER.sub(" ", text)
    if numbers_in(rest) or _ADDRESS.search(rest) or "{" in rest or "}" in rest:
        return None
    return _PLACEHOLDER.sub(lambda match: values[int(match.group(1))], text).strip()


def _sentences(text: str) -> list[str]:
    """The sentences of a text, each with the citations that follow it."""
    places = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(places) if text[start:end].strip()]


def _sentence_is_supported(sentence: str, question: str, passages: Sequence[Passage]) -> bool:
    named = cited(sentence)
    if not named or any(not 1 <= each <= len(passages) for each in named):
        return False
    said = _CITATION.sub(" ", sentence)
    sources = " \n ".join(f"{passages[each - 1].chunk.title} {passages[each - 1].text}" for each in named)
    if not numbers_in(said) <= numbers_in(sources):
        return False
    if any(address not in sources for address in _ADDRESS.findall(said)):
        return False
    words = content_words(said)
    return not words or len(words & (content_words(sources) | content_words(question))) / len(words) >= _LEAST_SHARED


def _bare(number: str) -> str:
    return re.sub(r"[,\u2009\u202f%]", "", number).strip(".:/-") or number
