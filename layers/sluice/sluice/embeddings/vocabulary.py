"""Tokens of words, as WordPiece has them: the longest piece in the vocabulary, then the longest of what is left. Pure.

https://github.com/huggingface/tokenizers, models/wordpiece.
"""

from collections.abc import Sequence

_CONTINUES = "##"
_UNKNOWN = "[UNK]"
_MOST_CHARACTERS = 100
"""Of a word; a longer one is unknown. What the reference calls max_input_chars_per_word."""

MOST_TOKENS = _MOST_CHARACTERS
"""Of a word: each takes a character of it."""


class Vocabulary:
    """Pieces of words by which the model has rows."""

    def __init__(self, pieces: Sequence[str]) -> None:
        """`pieces` are in the order of the rows; what goes on with a word begins with `##`."""
        places = {piece: place for place, piece in enumerate(pieces) if piece != _UNKNOWN}
        self._first = {piece: place for piece, place in places.items() if not piece.startswith(_CONTINUES)}
        self._later = {
            piece.removeprefix(_CONTINUES): place for piece, place in places.items() if piece.startswith(_CONTINUES)
        }
        self._longest = max(map(len, pieces), default=0)

    def tokens(self, word: str) -> list[int]:
        """The rows of a word; none if some of it is no piece, or it is too long: it is unknown as a whole."""
        if len(word) > _MOST_CHARACTERS:
            return []
        found: list[int] = []
        start, places = 0, self._first
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                if (place := places.get(word[start:end])) is not None:
                    break
            else:
                return []
            found.append(place)
            start, places = end, self._later
        return found
