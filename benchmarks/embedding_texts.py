"""What embedding models are measured with: texts of so many words, and pairs that mean the same. No package is needed.

Other models than Sluice's run it in an environment of their own, see `benchmarks.beside`.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PAIRS = Path(__file__).with_name("paraphrases.txt")

type Vector = Sequence[float]
type Embed = Callable[[list[str]], Sequence[Vector]]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a model has done. Speeds are texts in a second of CPU time, of one thread."""

    name: str
    dimensions: int
    load_cpu_s: float
    megabytes: float
    of_20_words: float
    of_200_words: float
    first: float
    """How often the text that means the same is the nearest, of 1."""
    reciprocal_rank: float
    """The mean of 1 for the nearest, 1/2 for the next one, and so on."""


def texts(words: int, count: int) -> list[str]:
    """Stretches of the documentation, always the same."""
    pages = sorted((_ROOT / "docs").glob("*.md"))
    found = " ".join(page.read_text() for page in pages).split()
    chance = random.Random(words)
    starts = [chance.randrange(len(found) - words) for _ in range(count)]
    return [" ".join(found[start : start + words]) for start in starts]


def pairs() -> list[tuple[str, str]]:
    """Texts that mean the same, two by two."""
    lines = _PAIRS.read_text().splitlines()
    split = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [(one, other) for one, other in split]


def per_second(embed: Embed, asked: list[str], rounds: int) -> float:
    """Texts in a second of CPU time: the median of so many rounds after one to warm up."""
    embed(asked)
    times = []
    for _ in range(rounds):
        started_s = time.process_time()
        embed(asked)
        times.append(time.process_time() - started_s)
    return len(asked) / sorted(times)[len(times) // 2]


def quality(embed: Embed) -> tuple[float, float]:
    """How often the other text of a pair is the nearest among all others', and the mean reciprocal rank. Both ways."""
    ones, others = (embed(list(side)) for side in zip(*pairs(), strict=True))
    ranks = [*_ranks(ones, others), *_ranks(others, ones)]
    return sum(rank == 1 for rank in ranks) / len(ranks), sum(1 / rank for rank in ranks) / len(ranks)


def _ranks(asked: Sequence[Vector], found: Sequence[Vector]) -> list[int]:
    ranks = []
    for place, vector in enumerate(asked):
        nearness = [_cosine(vector, other) for other in found]
        ranks.append(1 + sum(each > nearness[place] for each in nearness))
    return ranks


def _cosine(one: Vector, other: Vector) -> float:
    return math.sumprod(one, other) / math.sqrt(math.sumprod(one, one) * math.sumprod(other, other))
