"""A request for vectors on its way through the pipeline, and the batches that it is asked in."""

import time
from collections.abc import Sequence
from dataclasses import field

from sluice.chat import Usage
from sluice.embeddings.request import EmbeddingRequest
from sluice.embeddings.vectors import TextBatch, Vector
from sluice.gateway.budget import BudgetReservation
from sluice.gateway.counting import CountedRequest
from sluice.gateway.request import RequestContext
from sluice.guards.rules import Finding
from sluice.loading.dataclass import dataclass
from sluice.providers.base import ProviderVectors
from sluice.providers.deployment import Deployment
from sluice.quota.request_size import RequestSize
from sluice.routing.deployment_quota import Answered
from sluice.routing.embedding_plan import EmbeddingPlan
from sluice.tenants.principal import Principal


@dataclass(frozen=True, slots=True)
class LostCall:
    """A call that failed and may be billed all the same."""

    deployment: Deployment
    usage: Usage


@dataclass(slots=True, kw_only=True)
class EmbeddingBatch:
    """Texts that are asked at once, what is reserved for them, and what came of it.

    `first` is the place of the first of them in the request.
    """

    texts: tuple[str, ...]
    first: int
    size: RequestSize
    budget: BudgetReservation
    answered: Answered[ProviderVectors] | None = None
    lost: list[LostCall] = field(default_factory=list)
    was_asked: bool = False
    """Whether a provider may have seen it."""

    @property
    def vectors(self) -> Sequence[Vector]:
        """Its vectors, once there are some."""
        return self.answered.answer.vectors if self.answered else ()

    @property
    def used(self) -> Usage:
        """The tokens of its answer: as the provider counted them, unless that can't be, else as they were reserved."""
        if self.answered is None:
            return Usage(0, 0)
        said, window = self.answered.answer.tokens, self.answered.deployment.model.context_window
        is_believed = said is not None and said <= window * len(self.texts)
        return Usage(said if said is not None and is_believed else self.answered.estimate.prompt_tokens, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedEmbedding:
    """A request for vectors that was admitted: counted for its caller, judged, planned and cut into batches."""

    request: EmbeddingRequest
    principal: Principal
    context: RequestContext
    plan: EmbeddingPlan
    findings: tuple[Finding, ...]
    counted: CountedRequest
    batches: tuple[EmbeddingBatch, ...]
    started_s: float = field(default_factory=time.monotonic)

    @property
    def user(self) -> str:
        """The user that the request is for, "" if nobody says."""
        return self.principal.user_of(self.request.labels.user) or ""

    @property
    def task(self) -> str:
        """The task that the caller names, "" if it is none."""
        return self.request.labels.task or ""

    @property
    def was_asked(self) -> bool:
        """Whether a provider may have seen anything of it."""
        return any(each.was_asked for each in self.batches)

    def as_asked(self, batch: EmbeddingBatch, deployment: Deployment) -> TextBatch:
        """A batch as the deployment is asked it."""
        request, vectors = self.request, deployment.model.vectors
        return TextBatch(
            texts=batch.texts,
            dimensions=self.plan.dimensions,
            is_shortened=request.dimensions is not None and vectors is not None and vectors.shortens,
            user=None if "user" in deployment.provider.unsupported_fields else request.user,
            further=request.further_fields,
            first=batch.first,
        )
