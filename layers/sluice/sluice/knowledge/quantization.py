"""Vectors as whole numbers from -127 to 127, which cosines hardly tell from what they were made of. Pure.

A cosine is of directions, so each vector has a scale of its own, and it need not be kept.
"""

import math
from collections.abc import Sequence

from sluice.embeddings.vectors import Vector

_LARGEST = 127


def quantized(vector: Vector) -> list[int]:
    """The whole numbers that point the same way. Raises ValueError for a vector that points nowhere."""
    largest = max(map(abs, vector), default=0.0)
    if not largest or not math.isfinite(sum(vector)):
        raise ValueError("a vector of zeros, or one that is not finite, points nowhere")
    scale = _LARGEST / largest
    if not math.isfinite(scale):
        raise ValueError("a vector of numbers too close to 0 to point anywhere")
    return [round(number * scale) for number in vector]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors of the same length point: from -1 to 1. 0 if one of them points nowhere."""
    lengths = math.sqrt(math.sumprod(one, one)) * math.sqrt(math.sumprod(other, other))
    return math.sumprod(one, other) / lengths if lengths else 0.0
