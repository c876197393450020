"""Vectors of texts for stores, through the gateway: budgets, limits, usage and fallback are those of any request."""

import secrets
from collections.abc import Sequence

from sluice.embeddings.request import EmbeddingRequest
from sluice.embeddings.vectors import Vector
from sluice.errors import LedgerUnavailableError, QuotaExceededError, SluiceError, StorageUnavailableError
from sluice.gateway.embeddings import EmbeddingGateway
from sluice.gateway.request import RequestContext
from sluice.knowledge.vector_store import Generation
from sluice.routing.deadline import Deadline
from sluice.tenants.principal import Principal

_REFUSED = 400
# What a request of 2,048 texts comes to with the longest vectors.
_MOST_NUMBERS = 2_048 * 4_096


class NoVectorsError(Exception):
    """There are no vectors for texts now. `reason` says why, without the texts; `may_pass`: later there may be.

    `is_about_texts`: they were refused for what they are, or how many, and some of them alone may be taken.
    `is_too_much`: a limit never has room for so many at once.
    """

    def __init__(
        self,
        reason: str,
        *,
        may_pass: bool,
        retry_after_s: int | None = None,
        is_about_texts: bool = False,
        is_too_much: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_pass = may_pass
        self.retry_after_s = retry_after_s
        self.is_about_texts = is_about_texts or is_too_much
        self.is_too_much = is_too_much


class Embedder:
    """Makes vectors for stores. Threads may share it."""

    def __init__(self, gateway: EmbeddingGateway, timeout_s: float) -> None:
        self._gateway = gateway
        self._timeout_s = timeout_s

    def embed(self, generation: Generation, texts: Sequence[str], principal: Principal) -> Sequence[Vector]:
        """Make the vectors of some texts, 2,048 at most, in their order, for a principal who pays for them.

        Raises NoVectorsError, StorageUnavailableError, LedgerUnavailableError.
        """
        context = RequestContext(
            request_id=f"store-{secrets.token_hex(8)}",
            deadline=Deadline.after(self._timeout_s),
            operation="embedding",
        )
        return self.embed_for(context, generation, texts, principal)

    def embed_for(
        self, context: RequestContext, generation: Generation, texts: Sequence[str], principal: Principal
    ) -> Sequence[Vector]:
        """The same, for a request that somebody waits for. Raises as `embed`."""
        try:
            found = self._gateway.embed(_request(generation, texts), principal, context, _MOST_NUMBERS)
        except (StorageUnavailableError, LedgerUnavailableError):
            raise
        except SluiceError as error:
            wait = getattr(error, "retry_after_s", None)
            is_refused = error.status == _REFUSED
            raise NoVectorsError(
                error.message,
                may_pass=not is_refused,
                retry_after_s=wait,
                is_about_texts=is_refused and error.param == "input",
                is_too_much=_is_too_much(error),
            ) from error
        wrong = next((len(each) for each in found.vectors if len(each) != generation.dimensions), None)
        if wrong is not None:
            raise NoVectorsError(
                f"The model {generation.model} makes vectors of {wrong} dimensions, and the store's have "
                f"{generation.dimensions}: give the store another embedding_model, or the same again.",
                may_pass=False,
            )
        return found.vectors


def _is_too_much(error: SluiceError) -> bool:
    """Whether a request needs more than a limit ever has, so that a smaller one may fit."""
    is_beyond_quota = isinstance(error, QuotaExceededError) and error.retry_after_s is None
    return is_beyond_quota or error.code == "request_exceeds_limit"


def _request(generation: Generation, texts: Sequence[str]) -> EmbeddingRequest:
    fields = {"dimensions": generation.dimensions} if generation.is_shortened else {}
    return EmbeddingRequest.model_validate({"model": generation.model, "input": list(texts), **fields})
