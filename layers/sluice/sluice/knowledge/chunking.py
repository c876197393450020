"""Chunks of a text: overlapping pieces of so many tokens at most, which end with a sentence if one ends there. Pure.

Tokens are estimated, as each model has a tokenizer of its own: a word has one for each six letters, a number one for
each three digits, and every other character that is no space has its own. On English prose that is within a tenth of
cl100k's count.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from sluice.errors import InvalidRequestError
from sluice.loading.dataclass import dataclass

LEAST_TOKENS, MOST_TOKENS = 100, 4_096
MOST_CHUNKS = 20_000
"""How many chunks a document may have."""
_LETTERS_PER_TOKEN = 6
_DIGITS_PER_TOKEN = 3
# What a model is asked about has no end in a word of a megabyte.
_PIECE = re.compile(r"[A-Za-z]{1,60}|[0-9]{1,30}|\n[ \t]*\n\s*|\s+|.", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?:;\u3002\uff01\uff1f]|\n")
# How much of a chunk may be given up for an end at which somebody would stop.
_LOOK_BACK = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How texts are cut: so many tokens a chunk at most, of which so many are those that the one before ends with."""

    max_tokens: int = 800
    overlap_tokens: int = 400
    is_auto: bool = True

    def check(self) -> None:
        """Raise InvalidRequestError for sizes that OpenAI's API would not take."""
        if not LEAST_TOKENS <= self.max_tokens <= MOST_TOKENS:
            raise InvalidRequestError(
                f"chunking_strategy: max_chunk_size_tokens is {self.max_tokens}; it can be "
                f"{LEAST_TOKENS} to {MOST_TOKENS}.",
                param="chunking_strategy",
            )
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise InvalidRequestError(
                f"chunking_strategy: chunk_overlap_tokens is {self.overlap_tokens}; it can be 0 to half of "
                f"max_chunk_size_tokens, {self.max_tokens // 2}.",
                param="chunking_strategy",
            )

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.max_tokens}/{self.overlap_tokens}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text, and its estimated tokens."""

    text: str
    tokens: int


def chunks(text: str, chunking: Chunking) -> list[Chunk]:
    """Cut a text; one of nothing but spaces has no chunks. Raises InvalidRequestError for more than MOST_CHUNKS."""
    found: list[Chunk] = []
    for start, end, tokens in _cuts(text, chunking):
        piece = text[start:end].strip()
        if piece:
            if len(found) == MOST_CHUNKS:
                raise InvalidRequestError(f"The text has more than {MOST_CHUNKS} chunks: split it.", param="text")
            found.append(Chunk(piece, tokens))
    return found


def count_tokens(text: str) -> int:
    """The estimated tokens of a text."""
    return sum(_tokens(match.group()) for match in _PIECE.finditer(text))


def _cuts(text: str, chunking: Chunking) -> list[tuple[int, int, int]]:
    """Where chunks begin and end, and their tokens."""
    ends, totals, stops = [0], [0], [0]
    for match in _PIECE.finditer(text):
        piece = match.group()
        ends.append(match.end())
        totals.append(totals[-1] + _tokens(piece))
        if _SENTENCE_END.search(piece):
            stops.append(len(ends) - 1)
    last, start, cuts = len(ends) - 1, 0, []
    while start < last:
        end = max(start + 1, bisect_right(totals, totals[start] + chunking.max_tokens) - 1)
        if end < last:
            end = _stop(stops, totals, start, end)
        cuts.append((ends[start], ends[end], totals[end] - totals[start]))
        if end >= last:
            break
        # The next begins within this one, and behind where this one began, so that it comes to an end.
        start = max(start + 1, bisect_left(totals, totals[end] - chunking.overlap_tokens))
    return cuts


def _stop(stops: Sequence[int], totals: Sequence[int], start: int, end: int) -> int:
    """The last end of a sentence in the last part of what fits, or the end of that."""
    candidate = stops[bisect_right(stops, end) - 1]
    least = totals[start] + (totals[end] - totals[start]) * (1 - _LOOK_BACK)
    return candidate if candidate > start and totals[candidate] >= least else end


def _tokens(piece: str) -> int:
    if piece.isspace():
        return 0
    if piece.isascii() and piece.isalpha():
        return math.ceil(len(piece) / _LETTERS_PER_TOKEN)
    return math.ceil(len(piece) / _DIGITS_PER_TOKEN) if piece.isdigit() else 1
