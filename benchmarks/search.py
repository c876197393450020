"""Search in stores: what vectors of whole numbers lose, and how good it is by sizes of chunks, with exact words beside.

Questions and what is relevant to them are in benchmarks/judged_passages.json. Where handbooks are cut into chunks, a
reader takes the chunks in the order in which they are found, and the passages of each in the order of the text.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.embedding_texts import texts
from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.word_ranking import WordIndex, fused
from sluice.embeddings.files import PACKAGE, read_model_in
from sluice.embeddings.model import EmbeddingModel
from sluice.knowledge.chunking import Chunking, chunks
from sluice.knowledge.quantization import cosine, quantized
from tools.processes import ROOT

_JUDGED = Path(__file__).with_name("judged_passages.json")
_LAYER = ROOT / ".tools" / "embedding" / "python"
_SIZES = (200, 400, 800)
_MOST = 10
# What an index of words would have to be worth.
_GOAL = 0.02
_KINDS = ("meaning", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and what is relevant to it: 2 answers it, 1 has to do with it."""

    text: str
    kind: str
    relevant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is found as one, and the passages that end in it or fill it, in order."""

    text: str
    passages: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """nDCG of each question by three rankings, and the recall of vectors of whole numbers."""

    words: Sequence[float]
    vectors: Sequence[float]
    both: Sequence[float]
    recall: float


def run(*, quick: bool) -> str:
    """Measure passages by themselves, and handbooks in chunks of each size."""
    handbooks, questions = judged()
    model = read_model_in(_LAYER / PACKAGE)
    every = {name: text for handbook in handbooks for name, text in handbook.items()}
    cuts = {"passages, each a document": [Unit(text, [name]) for name, text in every.items()]}
    for size in _SIZES[:1] if quick else _SIZES:
        cuts[f"chunks of {size} tokens"] = [unit for handbook in handbooks for unit in cut(handbook, size)]
    found = {title: _compare(model, units, questions) for title, units in cuts.items()}
    gain = fmean(fmean(each.both) - fmean(each.vectors) for each in found.values())
    verdict = "exact words are worth it" if gain >= _GOAL else "exact words are not worth it"
    many = texts(words=60, count=200 if quick else 2_000)
    return "\n\n".join(
        [
            f"{len(every)} passages in {len(handbooks)} handbooks, {len(questions)} questions; nDCG@{_MOST} of "
            "passages by the embedding model of the layer. Chunks share half of what they have with the next.",
            table(
                ["", "units", "vectors", "words (BM25)", "both", *(f"{kind}: vectors, both" for kind in _KINDS)],
                [_row(title, len(cuts[title]), each, questions) for title, each in found.items()],
            ),
            f"Both, by reciprocal ranks, change nDCG by {gain:+.3f} in the mean of the rows (goal {_GOAL}): {verdict}.",
            f"Recall@{_MOST} of whole numbers against the same search of floats, by these questions:",
            table(
                ["", "units", "recall"],
                [
                    *([title, str(len(cuts[title])), f"{each.recall:.3f}"] for title, each in found.items()),
                    ["stretches of documentation", str(len(many)), f"{_recall(model, many, questions):.3f}"],
                ],
            ),
        ]
    )


def judged() -> tuple[list[dict[str, str]], list[Question]]:
    """Handbooks, as passages by name, and the questions."""
    content = json.loads(_JUDGED.read_text(encoding="utf-8"))
    handbooks = [
        {f"{each['id']}-{number}": text for number, text in enumerate(each["passages"], start=1)}
        for each in content["handbooks"]
    ]
    return handbooks, [Question(**each) for each in content["questions"]]


def cut(handbook: Mapping[str, str], size: int) -> list[Unit]:
    """A handbook in chunks. A passage is in a chunk that has at least half of its words."""
    found = chunks("\n\n".join(handbook.values()), Chunking(max_tokens=size, overlap_tokens=size // 2, is_auto=False))
    return [
        Unit(each.text, [name for name, text in handbook.items() if _half_is_in(each.text, text)]) for each in found
    ]


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """How good a ranking is, from 0 to 1, with gains of 2 ** grade - 1 and the discount log2(rank + 1).

    Source: Burges et al., "Learning to Rank using Gradient Descent", ICML 2005.
    """
    ideal = _gains(sorted(relevant.values(), reverse=True))
    return _gains([relevant.get(name, 0) for name in ranking]) / ideal


def _gains(grades: Sequence[int]) -> float:
    return math.fsum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades[:_MOST], start=1))


def _half_is_in(chunk: str, passage: str) -> bool:
    """Whether one half of a passage is in a chunk: a chunk is a stretch of the text, and has its begin or its end."""
    middle = len(passage) // 2
    return (
        passage[:middle] in chunk or passage[middle:] in chunk or passage[middle // 2 : middle + middle // 2] in chunk
    )


def _compare(model: EmbeddingModel, units: Sequence[Unit], questions: Sequence[Question]) -> Found:
    stored = [quantized(model.embed(each.text)[0]) for each in units]
    index = WordIndex([each.text for each in units])
    by_words: list[float] = []
    by_vectors: list[float] = []
    by_both: list[float] = []
    for question in questions:
        near, shared = _nearest(model, stored, question), index.ranked(question.text)
        for scores, ranking in ((by_vectors, near), (by_words, shared), (by_both, fused(near, shared))):
            read = dict.fromkeys(name for place in ranking for name in units[place].passages)
            scores.append(ndcg(list(read), question.relevant))
    recall = _recall(model, [each.text for each in units], questions)
    return Found(words=by_words, vectors=by_vectors, both=by_both, recall=recall)


def _nearest(model: EmbeddingModel, stored: Sequence[Sequence[float]], question: Question) -> list[int]:
    vector = model.embed(question.text)[0]
    return sorted(range(len(stored)), key=lambda place: (-cosine(vector, stored[place]), place))


def _recall(model: EmbeddingModel, found: Sequence[str], questions: Sequence[Question]) -> float:
    floats = [model.embed(text)[0] for text in found]
    wholes = [quantized(each) for each in floats]
    shares = []
    for question in questions:
        exact = set(_nearest(model, floats, question)[:_MOST])
        shares.append(len(exact.intersection(_nearest(model, wholes, question)[:_MOST])) / len(exact))
    return fmean(shares)


def _row(title: str, units: int, found: Found, questions: Sequence[Question]) -> list[str]:
    cells = [f"{fmean(each):.3f}" for each in (found.vectors, found.words, found.both)]
    for kind in _KINDS:
        places = [place for place, question in enumerate(questions) if question.kind == kind]
        cells.append(", ".join(f"{fmean(each[place] for place in places):.3f}" for each in (found.vectors, found.both)))
    return [title, str(units), *cells]


if __name__ == "__main__":
    main(run)
