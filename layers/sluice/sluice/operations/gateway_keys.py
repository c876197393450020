"""What the gateways that Sluice spends keys of say of these keys."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.errors import NotFoundError, ProviderAuthenticationError, ProviderError, ProviderProtocolError
from sluice.providers.custom_gateway import CustomGatewayProvider
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry
from sluice.providers.urls import shown_url

_NOT_FOUND = 404

type KeyStatus = Literal["ok", "refused", "unreadable", "unreachable"]


class GatewayKeyInfo(TypedDict):
    """What a gateway says of the key of a credential. Null is what it does not say, or what can't be."""

    credential: str
    base_url: str | None
    status: Annotated[
        KeyStatus,
        Field(description="`refused`: the gateway does not know the key; `unreadable`: it says nothing of it."),
    ]
    spend: Annotated[float | None, Field(description="Dollars.")]
    max_budget: Annotated[float | None, Field(description="Dollars; null where the key has no budget.")]
    remaining: Annotated[float | None, Field(description="Of the budget, in dollars.")]
    expires: str | None
    models: Annotated[list[str], Field(description="None where the key may use all.")]


class GatewayKeys(TypedDict):
    """The keys of gateways, and what all of them have spent."""

    object: Literal["list"]
    total_spend: Annotated[float | None, Field(description="Dollars; null where it is not known of one of them.")]
    data: list[GatewayKeyInfo]


class GatewayKeyReader:
    """Asks each gateway, all at once."""

    def __init__(self, registry: Callable[[], Registry], executor: Executor) -> None:
        self._registry = registry
        self._executor = executor

    def read(self) -> GatewayKeys:
        """What all gateways say. Raises NotFoundError if there is none."""
        registry = self._registry()
        found = {each.alias: provider for each in registry.deployments if (provider := _gateway(registry, each))}
        if not found:
            raise NotFoundError("There is no credential of the provider 'custom_gateway'.")
        rows = list(self._executor.map(_row, found.values()))
        spent = [row["spend"] for row in rows if row["spend"] is not None]
        return {"object": "list", "total_spend": sum(spent) if len(spent) == len(rows) else None, "data": rows}


def _row(provider: CustomGatewayProvider) -> GatewayKeyInfo:
    url = provider.config.base_url
    row: GatewayKeyInfo = {
        "credential": provider.config.alias,
        "base_url": url and shown_url(url),
        "status": "ok",
        "spend": None,
        "max_budget": None,
        "remaining": None,
        "expires": None,
        "models": [],
    }
    try:
        key = provider.key_info()
    except ProviderError as error:
        return {**row, "status": _status(error)}
    budget, spend = key.max_budget_usd, key.spend_usd
    remaining = None if budget is None or spend is None else max(0.0, budget - spend)
    return {
        **row,
        "spend": spend,
        "max_budget": budget,
        "remaining": remaining,
        "expires": key.expires,
        "models": list(key.models),
    }


def _status(error: ProviderError) -> KeyStatus:
    if isinstance(error, ProviderAuthenticationError):
        return "refused"
    # Without the gateway's words: they may quote the key.
    return "unreadable" if isinstance(error, ProviderProtocolError) or _is_not_found(error) else "unreachable"


def _is_not_found(error: ProviderError) -> bool:
    return error.status == _NOT_FOUND


def _gateway(registry: Registry, deployment: Deployment) -> CustomGatewayProvider | None:
    if deployment.provider.adapter != "custom_gateway":
        return None
    provider = registry.provider(deployment)
    return provider if isinstance(provider, CustomGatewayProvider) else None
