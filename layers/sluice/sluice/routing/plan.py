"""Which deployments may answer a request, in order of preference. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from sluice.catalog import Tier
from sluice.chat import AUTO, ChatRequest
from sluice.errors import ContextOverflowError, InvalidRequestError, NoProviderError, PermissionDeniedError
from sluice.providers.registry import Deployment, Registry
from sluice.quota.estimate import prompt_weight
from sluice.routing.intent import Complexity, classify

# A prompt is refused for its length only when it is surely too long; closer calls are the provider's.
_MOST_CHARACTERS_PER_TOKEN = 5

# Parts of a message that are words. Others are images, sounds and files.
_WRITTEN = frozenset({"text", "refusal"})

# Asked of every provider that knows it, and of no other.
_ALWAYS_SUPPORTED = {"stream_options"}


@dataclass(frozen=True, slots=True)
class Plan:
    """`groups` of deployments, each to be tried as a whole before the next; `model` is what was asked for, resolved."""

    model: str
    complexity: Complexity
    groups: tuple[tuple[Deployment, ...], ...]

    def prefers(self, deployment: Deployment) -> bool:
        """Whether `deployment` is what was asked for, and not a stand-in for it."""
        if self.model == AUTO:
            return any(each.id == deployment.id for each in self.groups[0])
        return deployment.model.is_among((self.model,))

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """All of them, in order of preference."""
        return tuple(deployment for group in self.groups for deployment in group)


def plan(
    request: ChatRequest,
    registry: Registry,
    allowed_models: tuple[str, ...] | None,
    complexity: Complexity | None = None,
    *,
    takes_images: bool = False,
) -> Plan:
    """Find who may answer `request`: the tier its complexity asks for, or the model it names; then their stand-ins.

    A task knows its own `complexity`; that of free chat is judged here. `takes_images` asks for models that take images
    or sounds though there are none in `request`: they are in what was said before.

    Raises NotFoundError for an unknown model, PermissionDeniedError for one the tenant may not use,
    ContextOverflowError and InvalidRequestError for a request that fits none, NoProviderError when none is switched on.
    """
    complexity = classify(request) if complexity is None else complexity
    if request.model == AUTO:
        name, groups = AUTO, [registry.for_tier(tier) for tier in _tiers(complexity)]
    else:
        resolved = registry.deployments_for(request.model)
        name, groups = resolved.model, [resolved.deployments, registry.fallbacks_for(resolved)]
    if not any(groups):
        raise NoProviderError(f"No credential is switched on for the model {request.model!r}.")
    if allowed_models is not None:
        groups = [tuple(each for each in group if each.model.is_among(allowed_models)) for group in groups]
        if not any(groups):
            whom = "any model that auto chooses from" if request.model == AUTO else f"the model {request.model!r}"
            raise PermissionDeniedError(f"The tenant may not use {whom}.", param="model", code="model_not_allowed")
    fitting = _fitting(request, _supporting(request, _distinct(groups), takes_images or has_images(request)))
    if request.model == AUTO and complexity.tier is Tier.FAST:
        # Easy work has no part in the scarce model's quota, unless no small one can take it at all.
        fitting = fitting[:1]
    return Plan(name, complexity, fitting)


def _tiers(complexity: Complexity) -> tuple[Tier, Tier]:
    # Better a small model's answer than none, when the scarce one's quota is gone.
    return (Tier.SMART, Tier.FAST) if complexity.tier is Tier.SMART else (Tier.FAST, Tier.SMART)


def _distinct(groups: Iterable[tuple[Deployment, ...]]) -> list[tuple[Deployment, ...]]:
    seen: set[str] = set()
    distinct = []
    for group in groups:
        fresh = tuple(deployment for deployment in group if deployment.id not in seen)
        seen.update(deployment.id for deployment in fresh)
        if fresh:
            distinct.append(fresh)
    return distinct


def _supporting(
    request: ChatRequest, groups: list[tuple[Deployment, ...]], takes_images: bool
) -> list[tuple[Deployment, ...]]:
    """Leave out who can't take a field of the request, or its images, and say which when that is everybody."""
    given = {name for name in request.model_fields_set if getattr(request, name) is not None} - _ALWAYS_SUPPORTED
    kept = [tuple(each for each in group if not given & each.provider.unsupported_fields) for group in groups]
    if not any(kept):
        name = min(given & groups[0][0].provider.unsupported_fields)
        raise InvalidRequestError(f"{name} is not supported by the model's provider.", param=name)
    if takes_images:
        kept = [tuple(each for each in group if not each.model.text_only) for group in kept]
        if not any(kept):
            raise InvalidRequestError("messages: the model takes text only, no images or sounds.", param="messages")
    return [group for group in kept if group]


def has_images(request: ChatRequest) -> bool:
    """Whether there is more than text in a request: images, sounds or files."""
    contents = (message.content for message in request.messages)
    return any(part.type not in _WRITTEN for parts in contents if isinstance(parts, list) for part in parts)


def _fitting(request: ChatRequest, groups: list[tuple[Deployment, ...]]) -> tuple[tuple[Deployment, ...], ...]:
    """Leave out who surely cannot take the request, and say why when that is everybody."""
    prompt_tokens = prompt_weight(request) // _MOST_CHARACTERS_PER_TOKEN
    wanted = request.completion_limit or 0
    deployments = [deployment for group in groups for deployment in group]
    largest_completion = max(deployment.model.max_completion_tokens for deployment in deployments)
    if wanted > largest_completion:
        name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        raise InvalidRequestError(
            f"{name} is {wanted}; the most this model can complete is {largest_completion}.", param=name
        )
    fitting = tuple(
        kept
        for group in groups
        if (
            kept := tuple(
                each
                for each in group
                if prompt_tokens + wanted <= each.model.context_window and wanted <= each.model.max_completion_tokens
            )
        )
    )
    if not fitting:
        window = max(deployment.model.context_window for deployment in deployments)
        raise ContextOverflowError(
            f"The prompt has at least {prompt_tokens} tokens and {wanted} are asked for in completion; "
            f"the model's context window is {window}.",
            param="messages",
        )
    return fitting
