"""Rankings by exact words, and how two rankings become one. Pure; Sluice's own search has neither."""

import math
import re
from collections import Counter
from collections.abc import Sequence

# What texts share without being about the same: Lucene's English list, and words of questions.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can did do does for from had has have how i if in into is it me my no not of "
        "on or our such that the their then there these they this to was we what when where which who why will with "
        "you your",
    )
)
_WORD = re.compile(r"\w+(?:-\w+)*")
# As Robertson and Zaragoza give them: "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
_SATURATION = 1.2
_BY_LENGTH = 0.75
# As Cormack, Clarke and Buettcher give it: "Reciprocal Rank Fusion outperforms Condorcet", SIGIR 2009.
_RANK_OFFSET = 60


class WordIndex:
    """Ranks texts by the words that they share with a query, by BM25."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(_words(text)) for text in texts]
        self._lengths = [each.total() for each in self._counts]
        self._mean_length = sum(self._lengths) / len(self._lengths)
        self._texts_with = Counter(word for counts in self._counts for word in counts)

    def ranked(self, query: str) -> list[int]:
        """The places of the texts that share a word with the query, the best first."""
        words = set(_words(query))
        scores = [(self._score(words, place), -place) for place in range(len(self._counts))]
        return [-place for score, place in sorted(scores, reverse=True) if score > 0]

    def _score(self, words: set[str], place: int) -> float:
        counts = self._counts[place]
        relative = 1 - _BY_LENGTH + _BY_LENGTH * self._lengths[place] / self._mean_length
        return sum(
            self._rarity(word) * counts[word] * (_SATURATION + 1) / (counts[word] + _SATURATION * relative)
            for word in words & counts.keys()
        )

    def _rarity(self, word: str) -> float:
        having = self._texts_with[word]
        return math.log(1 + (len(self._counts) - having + 0.5) / (having + 0.5))


def fused(*rankings: Sequence[int]) -> list[int]:
    """One ranking of several, by reciprocal ranks."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            scores[place] = scores.get(place, 0.0) + 1 / (_RANK_OFFSET + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in _STOP_WORDS]
