"""Plan of an embedding's route: the deployments of the model that is named, and no stand-ins. Pure.

Vectors of two models can't be compared, so that another model's are worth less than none.
"""

from collections.abc import Sequence

from sluice.chat import AUTO
from sluice.embeddings.request import EmbeddingRequest
from sluice.errors import (
    ContextOverflowError,
    InvalidRequestError,
    NoProviderError,
    NotFoundError,
    PermissionDeniedError,
)
from sluice.loading.dataclass import dataclass
from sluice.providers.allowed_fields import refused_beside
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry
from sluice.quota.estimate import text_weight
from sluice.routing.plan import RoutingPolicy, without_price, wrong_kind

# In text that is surely too long, about.
_MOST_CHARACTERS_PER_TOKEN = 5


@dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """Who may make the vectors of a request, all with one model, and how many numbers each is to have."""

    model: str
    deployments: tuple[Deployment, ...]
    dimensions: int


def plan_embedding(request: EmbeddingRequest, registry: Registry, policy: RoutingPolicy) -> EmbeddingPlan:
    """Find who may answer `request`; of the policy, what is allowed and whether a price is needed.

    Raises NotFoundError for an unknown model, InvalidRequestError for one that chats or a request that fits none,
    PermissionDeniedError for one that the tenant may not use, NoProviderError when none is switched on.
    """
    name, allowed = request.model, policy.allowed_models
    found = registry.embedders(name)
    if not found:
        raise _no_embedder(name, registry, policy)
    if allowed is not None:
        found = tuple(each for each in found if each.model.is_among(allowed))
        if not found:
            raise PermissionDeniedError(
                f"The tenant may not use the model {name!r}.", param="model", code="model_not_allowed"
            )
    _check_is_one(name, found)
    enabled = tuple(each for each in found if each.enabled)
    if not enabled:
        raise NoProviderError(f"No credential is switched on for the model {name!r}.", may_pass=False)
    if policy.needs_price:
        enabled = tuple(each for each in enabled if each.model.price.is_known)
        if not enabled:
            raise without_price(name)
    dimensions = _dimensions(request, enabled[0])
    return EmbeddingPlan(enabled[0].model.id, _supporting(request, _fitting(request, enabled)), dimensions)


def _no_embedder(name: str, registry: Registry, policy: RoutingPolicy) -> InvalidRequestError | NotFoundError:
    embedding = [each.id for each in registry.models(policy.allowed_models) if each.dimensions is not None]
    if name == AUTO:
        return wrong_kind("auto chooses among models that chat.", "Models that make embeddings", embedding)
    try:
        registry.deployments_for(name)
    except NotFoundError as error:
        return error
    return wrong_kind(f"The model {name!r} chats and makes no embeddings.", "Models that do", embedding)


def _check_is_one(name: str, found: Sequence[Deployment]) -> None:
    """Raise InvalidRequestError if a name stands for vectors that can't be compared."""
    kinds = {(each.model.id, each.model.vectors and each.model.vectors.dimensions) for each in found}
    if len(kinds) > 1:
        listed = ", ".join(sorted(f"{model} ({dimensions} dimensions)" for model, dimensions in kinds))
        raise InvalidRequestError(
            f"The name {name!r} stands for several models, whose vectors can't be compared: {listed}.",
            param="model",
            code="ambiguous_model",
        )


def _dimensions(request: EmbeddingRequest, deployment: Deployment) -> int:
    vectors = deployment.model.vectors
    if vectors is None:
        raise ValueError(f"{deployment.id} makes no embeddings")
    wanted = request.dimensions or vectors.dimensions
    if wanted > vectors.dimensions or (wanted < vectors.dimensions and not vectors.shortens):
        can = f"1 to {vectors.dimensions}" if vectors.shortens else f"{vectors.dimensions} only"
        raise InvalidRequestError(
            f"dimensions is {wanted}; the vectors of {deployment.model.id} have {can}.", param="dimensions"
        )
    return wanted


def _fitting(request: EmbeddingRequest, deployments: Sequence[Deployment]) -> tuple[Deployment, ...]:
    """Leave out whose window a text surely does not fit; closer calls are the provider's."""
    weights = [text_weight(text) // _MOST_CHARACTERS_PER_TOKEN for text in request.texts]
    longest = max(weights)
    fitting = tuple(each for each in deployments if longest <= each.model.context_window)
    if not fitting:
        window = max(each.model.context_window for each in deployments)
        raise ContextOverflowError(
            f"The text at position {weights.index(longest)} has at least {longest} tokens; "
            f"the model's context window is {window}.",
            param="input",
        )
    return fitting


def _supporting(request: EmbeddingRequest, deployments: Sequence[Deployment]) -> tuple[Deployment, ...]:
    refused = [refused_beside(request.further_fields, each.config) for each in deployments]
    kept = tuple(each for each, field in zip(deployments, refused, strict=True) if field is None)
    first = refused[0]
    if not kept and first is not None:
        raise InvalidRequestError(f"{first.param}: {first.reason}.", param=first.param)
    return kept
