"""Plan of a request's route: which deployments may answer it, in order of preference. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from sluice.catalog.model import Tier
from sluice.chat import AUTO, ChatRequest
from sluice.errors import (
    ContextOverflowError,
    InvalidRequestError,
    NoProviderError,
    NotFoundError,
    PermissionDeniedError,
)
from sluice.loading.dataclass import dataclass
from sluice.providers.allowed_fields import refused_field
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry, Resolved
from sluice.quota.estimate import least_tokens
from sluice.routing.intent import Complexity, classify

# Parts of a message that are words. Others are images, sounds and files.
_WRITTEN = frozenset({"text", "refusal"})

# Of models, in an error.
_MOST_NAMES = 12

# Asked of every provider that knows it, and of no other.
_ALWAYS_SUPPORTED = {"stream_options"}
# What models do unsaid.
_NOTHING_AT_ONE = {"temperature", "top_p"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """What a tenant, and the stack, lay down about routes. Models go by their ids or aliases.

    `allowed_models` is None where all are allowed. `chains` maps a model to those that stand in for it, best first, and
    nobody else then does. `orders` maps a tier to models that `auto` tries in this order, before the others; those that
    are `over_share` have answered more than their share lately: they come after the others of the tier `smart`. With
    `needs_price`, whoever has no price is left out: what it costs could not be counted against a budget. `by_priority`
    asks one deployment after the other in the order of their priority, whatever is asked of them and how they do.
    """

    allowed_models: tuple[str, ...] | None = None
    chains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    orders: Mapping[Tier, Sequence[str]] = field(default_factory=dict)
    needs_price: bool = False
    over_share: Sequence[str] = ()
    by_priority: bool = False


_NO_POLICY = RoutingPolicy()


@dataclass(frozen=True, slots=True)
class Plan:
    """`groups` of deployments, each to be tried as a whole before the next; `model` is what was asked for, resolved.

    `complexity` is None where nothing depends on it.
    """

    model: str
    complexity: Complexity | None
    groups: tuple[tuple[Deployment, ...], ...]

    def prefers(self, deployment: Deployment) -> bool:
        """Whether `deployment` is what was asked for, and not a stand-in for it."""
        if self.model == AUTO:
            is_first = any(each.id == deployment.id for each in self.groups[0])
            return is_first or (self.complexity is not None and deployment.model.can_serve(self.complexity.tier))
        return deployment.model.is_among((self.model,))

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """All of them, in order of preference."""
        return tuple(deployment for group in self.groups for deployment in group)


def plan(
    request: ChatRequest,
    registry: Registry,
    policy: RoutingPolicy = _NO_POLICY,
    complexity: Complexity | None = None,
    *,
    takes_images: bool = False,
) -> Plan:
    """Find who may answer `request`: the tier its complexity asks for, or the model it names; then their stand-ins.

    A model's stand-ins are those that the tenant's or the catalogue's chain names, and after the latter whoever serves
    its tier, or a smaller one: better another model's answer than none.

    Where the policy asks by priority, `auto` stands for the model of the first of all that serve a tier, its primary.

    A task knows its own `complexity`; that of free chat is judged here. `takes_images` asks for models that take images
    or sounds though there are none in `request`: they are in what was said before.

    Raises NotFoundError for an unknown model, PermissionDeniedError for one the tenant may not use,
    ContextOverflowError and InvalidRequestError for a request that fits none or a model that makes embeddings,
    NoProviderError when none is switched on.
    """
    judged = None if policy.by_priority else complexity or classify(request)
    name = request.model
    if name != AUTO:
        resolved = _named(name, registry, policy)
        name, groups = resolved.model, [resolved.deployments, *_stand_ins(resolved, registry, policy)]
    elif judged is None:
        groups = [registry.for_auto()]
    else:
        groups = [group for tier in _tiers(judged) for group in _ordered(registry.for_tier(tier), policy, tier)]
    if not any(groups):
        raise NoProviderError(f"No credential is switched on for the model {request.model!r}.", may_pass=False)
    if (allowed := policy.allowed_models) is not None:
        groups = [tuple(each for each in group if each.model.is_among(allowed)) for group in groups]
        if not any(groups):
            whom = "any model that auto chooses from" if request.model == AUTO else f"the model {request.model!r}"
            raise PermissionDeniedError(f"The tenant may not use {whom}.", param="model", code="model_not_allowed")
    if policy.needs_price:
        groups = _priced(groups, request.model)
    fitting = _fitting(request, _supporting(request, _distinct(groups), takes_images or has_images(request)))
    if judged is None:
        fitting = tuple((deployment,) for group in fitting for deployment in group)
        name = fitting[0][0].model.id if name == AUTO else name
    elif request.model == AUTO and judged.tier is Tier.FAST:
        # Easy work has no part in the scarce model's quota, unless no small one can take it at all.
        fitting = tuple(group for group in fitting if group[0].model.can_serve(Tier.FAST)) or fitting
    return Plan(name, judged, fitting)


def chain(resolved: Resolved, registry: Registry, policy: RoutingPolicy = _NO_POLICY) -> list[str]:
    """The ids of the models that stand in for one, best first."""
    own = {each.model.id for each in resolved.deployments}
    allowed = policy.allowed_models
    models = [each.model for group in _stand_ins(resolved, registry, policy) for each in group]
    named = [model.id for model in models if allowed is None or model.is_among(allowed)]
    return [name for name in dict.fromkeys(named) if name not in own]


def _named(name: str, registry: Registry, policy: RoutingPolicy) -> Resolved:
    try:
        return registry.deployments_for(name)
    except NotFoundError:
        if not registry.embedders(name):
            raise
        chatting = [each.id for each in registry.models(policy.allowed_models) if each.dimensions is None]
        raise wrong_kind(
            f"The model {name!r} makes embeddings and does not chat.", "Models that do", chatting
        ) from None


def wrong_kind(what: str, others: str, names: Sequence[str]) -> InvalidRequestError:
    """The error for a model that does something else than is asked, and the `names` of the others, which do it."""
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    listed = ", ".join(names[:_MOST_NAMES]) + more if names else "none is served here"
    return InvalidRequestError(f"{what} {others}: {listed}.", param="model", code="wrong_kind_of_model")


def _stand_ins(resolved: Resolved, registry: Registry, policy: RoutingPolicy) -> list[tuple[Deployment, ...]]:
    names = (resolved.requested, resolved.model, *(each.model.id for each in resolved.deployments))
    chosen = next((policy.chains[name] for name in names if name in policy.chains), None)
    if chosen is not None:
        return [registry.named(name) for name in chosen]
    if resolved.deployments and all(each.model.verdict is not None for each in resolved.deployments):
        # Who asks for a verdict has no use for the answer of a model that gives none.
        return [registry.fallbacks_for(resolved)]
    # Not the scarce tier for a small model: whoever names one asks for little.
    tiers = (Tier.SMART, Tier.FAST) if resolved.tier is Tier.SMART else (Tier.FAST,)
    return [registry.fallbacks_for(resolved), *(registry.for_tier(tier) for tier in tiers)]


def _ordered(deployments: tuple[Deployment, ...], policy: RoutingPolicy, tier: Tier) -> list[tuple[Deployment, ...]]:
    """The deployments of a tier: first those of each model that the order names, then the others."""
    order = policy.orders.get(tier, ())
    named = [tuple(each for each in deployments if each.model.is_among((name,))) for name in order]
    groups = [*named, tuple(each for each in deployments if not each.model.is_among(order))]
    if tier is not Tier.SMART or not policy.over_share:
        return groups
    # Better a model that is over its share than one of the smaller tier.
    spared = [tuple(each for each in group if each.model.id not in policy.over_share) for group in groups]
    return [*spared, *(tuple(each for each in deployments if each.model.id == name) for name in policy.over_share)]


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


def _priced(groups: list[tuple[Deployment, ...]], name: str) -> list[tuple[Deployment, ...]]:
    kept = [tuple(each for each in group if each.model.price.is_known) for group in groups]
    # Who names a model is told about it, rather than answered by another.
    if not any(kept if name == AUTO else kept[:1]):
        raise without_price(min(each.model.id for group in groups for each in group) if name == AUTO else name)
    return kept


def without_price(name: str) -> PermissionDeniedError:
    """The error for who has a budget and asks a model that has no price."""
    return PermissionDeniedError(
        f"The model {name!r} has no price, so who has a budget may not use it: an operator can give its "
        'credential one, or `"price": "free"`.',
        param="model",
        code="model_without_price",
    )


def _supporting(
    request: ChatRequest, groups: list[tuple[Deployment, ...]], takes_images: bool
) -> list[tuple[Deployment, ...]]:
    """Leave out who can't take a field of the request, or its images, and say which when that is everybody."""
    given = {name for name in request.model_fields_set if getattr(request, name) is not None} - _ALWAYS_SUPPORTED
    given |= {name for name, value in (request.model_extra or {}).items() if value is not None}
    given -= {name for name in _NOTHING_AT_ONE & given if getattr(request, name) == 1}
    kept = [tuple(each for each in group if not given & _unsupported(each)) for group in groups]
    if not any(kept):
        name = min(given & _unsupported(groups[0][0]))
        whose = "model" if name in groups[0][0].model.unsupported_fields else "model's provider"
        raise InvalidRequestError(f"{name} is not supported by the {whose}.", param=name)
    refused = {each.id: refused_field(request, each.config, each.model.price) for group in kept for each in group}
    if all(refused.values()):
        first = next(field for field in refused.values() if field is not None)
        raise InvalidRequestError(f"{first.param}: {first.reason}.", param=first.param)
    kept = [tuple(each for each in group if refused[each.id] is None) for group in kept]
    if takes_images:
        kept = [tuple(each for each in group if not each.model.text_only) for group in kept]
        if not any(kept):
            raise InvalidRequestError("messages: the model takes text only, no images or sounds.", param="messages")
    return [group for group in kept if group]


def _unsupported(deployment: Deployment) -> frozenset[str]:
    return deployment.provider.unsupported_fields | deployment.model.unsupported_fields


def has_images(request: ChatRequest) -> bool:
    """Whether there is more than text in a request: images, sounds or files."""
    contents = (message.content for message in request.messages)
    return any(part.type not in _WRITTEN for parts in contents if isinstance(parts, list) for part in parts)


def _fitting(request: ChatRequest, groups: list[tuple[Deployment, ...]]) -> tuple[tuple[Deployment, ...], ...]:
    """Leave out who surely cannot take the request, and say why when that is everybody.

    A prompt is refused for its length only when it is surely too long; closer calls are the provider's.
    """
    prompt_tokens = least_tokens(request)
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
