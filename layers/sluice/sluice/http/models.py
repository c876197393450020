"""Models as OpenAI's API shows them."""

from collections.abc import Iterable

from sluice.chat import JsonObject
from sluice.providers.registry import ListedModel

# OpenAI's shape wants a time of creation; the catalogue knows none.
_CREATED = 0


def listed(model: ListedModel) -> JsonObject:
    """One model, with what Sluice knows of it beside OpenAI's fields."""
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


def listing(models: Iterable[ListedModel]) -> JsonObject:
    """A list of models."""
    return {"object": "list", "data": [listed(model) for model in models]}
