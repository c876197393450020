"""Vectors of texts: the mean of their tokens' rows, brought to length 1. Pure, and without a package for it.

All numbers of a row are one whole number that has 32 bits, a lane, for each of them. Python adds two such rows in a
fraction of a microsecond, and the sum of a word's rows is kept. The sum has the direction of the mean, and only that
counts. docs/decisions/0061-vectors-are-added-as-whole-numbers.md has the measurements.
"""

import math
from array import array
from collections.abc import Iterator
from itertools import batched
from operator import add

from sluice.embeddings.vocabulary import MOST_TOKENS, Vocabulary
from sluice.embeddings.words import words_in
from sluice.loading.dataclass import dataclass

MOST_SHIFT = 8
_LANE_BYTES = 4
_BITS = 8 * _LANE_BYTES
_MOST_NUMBER = 127
# As many words as can't overflow a lane, whatever tokens they have.
_MOST_WORDS = (2 ** (_BITS - 1) - 1) // ((_MOST_NUMBER << MOST_SHIFT) * MOST_TOKENS)
# A word's sum takes a kilobyte. When all are kept, none is: what is common is soon there again.
_MOST_KEPT_WORDS = 16_384


class NoDirectionError(ValueError):
    """A text has no vector: the model knows no word of it, or what it knows adds up to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Vectors of tokens: `dimensions` bytes each, in which 128 stands for 0, each worth 2 ** shift."""

    dimensions: int
    shifts: bytes
    numbers: bytes

    def __post_init__(self) -> None:
        """Raises ValueError for rows that don't fit together."""
        if self.dimensions < 1 or len(self.numbers) != self.dimensions * len(self.shifts):
            raise ValueError(
                f"{len(self.shifts)} rows of {self.dimensions} numbers, and there are {len(self.numbers)} of these"
            )
        if max(self.shifts, default=0) > MOST_SHIFT:
            raise ValueError(f"a row is shifted by {max(self.shifts)} bits; the most is {MOST_SHIFT}")


class EmbeddingModel:
    """Makes vectors of texts. Threads may share it."""

    def __init__(self, vocabulary: Vocabulary, rows: Rows) -> None:
        self._sums = _WordSums(vocabulary, rows)
        # One more lane, which counts tokens.
        self._lanes = rows.dimensions + 1
        # In each lane the bit of the sign. Added, no lane is below 0, so that none borrows of the next.
        self._signs = int.from_bytes(b"\0\0\0\x80" * self._lanes, "little")

    def embed(self, text: str) -> tuple[array[float], int]:
        """The vector of a text, of length 1, and how many tokens it has. Raises NoDirectionError."""
        sums = self._lane_sums(words_in(text))
        total = next(sums)
        for more in sums:
            total = list(map(add, total, more))
        tokens = total.pop()
        length = math.sqrt(math.sumprod(total, total))
        if not length:
            raise NoDirectionError(f"{tokens} tokens of the text are known, and they have no direction")
        scale = 1 / length
        # A list is read faster than an iterator.
        return array("f", [number * scale for number in total]), tokens

    def _lane_sums(self, words: list[str]) -> Iterator[list[int]]:
        if len(words) <= _MOST_WORDS:
            yield self._lane_sum(words)
            return
        for some in batched(words, _MOST_WORDS, strict=False):
            yield self._lane_sum(some)

    def _lane_sum(self, words: list[str] | tuple[str, ...]) -> list[int]:
        """The sum of each number over all tokens of the words, and how many these are."""
        total = sum(map(self._sums.__getitem__, words))
        # The sign's bit, turned over again, leaves each lane as what array reads: two's complement.
        content = ((total + self._signs) ^ self._signs).to_bytes(_LANE_BYTES * self._lanes, "little")
        return array("i", content).tolist()


class _WordSums(dict[str, int]):
    """The sum of the rows of each word's tokens, all numbers in one; 0 for a word that is unknown."""

    def __init__(self, vocabulary: Vocabulary, rows: Rows) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._rows = rows
        self._half = int.from_bytes(b"\x80\0\0\0" * rows.dimensions, "little")
        self._one_token = 1 << (_BITS * rows.dimensions)
        # Each is worked out when it first comes: all together take a second, and a text has few.
        self._known_rows: list[int | None] = [None] * len(rows.shifts)

    def __missing__(self, word: str) -> int:
        total = sum([self._known_rows[token] or self._row(token) for token in self._vocabulary.tokens(word)])
        if len(self) >= _MOST_KEPT_WORDS:
            self.clear()
        self[word] = total
        return total

    def _row(self, token: int) -> int:
        """A token's row as one number, with 1 in the lane that counts tokens."""
        size = self._rows.dimensions
        lanes = bytearray(_LANE_BYTES * size)
        lanes[::_LANE_BYTES] = self._rows.numbers[token * size : (token + 1) * size]
        row = (int.from_bytes(lanes, "little") - self._half) << self._rows.shifts[token]
        self._known_rows[token] = row = row + self._one_token
        return row
