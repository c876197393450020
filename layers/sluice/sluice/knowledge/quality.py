"""Quality of a store's vectors: how many there are, of what, and which can't be right. What decides is pure.

Two documents of the same text have the same vectors, and rightly so: those are counted apart from vectors that are the
same though their texts are not, which a model that fails makes.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import field

from sluice.embeddings.vectors import Vector
from sluice.knowledge.documents import DocumentStore
from sluice.knowledge.index import VectorIndex, size_for
from sluice.knowledge.vector_store import VectorStore
from sluice.loading.dataclass import dataclass

MOST_DOCUMENTS = 10_000
MOST_VECTORS = 5_000
"""How much one look takes in: a few seconds' work."""
_MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """A vector as it is stored, and what says which text it is of."""

    vector: Vector
    text: object


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuality:
    """What vectors are like. Rates are of all vectors, and 0 where there are none."""

    total_embeddings: int = 0
    dimension_consistency: bool = True
    expected_dimensions: int = 0
    zero_vectors: int = 0
    zero_vector_rate: float = 0.0
    non_finite_vectors: int = 0
    avg_magnitude: float = 0.0
    magnitude_std: float = 0.0
    duplicate_rate: float = 0.0
    duplicate_text_rate: float = 0.0
    quality_score: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreQuality:
    """What a store is like. `coverage` is the share of its documents that have vectors of their newest text.

    `next_coverage` is that of a generation in the making. `lacking` are reasons why documents have none, and how many.
    `is_complete`: all of the store was looked at. `bytes` is what its documents take.
    """

    documents: int
    bytes: int
    coverage: float
    next_coverage: float | None
    lacking: dict[str, int] = field(default_factory=dict)
    vectors: VectorQuality = field(default_factory=VectorQuality)
    is_complete: bool = True


def measure(stored: Sequence[Stored], expected_dimensions: int) -> VectorQuality:
    """What vectors are like, however ragged they are. Pure."""
    if not stored:
        return VectorQuality(expected_dimensions=expected_dimensions)
    finite = [each for each in stored if _is_finite(each.vector)]
    magnitudes = [math.sqrt(math.sumprod(each.vector, each.vector)) for each in finite]
    zeros = sum(not any(each.vector) for each in finite)
    texts: dict[tuple[float, ...], set[object]] = {}
    for each in finite:
        if any(each.vector):
            texts.setdefault(tuple(each.vector), set()).add(each.text)
    # Of several texts with one vector, the first may be right.
    wrong = sum(len(each) - 1 for each in texts.values())
    same = len(stored) - len({each.text for each in stored})
    count = len(stored)
    bad = zeros + len(stored) - len(finite)
    return VectorQuality(
        total_embeddings=count,
        dimension_consistency={len(each.vector) for each in stored} == {expected_dimensions},
        expected_dimensions=expected_dimensions,
        zero_vectors=zeros,
        zero_vector_rate=zeros / count,
        non_finite_vectors=count - len(finite),
        avg_magnitude=statistics.fmean(magnitudes) if magnitudes else 0.0,
        magnitude_std=statistics.pstdev(magnitudes) if magnitudes else 0.0,
        duplicate_rate=wrong / count,
        duplicate_text_rate=same / count,
        quality_score=max(0.0, 1.0 - bad / count - wrong / count),
    )


def look_at(store: VectorStore, documents: DocumentStore, index: VectorIndex) -> StoreQuality:
    """What a store is like, as far as one look goes. Raises StorageUnavailableError."""
    count = size = covered = covered_next = 0
    lacking: Counter[str] = Counter()
    stored: list[Stored] = []
    is_complete = True
    for record in documents.all(store):
        if record.is_deleted or not record.revisions:
            continue
        if count == MOST_DOCUMENTS or len(stored) >= MOST_VECTORS:
            is_complete = False
            break
        count += 1
        size += record.bytes
        has_vectors = not record.waiting and store.active.number in record.generations
        covered += has_vectors
        covered_next += store.next is not None and not record.waiting and store.next.number in record.generations
        if not has_vectors:
            lacking[record.reason or "its vectors are being made"] += 1
        if record.current:
            found = index.vectors(store, store.active, f"{record.key}#{record.current}#")
            stored += [Stored(vector, (record.content_hash, key.number)) for key, vector in found]
    return StoreQuality(
        documents=count,
        bytes=size,
        coverage=covered / count if count else 1.0,
        next_coverage=None if store.next is None else covered_next / count if count else 1.0,
        lacking=dict(lacking.most_common(_MOST_REASONS)),
        vectors=measure(stored, size_for(store.active.dimensions)),
        is_complete=is_complete,
    )


def _is_finite(vector: Iterable[float]) -> bool:
    return all(isinstance(number, int | float) and math.isfinite(number) for number in vector)
