"""Passages of documents that may answer a question: what of them may be quoted, and how well it fits. Pure.

What a document says is material. A sentence that speaks to whoever reads it for a person, as "ignore your
instructions", is no part of a passage: it is not quoted, not sent to a model, and supports no number.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property

from sluice.answering.words import plain
from sluice.loading.dataclass import dataclass

type IsSuspect = Callable[[str], bool]

_SENTENCE = re.compile(r"(?<=[.!?\u3002])\s+")
_LINE = re.compile(r"\r\n?|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")
# A line that goes on with nothing: of a list, a heading, a table, a quotation, and what speaks in a role.
_BEGINS = re.compile(
    r"[-*+\u2022\u2013\u2014>|]\s|\||\(?\w{1,3}[.)]\s|#{1,6}\s|(?:system|assistant|developer|user)\s*:", re.IGNORECASE
)
_HEADING = re.compile(r"#{1,6}\s")
_MARKUP = re.compile(r"[*_`~]")
_MOST_SENTENCES = 200
_SPEAKS_TO_A_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,60}"
    r"\b(?:instruction|question|prompt|rule|previous|above|told|asked|everything)"
    r"|\byou are now\b|\bfrom now on,? you\b|\bdo anything now\b"
    r"|\b(?:system|developer|hidden) (?:prompt|message|mode)\b"
    r"|\b(?:answer|respond|reply|say|output|print|write|repeat)\b.{0,20}"
    r"\b(?:only|exactly|nothing else|verbatim|instead)\b"
    r"|\binstead,? (?:answer|respond|reply|say|output|print|write|tell)\b"
    r"|\b(?:tell|inform|convince) the (?:user|reader|person|customer|caller) (?:that|to)\b"
    r"|\bas an? (?:ai|assistant|language model)\b|^\s*(?:system|assistant|developer)\s*:",
    re.IGNORECASE | re.DOTALL,
)
_COMMON_WORDS = """
a about after all am an and any are as at be been before but by can could did do does for from get had has
have how i if in into is it its long many may me much must my no not of off often old on or our out over own
shall she should so some than that the their them then there these they this those to up us was we were what
when where which who whom whose why will with within would you your one come day days time times tell happen
happens take takes fast
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|half|hundred|thousand)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[a-z,;(] )[A-Z][a-z]+|\b[A-Z][a-z]+ [A-Z][a-z]+")
_TIME = re.compile(
    r"\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"
    r"|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
    r"|\b(?:spring|summer|autumn|winter|morning|evening|noon|night|week|month|year|day|after|before|until|once)\b",
    re.IGNORECASE,
)
_ASKS_A_NUMBER = re.compile(
    r"\bhow (?:many|much|long|often|fast|far|old|big|large|tall|high|heavy|quickly|soon)\b"
    r"|\b(?:what|which) (?:percentage|number|price|port|salary|version)\b",
    re.IGNORECASE,
)
_WANTS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (_ASKS_A_NUMBER, _NUMBER),
    (re.compile(r"\bwho(?:m|se)?\b", re.IGNORECASE), _NAME),
    (re.compile(r"\bwhen\b|\bwhat time\b|\bwhich (?:day|date|month|year)s?\b", re.IGNORECASE), _TIME),
)
"""What is asked for, and what a sentence has that tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk that a search found: where it is, what it says, and its cosine with the question."""

    store: str
    document: str
    number: int
    title: str
    link: str
    text: str
    score: float

    @property
    def id(self) -> str:
        """What an answer calls it."""
        return f"{self.document}#{self.number}"


@dataclass(frozen=True)
class Passage:
    """A chunk as it may be quoted: the sentences that speak to nobody."""

    chunk: Chunk
    sentences: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a passage fits a question.

    Its cosine, by how much that is above the next document's, and which share of the question's words it has.
    """

    cosine: float
    margin: float
    words: float


def passage_of(chunk: Chunk, is_suspect: IsSuspect) -> Passage:
    """A chunk without what speaks to its reader. `is_suspect` judges a sentence as the guards judge a prompt."""
    kept = _without_instructions(_sentences(chunk.text)[:_MOST_SENTENCES])
    # Looking at each by itself takes its time, and most chunks are what they seem.
    if kept and is_suspect(" ".join(kept)):
        kept = [each for each in kept if not is_suspect(each)]
        if kept and is_suspect(" ".join(kept)):
            kept = []  # they do it together
    return Passage(chunk, tuple(kept))


def _sentences(text: str) -> list[str]:
    """The sentences of a text, whose lines may be wrapped: they end at blank lines, and before marks of a list."""
    blocks: list[list[str]] = [[]]
    for line in (" ".join(each.split()) for each in _LINE.split(text)):
        if not line or _BEGINS.match(f"{line} "):
            blocks.append([])
        blocks[-1].append(line)
        if _HEADING.match(line):
            blocks.append([])
    joined = (" ".join(each).strip() for each in blocks)
    return [sentence for block in joined if block for sentence in _SENTENCE.split(block)]


def _without_instructions(sentences: Sequence[str]) -> list[str]:
    """The sentences that speak to no model, alone or together with their neighbours."""
    searched = [_searched(each) for each in sentences]
    told = {place for place, each in enumerate(searched) if _SPEAKS_TO_A_MODEL.search(each)}
    # What is told apart is joined again: a stop or a blank line within an instruction hides it from no model.
    spans, end = [], 0
    for each in searched:
        spans.append((end, end + len(each)))
        end += len(each) + 1
    for match in _SPEAKS_TO_A_MODEL.finditer(" ".join(searched)):
        told |= {place for place, (start, stop) in enumerate(spans) if start < match.end() and match.start() < stop}
    return [each for place, each in enumerate(sentences) if place not in told]


def _searched(sentence: str) -> str:
    """A sentence as instructions are looked for in it: without what is not seen, and what only changes its type."""
    seen = "".join(each for each in sentence if unicodedata.category(each) != "Cf")
    return " ".join(_MARKUP.sub("", unicodedata.normalize("NFKC", seen)).split())


def fits(question: str, passages: Sequence[Passage]) -> list[Fit]:
    """How well each passage fits a question."""
    asked = content_words(question)
    found = []
    for each in passages:
        others = [other.chunk.score for other in passages if other.chunk.document != each.chunk.document]
        own = content_words(f"{each.chunk.title} {each.text}")
        found.append(
            Fit(
                cosine=each.chunk.score,
                margin=each.chunk.score - max(others, default=0.0),
                words=len(asked & own) / len(asked) if asked else 0.0,
            )
        )
    return found


def quotes(question: str, passage: Passage, most: int) -> list[str]:
    """The sentences of a passage that are nearest to a question, in the order of the text."""
    ranked = _ranked(question, passage)
    best = ranked[0][0] if ranked else 0.0
    chosen = {place for score, place in ranked[:most] if score > 0 and score * 2 >= best}
    if len(chosen) < most and chosen:
        # What follows often says the rest.
        following = max(chosen) + 1
        if following < len(passage.sentences) and most > 1:
            chosen.add(following)
    return [sentence for place, sentence in enumerate(passage.sentences) if place in chosen]


def content_words(text: str) -> frozenset[str]:
    """The stems of the words of a text that say something."""
    return frozenset(
        _stem(word) for word in re.split(r"[\s\-_/]+", plain(text)) if word not in _COMMON and len(word) > 1
    )


def _ranked(question: str, passage: Passage) -> list[tuple[float, int]]:
    asked = content_words(question)
    wanted = _wanted(question)
    scored = []
    for place, sentence in enumerate(passage.sentences):
        words = content_words(sentence)
        shared = len(asked & words)
        bonus = 1.0 if wanted is not None and wanted.search(sentence) else 0.0
        scored.append((shared + bonus if shared else 0.5 * bonus, place))
    return sorted(scored, key=lambda each: (-each[0], each[1]))


def _wanted(question: str) -> re.Pattern[str] | None:
    return next((kind for asks, kind in _WANTS if asks.search(question)), None)


def _stem(word: str) -> str:
    for ending, least in (
        ("als", 6),
        ("al", 6),
        ("ations", 5),
        ("ation", 5),
        ("ments", 5),
        ("ment", 5),
        ("ies", 4),
        ("ing", 4),
        ("ers", 4),
        ("ed", 4),
        ("es", 4),
        ("er", 4),
        ("s", 3),
        ("e", 4),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= least - 1:
            return word[: -len(ending)]
    return word
