"""What came in from Jira and GitHub: for operators of their tenant."""

import time
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.ingestion.coverage import Coverage, KindCoverage, SourceCoverage
from sluice.ingestion.journal import Problem, ProblemKind
from sluice.ingestion.source import SourceType
from sluice.tenants.tenant import Role

ROUTES = Routes("Ingestion")

# What is left of a request's time for the rest of its answer.
_ANSWERING_S = 5.0


class CoverageQuery(BaseModel):
    """The query of GET /v1/ingest/coverage."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    source_id: Annotated[str, Field(min_length=1, max_length=128, description="One source alone.")] | None = None


class IngestKind(TypedDict):
    """Documents of one kind. Of those without vectors of their newest text, `reasons` say why, and how many."""

    documents: int
    with_vectors: int
    without_vectors: int
    reasons: dict[str, int]


class IngestProblem(TypedDict):
    """An event that was not taken as it came. `delivery` is what its sender calls it."""

    kind: ProblemKind
    at: int
    event: str
    delivery: str
    reason: str


class IngestSourceCoverage(TypedDict):
    """What came in from one source.

    `counts` are of what was done, and count twice what the queue hands out twice: events that were `received` or came
    again as `duplicates`, `ignored.` with the event or the reason, documents by what became of them.
    """

    source_id: str
    type: SourceType
    name: str
    vector_store_id: str
    has_vector_store: bool
    last_event_at: int | None
    documents: int
    kinds: dict[str, IngestKind]
    counts: dict[str, int]
    problems: list[IngestProblem]


class IngestCoverage(TypedDict):
    """What came in. `is_complete`: there was time to look at all documents."""

    object: Literal["ingest.coverage"]
    is_complete: bool
    sources: list[IngestSourceCoverage]


@ROUTES.get("/v1/ingest/coverage", role=Role.OPERATOR, errors={404})
def get_ingest_coverage(call: Call[None, CoverageQuery]) -> IngestCoverage:
    """Show what has come in by source and kind, what has no vectors and why, and what was not taken as it came."""
    tenant, sources = call.principal.tenant.id, call.app.ingest_sources
    found = [sources.get(tenant, call.query.source_id)] if call.query.source_id else sources.all(tenant)
    until_s = time.monotonic() + max(0.0, call.deadline.remaining_s - _ANSWERING_S)
    return _shown_coverage(call.app.ingest_coverage.read(found, until_s))


def _shown_coverage(coverage: Coverage) -> IngestCoverage:
    sources = [_shown_source(each) for each in coverage.sources]
    return {"object": "ingest.coverage", "is_complete": coverage.is_complete, "sources": sources}


def _shown_source(found: SourceCoverage) -> IngestSourceCoverage:
    return {
        "source_id": found.source.id,
        "type": found.source.type,
        "name": found.source.name,
        "vector_store_id": found.source.vector_store_id,
        "has_vector_store": found.has_store,
        "last_event_at": found.counts.last_event_at,
        "documents": sum(each.documents for each in found.kinds.values()),
        "kinds": {kind: _shown_kind(each) for kind, each in found.kinds.items()},
        "counts": dict(sorted(found.counts.by_name.items())),
        "problems": [_shown_problem(each) for each in found.problems],
    }


def _shown_kind(kind: KindCoverage) -> IngestKind:
    return {
        "documents": kind.documents,
        "with_vectors": kind.with_vectors,
        "without_vectors": kind.without_vectors,
        "reasons": dict(kind.reasons.most_common()),
    }


def _shown_problem(problem: Problem) -> IngestProblem:
    return {
        "kind": problem.kind,
        "at": problem.at_ms // 1000,
        "event": problem.event,
        "delivery": problem.name,
        "reason": problem.reason,
    }
