"""Models that a tenant may choose from, with what they can do and whether they answer now. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.catalog.model import Price, Tier
from sluice.providers.deployment import Deployment
from sluice.quota.circuit import CircuitState
from sluice.quota.status import NEVER_USED, QuotaSnapshot
from sluice.routing.deployment_quota import scope_of

type Capability = Literal["text_generation", "analysis", "vision", "embedding"]

CAPABILITIES: tuple[Capability, ...] = ("text_generation", "analysis", "vision", "embedding")
_TOKENS = 1_000_000 / 1_000


class AvailableModel(TypedDict):
    """A model at a provider. What is not known of it is null."""

    name: str
    provider: str
    dimensions: Annotated[int | None, Field(description="Of its vectors; null if it writes.")]
    max_tokens: Annotated[int, Field(description="What it takes and writes at once.")]
    cost_per_1k_tokens: Annotated[float | None, Field(description="US dollars, of what it is sent.")]
    capabilities: list[Literal["text_generation", "analysis", "vision", "embedding"]]
    reachable: Annotated[bool, Field(description="Whether a request would be sent to it now.")]


def available_models(
    deployments: Iterable[Deployment],
    wanted: Collection[str],
    allowed: Callable[[Deployment], bool],
    seen: Mapping[str, QuotaSnapshot],
    now_ms: int,
) -> list[AvailableModel]:
    """The models that can do all that is `wanted`, by priority: one entry for each provider of each."""
    found: dict[tuple[str, str], AvailableModel] = {}
    for each in deployments:
        model = each.model
        can = capabilities(each)
        if not (model.answers_callers and each.enabled and allowed(each) and can.issuperset(wanted)):
            continue
        is_reachable = _is_reachable(seen.get(scope_of(each), NEVER_USED), now_ms)
        entry = found.setdefault(
            (model.id, each.provider.name),
            {
                "name": model.id,
                "provider": each.provider.name,
                "dimensions": None if model.vectors is None else model.vectors.dimensions,
                "max_tokens": model.context_window,
                "cost_per_1k_tokens": _cost(model.price),
                "capabilities": [name for name in CAPABILITIES if name in can],
                "reachable": False,
            },
        )
        entry["reachable"] = entry["reachable"] or is_reachable
    return list(found.values())


def capabilities(deployment: Deployment) -> frozenset[str]:
    """What a deployment's model can do. Analysis is what hard questions need: a model that serves the smart tier."""
    model = deployment.model
    if model.vectors is not None:
        return frozenset({"embedding"})
    can = {"text_generation"}
    if model.can_serve(Tier.SMART):
        can.add("analysis")
    if not model.text_only:
        can.add("vision")
    return frozenset(can)


def _cost(price: Price) -> float | None:
    return price.prompt_usd / _TOKENS if price.is_known else None


def _is_reachable(snapshot: QuotaSnapshot, now_ms: int) -> bool:
    return snapshot.circuit.state(now_ms) is not CircuitState.OPEN and snapshot.item.blocked_until_ms <= now_ms
