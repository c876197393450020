"""Models as OpenAI's API shows them."""

from collections.abc import Sequence

from sluice.chat import AUTO, JsonObject
from sluice.errors import NotFoundError
from sluice.providers.registry import ListedModel

# OpenAI's shape wants a time of creation; the catalogue knows none.
_CREATED = 0


def listing(models: Sequence[ListedModel]) -> JsonObject:
    """A list of `models`, and before them "auto", so that clients which offer what is listed offer it too."""
    return {"object": "list", "data": [*_automatic(models), *map(_listed, models)]}


def named(name: str, models: Sequence[ListedModel]) -> JsonObject:
    """The one of `models` that has this id or alias, or "auto"; else NotFoundError."""
    if name == AUTO:
        found = _automatic(models)
    else:
        found = [_listed(model) for model in models if name == model.id or name in model.aliases]
    if found:
        return found[0]
    raise NotFoundError(f"There is no model {name!r}.", param="model", code="model_not_found")


def _listed(model: ListedModel) -> JsonObject:
    """With what Sluice knows of it beside OpenAI's fields."""
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.owned_by,
        "tier": str(model.tier),
        "context_window": model.context_window,
        "providers": list(model.providers),
        "aliases": list(model.aliases),
    }


def _automatic(models: Sequence[ListedModel]) -> list[JsonObject]:
    """Whichever of `models` the router chooses; nothing if it may choose none."""
    choice = [model for model in models if model.serves_a_tier]
    if not choice:
        return []
    automatic: JsonObject = {
        "id": AUTO,
        "object": "model",
        "created": _CREATED,
        "owned_by": "sluice",
        "tier": None,
        "context_window": max(model.context_window for model in choice),
        "providers": list(dict.fromkeys(name for model in choice for name in model.providers)),
        "aliases": [],
    }
    return [automatic]
