"""Checks what a model has written: it says nothing that no tool and no passage says. Pure.

Each sentence has to name the passages it is from, and every number in it, in digits or in words, has to be in one of
these. Most of its words have to be in them or in the question, and no address that is not.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from sluice.answering.passages import Passage, content_words
from sluice.guards.numerals import numerals_in

_CITATION = re.compile(r"\[(\d{1,2})\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:\s*\[\d{1,2}\])*\s+|\n+")
# Amounts too, which passages use in other senses.
_AMOUNT = re.compile(r"\b(?:once|nothing|none|nil|single|couple|pair|both|neither)\b", re.IGNORECASE)
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


def filled(text: str, values: Mapping[int, str], composed: str, question: str) -> str | None:
    """A text with values in the place of {1}, {2} and so on, which says what the `composed` answer says.

    None if it has numbers of its own or lacks a value, or most words of a sentence are in neither the composed answer
    nor the question.
    """
    if not text.strip() or len(text) > _MOST_CHARACTERS:
        return None
    if {int(each) for each in _PLACEHOLDER.findall(text)} != set(values):
        return None
    rest = _PLACEHOLDER.sub(" ", text)
    if numerals_in(rest) or _AMOUNT.search(rest) or _ADDRESS.search(rest) or "{" in rest or "}" in rest:
        return None
    known = content_words(" ".join([composed, question, *values.values()]))
    sentences = [_with_values(each, values) for each in _sentences(text)]
    # One word, as a greeting, claims nothing.
    if any(len(content_words(each)) > 1 and not _shares(each, known) for each in sentences):
        return None
    return _with_values(text, values).strip()


def _with_values(text: str, values: Mapping[int, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[int(match.group(1))], text)


def _shares(text: str, known: frozenset[str]) -> bool:
    """Whether enough of the words of a text are known."""
    words = content_words(text)
    return not words or len(words & known) / len(words) >= _LEAST_SHARED


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
    if not numerals_in(said) <= numerals_in(sources):
        return False
    if any(address not in sources for address in _ADDRESS.findall(said)):
        return False
    return _shares(said, content_words(sources) | content_words(question))
