"""Models, as OpenAI's API lists them: GET /v1/models."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.catalog.model import Tier
from sluice.chat import AUTO
from sluice.errors import NotFoundError
from sluice.providers.registry import ListedModel
from sluice.routing.plan import RoutingPolicy, chain
from sluice.tenants.tenant import Role

ROUTES = Routes("Chat")

# OpenAI's shape wants a time of creation; the catalogue knows none.
_CREATED = 0


class Model(TypedDict):
    """A model that answers here, or `auto`: whichever the router chooses."""

    id: str
    object: Literal["model"]
    created: Annotated[int, Field(description="Always 0: the catalogue knows none.")]
    owned_by: str
    tier: Tier | None
    context_window: Annotated[int, Field(description="Tokens.")]
    providers: list[str]
    aliases: Annotated[list[str], Field(description="Other names of it.")]
    dimensions: Annotated[int | None, Field(description="Of the vectors of a model for `/v1/embeddings`; else null.")]


class ModelWithChain(Model):
    """A model, and those that stand in for it when its quota is gone or its provider fails, best first."""

    fallbacks: list[str]


class Models(TypedDict):
    """The models that the key's tenant may use, after `auto`."""

    object: Literal["list"]
    data: list[Model]


@ROUTES.get("/v1/models", role=Role.CALLER)
def list_models(call: Call) -> Models:
    """List the models."""
    # "auto" first, so that clients which offer what is listed offer it too.
    models = _models(call)
    return {"object": "list", "data": [*_automatic(models), *map(_listed, models)]}


@ROUTES.get(
    "/v1/models/{id+}",
    role=Role.CALLER,
    parameters={"id": PathParameter("The id or an alias of a model. It may have slashes.", "auto")},
)
def get_model(call: Call) -> ModelWithChain:
    """Show a model."""
    name, models = call.path["id"], _models(call)
    if name == AUTO:
        found = _automatic(models)
    else:
        found = [_listed(model) for model in models if name == model.id or name in model.aliases]
    if found:
        has_none = name == AUTO or found[0]["dimensions"] is not None
        return {**found[0], "fallbacks": [] if has_none else _chain(call, name)}
    raise NotFoundError(f"There is no model {name!r}.", param="model", code="model_not_found")


def _models(call: Call) -> list[ListedModel]:
    """The models that the caller's tenant may use."""
    return call.app.registry_of(call.principal.tenant).models(call.principal.tenant.allowed_models)


def _chain(call: Call, name: str) -> list[str]:
    tenant = call.principal.tenant
    registry = call.app.registry_of(tenant)
    policy = RoutingPolicy(allowed_models=tenant.allowed_models, chains=tenant.fallbacks)
    return chain(registry.deployments_for(name), registry, policy)


def _listed(model: ListedModel) -> Model:
    """With what Sluice knows of it beside OpenAI's fields."""
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.owned_by,
        "tier": model.tier if model.dimensions is None else None,
        "context_window": model.context_window,
        "providers": list(model.providers),
        "aliases": list(model.aliases),
        "dimensions": model.dimensions,
    }


def _automatic(models: Sequence[ListedModel]) -> list[Model]:
    """Whichever of `models` the router chooses; nothing if it may choose none."""
    choice = [model for model in models if model.serves_a_tier]
    if not choice:
        return []
    automatic: Model = {
        "id": AUTO,
        "object": "model",
        "created": _CREATED,
        "owned_by": "sluice",
        "tier": None,
        "context_window": max(model.context_window for model in choice),
        "providers": list(dict.fromkeys(name for model in choice for name in model.providers)),
        "aliases": [],
        "dimensions": None,
    }
    return [automatic]
