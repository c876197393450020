"""How sure an answer is. Pure.

A passage's confidence is the probability that it answers the question, by a logistic of how well it fits. It was fitted
by `python -m benchmarks questions`, which measures it as well, to the questions and passages of
benchmarks/judged_passages.json: each question with its passage there, and with that taken away.
"""

import math
from collections.abc import Sequence

from sluice.answering.passages import Fit
from sluice.loading.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A logistic's weights, of what a Fit has."""

    bias: float
    cosine: float
    margin: float
    words: float


LOCAL = Weights(bias=-4.98, cosine=4.57, margin=4.88, words=4.23)
"""Of vectors by Sluice's own embedding model."""

OTHERS = Weights(bias=-3.48, cosine=0.0, margin=6.05, words=4.63)
"""Of vectors by any other model, whose cosines lie elsewhere: fitted without them, to the same vectors."""

COMPUTED = 0.99
"""Of what the rules recognised: of 89 questions, at first, none was answered wrongly; (89 + 1) / (89 + 2)."""


def probability(fit: Fit, weights: Weights) -> float:
    """The probability that a passage answers a question."""
    total = sum(weight * value for weight, value in zip(_weights(weights), values(fit), strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def values(fit: Fit) -> Sequence[float]:
    """What the weights are multiplied with."""
    return (1.0, fit.cosine, fit.margin, fit.words)


def _weights(weights: Weights) -> Sequence[float]:
    return (weights.bias, weights.cosine, weights.margin, weights.words)
