"""An integration as a credential: what the registry makes deployments of. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from sluice.catalog.catalog import Catalog
from sluice.catalog.model import Tier
from sluice.integrations.integration import PROVIDERS, Integration
from sluice.providers.credentials import Credential

_LIMITS = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day")


class IntegrationError(ValueError):
    """No deployment can be made of an integration. Its text says why, and holds nothing secret."""


def to_credential(
    integration: Integration, secret: Mapping[str, str], known: Catalog, fallback_models: Iterable[str] = ()
) -> Credential:
    """The credential of an integration of type ai_model, under the integration's id. Raises IntegrationError.

    Its models fall back to `fallback_models`, before what the catalogue says of them.
    """
    row = PROVIDERS.get(integration.provider or "")
    if row is None or row not in known.providers:
        raise IntegrationError(f"provider: {integration.provider!r} can't be asked here")
    entry: dict[str, Any] = {
        "provider": row,
        "alias": integration.id,
        "base_url": integration.base_url,
        "timeout_s": integration.performance.get("timeout_seconds"),
        "priority": integration.performance.get("priority"),
        "models": models_of(integration, known, tuple(fallback_models)),
        "enabled": integration.active,
    }
    if "api_key" in secret:
        entry["api_key"] = secret["api_key"]
    said = {name: value for name, value in entry.items() if value is not None}
    try:
        return Credential.model_validate_json(json.dumps(said))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        # Not chained: a traceback would show pydantic's error, which knows the input.
        raise IntegrationError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def models_of(integration: Integration, known: Catalog, fallback_models: tuple[str, ...]) -> dict[str, Any]:
    """What the credential says of each model: those that are named, else all that the catalogue has of its subtype."""
    row, said = PROVIDERS[integration.provider or ""], integration.models
    catalogued = {each.id: each for each in known.models_of(row)}
    named: dict[str, Any] = {name: dict(entry) for name, entry in (said.get("models") or {}).items()}
    if said.get("model_name"):
        named[said["model_name"]] = {name: said[name] for name in ("tier", "dimensions") if said.get(name) is not None}
    if not named:
        wanted = {"embedding": (True,), "llm": (False,)}.get(integration.subtype, (True, False))
        named = {
            name: {}
            for name, model in catalogued.items()
            if (model.vectors is not None) in wanted and model.verdict is None
        }
    if not named:
        raise IntegrationError(f"model_config: name a model; the catalogue has none of {integration.provider}")
    limits = {name: value for name, value in integration.performance.items() if name in _LIMITS}
    found = {}
    for name, entry in named.items():
        model = catalogued.get(name)
        dimensions = entry.pop("dimensions", None)
        is_embedding = integration.subtype == "embedding" or (model is not None and model.vectors is not None)
        if model is None and is_embedding:
            if dimensions is None and "vectors" not in entry:
                raise IntegrationError(f"model_config.dimensions: say how many {name!r} has")
            entry.setdefault("vectors", {"dimensions": dimensions})
        elif model is None:
            entry.setdefault("tier", str(Tier.FAST))
        if limits:
            entry["limits"] = {**limits, **entry.get("limits", {})}
        if fallback_models and not is_embedding and "fallbacks" not in entry:
            own = model.fallbacks if model is not None else ()
            entry["fallbacks"] = list(dict.fromkeys([*fallback_models, *own]))
        found[name] = entry
    return found
