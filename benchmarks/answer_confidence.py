"""Fits how sure answers from documents are, and measures whether they are as sure as they are right.

Questions are those of judged_passages.json and the tuned ones of tests/data/questions, each with the passages that are
near it, and once more without the one that answers it: most of what people ask is not in any document.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.search import judged
from sluice.answering.confidence import Weights, probability
from sluice.answering.passages import Chunk, Fit, fits, passage_of
from sluice.knowledge.quantization import cosine, quantized
from tests.questions import questions, seeded_documents, vector_of

_NEAR = 5
_FOLDS = 10
_BINS = 10
_ROUNDS = 8
# Keeps weights from growing without end where nothing contradicts them.
_RIDGE = 0.3


@dataclass(frozen=True, slots=True)
class Candidates:
    """The passages that are near a question, and which of them answer it."""

    question: int
    fits: Sequence[Fit]
    answers: Sequence[bool]

    def best(self, weights: Weights) -> tuple[float, bool]:
        """The confidence of the passage that is answered from, and whether it is right."""
        return max((probability(fit, weights), is_right) for fit, is_right in zip(self.fits, self.answers, strict=True))


def candidates() -> list[Candidates]:
    """All questions, each twice."""
    handbooks, asked = judged()
    passages = {name: ("", text) for handbook in handbooks for name, text in handbook.items()}
    found = _candidates(0, [(each.text, each.relevant) for each in asked], passages)
    own = {each["id"]: (each["title"], each["text"]) for each in seeded_documents()}
    tuned = [each for each in questions(of="tuned") if each.kind in {"documents", "unanswerable"}]
    rows = [(each.text, {each.document: 2} if each.document else {}) for each in tuned]
    return found + _candidates(len(asked), rows, own)


def _candidates(
    first: int, rows: Sequence[tuple[str, Mapping[str, int]]], passages: Mapping[str, tuple[str, str]]
) -> list[Candidates]:
    vectors = {name: quantized(vector_of(text)) for name, (_, text) in passages.items()}
    found = []
    for number, (question, relevant) in enumerate(rows, first):
        vector = vector_of(question)
        scores = sorted(((cosine(vector, own), name) for name, own in vectors.items()), reverse=True)
        for is_there in (True, False):
            near = [(score, name) for score, name in scores if is_there or name not in relevant][:_NEAR]
            chunks = [
                passage_of(
                    Chunk(
                        store="",
                        document=name,
                        number=0,
                        title=passages[name][0],
                        link="",
                        text=passages[name][1],
                        score=score,
                    ),
                    _is_never,
                )
                for score, name in near
            ]
            answers = [relevant.get(name) == 2 for _, name in near]
            found.append(Candidates(number, fits(question, chunks), answers))
    return found


def _is_never(_: str) -> bool:
    return False


def fitted(samples: Sequence[Candidates], values: Callable[[Fit], Sequence[float]]) -> list[float]:
    """The weights of a logistic by Newton's method, with a ridge on all but the first."""
    rows = [
        (values(fit), float(is_right))
        for each in samples
        for fit, is_right in zip(each.fits, each.answers, strict=True)
    ]
    size = len(rows[0][0])
    weights = [0.0] * size
    for _ in range(_ROUNDS):
        slope = [-_RIDGE * weight * (place > 0) for place, weight in enumerate(weights)]
        curve = [[_RIDGE * (i == j) * (i > 0) for j in range(size)] for i in range(size)]
        for row, is_right in rows:
            chance = 1 / (1 + math.exp(-sum(weight * value for weight, value in zip(weights, row, strict=True))))
            for i in range(size):
                slope[i] += (is_right - chance) * row[i]
                for j in range(size):
                    curve[i][j] += chance * (1 - chance) * row[i] * row[j]
        weights = [weight + step for weight, step in zip(weights, _solved(curve, slope), strict=True)]
    return weights


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve linear equations by elimination with pivots."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = max(range(i, len(rows)), key=lambda place: abs(rows[place][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for j in range(len(rows)):
            if j != i:
                factor = rows[j][i] / rows[i][i]
                rows[j] = [value - factor * other for value, other in zip(rows[j], rows[i], strict=True)]
    return [row[-1] / row[i] for i, row in enumerate(rows)]


def local_values(fit: Fit) -> Sequence[float]:
    """What the weights of the local model are of."""
    return (1.0, fit.cosine, fit.margin, fit.words)


def other_values(fit: Fit) -> Sequence[float]:
    """What those of other models are of."""
    return (1.0, fit.margin, fit.words)


def local_weights(samples: Sequence[Candidates]) -> Weights:
    """Weights for vectors of the local model."""
    bias, of_cosine, of_margin, of_words = fitted(samples, local_values)
    return Weights(
        bias=round(bias, 2), cosine=round(of_cosine, 2), margin=round(of_margin, 2), words=round(of_words, 2)
    )


def other_weights(samples: Sequence[Candidates]) -> Weights:
    """Weights without cosines."""
    bias, of_margin, of_words = fitted(samples, other_values)
    return Weights(bias=round(bias, 2), cosine=0.0, margin=round(of_margin, 2), words=round(of_words, 2))


def across_folds(
    samples: Sequence[Candidates], weigh: Callable[[Sequence[Candidates]], Weights]
) -> list[tuple[float, bool]]:
    """The confidence in the best passage, by weights fitted without the question, and whether it is right."""
    found = []
    for fold in range(_FOLDS):
        weights = weigh([each for each in samples if each.question % _FOLDS != fold])
        found += [each.best(weights) for each in samples if each.question % _FOLDS == fold]
    return found


def by_cosine(samples: Sequence[Candidates]) -> list[tuple[float, bool]]:
    """The same with the bare cosine for a confidence."""
    return [
        max((max(0.0, fit.cosine), is_right) for fit, is_right in zip(each.fits, each.answers, strict=True))
        for each in samples
    ]


def calibration_error(found: Sequence[tuple[float, bool]]) -> float:
    """The expected calibration error, in ten bins.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    total = 0.0
    for place in range(_BINS):
        own = [(chance, is_right) for chance, is_right in found if min(_BINS - 1, int(chance * _BINS)) == place]
        if own:
            total += abs(sum(chance for chance, _ in own) - sum(is_right for _, is_right in own))
    return total / len(found)
