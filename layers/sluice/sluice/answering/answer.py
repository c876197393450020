"""What a question comes to, before the API shows it."""

from collections.abc import Sequence
from dataclasses import field
from typing import Literal

from sluice.answering.figures import Figure
from sluice.gateway.provenance import Provenance
from sluice.loading.dataclass import dataclass

type Basis = Literal["computed", "documents", "both", "none"]
type SourceType = Literal["usage", "budget", "limits", "health", "coverage", "stores", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """What an answer is from, or, where there is none, the nearest there is. A document has the id of its chunk."""

    type: SourceType
    name: str
    link: str
    chunk_id: str | None = None
    vector_store_id: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAnswer:
    """An answer. `confidence` is the probability that it is right; `figures` are all the numbers that were computed."""

    answer: str
    basis: Basis
    confidence: float
    sources: Sequence[DataSource] = ()
    figures: Sequence[Figure] = ()
    follow_ups: Sequence[str] = ()
    provenance: Provenance | None = field(default=None, compare=False)
