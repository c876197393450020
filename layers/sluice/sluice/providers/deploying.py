"""Makes deployments of an entry of the credentials: the catalogue's models, as the entry says that they are."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

from sluice.catalog.catalog import Catalog
from sluice.catalog.model import FREE, UNKNOWN_PRICE, Model, Price, ProviderRow, Tier, TokenPrice, Vectors
from sluice.providers.base import ProviderConfig
from sluice.providers.credentials import Credential, CredentialModel, CredentialPrice, CredentialVectors
from sluice.providers.deployment import Deployment, DeploymentLimit

# What is assumed of a model that nobody describes: large enough to leave refusing to the provider.
_UNKNOWN_CONTEXT_WINDOW = 131_072
# SDKs insist on a key where the server does not.
NO_API_KEY = "none"
# Adapters that speak to whoever has such a server.
_NEED_A_URL = frozenset({"openai_compatible", "azure_openai", "custom_gateway"})
# Adapters of providers that ask how much they may complete at most.
_TOLD_THE_MOST = frozenset({"anthropic"})
# Adapters of providers that make no embeddings.
_ONLY_CHAT = frozenset({"anthropic"})


class EntryError(ValueError):
    """An entry of the secret can't be used; it says which field, and never its value where that is secret."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")


def deployments_of(known: Catalog, credential: Credential, taken: Collection[str | None]) -> list[Deployment]:
    """The deployments of a credential, whose alias must be none of those `taken`. Raises EntryError."""
    if credential.alias in taken:
        raise EntryError("alias", f"{credential.alias!r} is taken by an entry before it")
    row = known.providers.get(credential.provider)
    if row is None:
        names = ", ".join(known.providers)
        raise EntryError("provider", f"{credential.provider!r} is none of {names}")
    if credential.api_key is None and row.needs_api_key:
        raise EntryError("api_key", f"missing, and {row.name} asks for one")
    base_url = credential.base_url or row.base_url
    if base_url is None and row.adapter in _NEED_A_URL:
        raise EntryError("base_url", f"missing, and the catalogue has none for {row.name}")
    if credential.api_version is not None and row.adapter != "azure_openai":
        raise EntryError("api_version", f"{row.name} has none: it is Azure's")
    if row.adapter == "bedrock" and credential.api_key is not None:
        raise EntryError("api_key", f"{row.name} is asked by the role of the functions, and takes none")
    if row.adapter != "bedrock" and credential.region is not None:
        raise EntryError("region", f"{row.name} has none: it is Amazon Bedrock's")
    models = {model.id: model for model in known.models_of(row.name)}
    if row.adapter == "builtin":
        _check_builtin(credential, models)
    said = credential.models or {name: CredentialModel() for name in models}
    if not said:
        raise EntryError("models", f"missing, and the catalogue has none for {row.name}")
    config = ProviderConfig(
        provider=row.name,
        adapter=row.adapter,
        alias=credential.alias,
        api_key=NO_API_KEY if credential.api_key is None else credential.api_key.get_secret_value(),
        base_url=base_url,
        unsupported_fields=row.unsupported_fields,
        # At another URL than the catalogue's is another server, whose headers may speak of other limits.
        rate_limit_headers=row.rate_limit_headers if row.base_url in (None, base_url) else frozenset(),
        allowed_fields=row.allowed_fields.union(credential.allowed_fields),
        standard_service_tiers=row.standard_service_tiers,
        completion_limit_field=credential.completion_limit_field or row.completion_limit_field,
        completion_limit_fields=_limit_fields(credential, models),
        completion_limits=_completion_limits(row, said, models),
        api_version=credential.api_version,
        region=credential.region,
        unpriced_models=_unpriced(row, said, models),
    )
    row = replace(
        row,
        base_url=base_url,
        timeout_s=credential.timeout_s or row.timeout_s,
        priority=credential.priority or row.priority,
    )
    return [
        Deployment(
            provider=row,
            alias=credential.alias,
            model=(model := _model(name, row, models.get(_plain(name, row)), entry)),
            config=config,
            limits=tuple(
                DeploymentLimit(limit, capacity, limit in entry.limits) for limit, capacity in model.limits.items()
            ),
            priority=0,
            enabled=credential.enabled and entry.enabled,
        )
        for name, entry in said.items()
    ]


def _plain(name: str, row: ProviderRow) -> str:
    """A model's name as the catalogue has it: Gemini lists its models as `models/...`, and takes both."""
    return name.removeprefix("models/") if row.adapter == "gemini" else name


def _unpriced(row: ProviderRow, said: Mapping[str, CredentialModel], known: Mapping[str, Model]) -> frozenset[str]:
    """The models of a gateway that says what its answers cost of which nobody else says it."""
    if row.adapter != "custom_gateway":
        return frozenset()
    priced = {name for name, model in known.items() if model.price.is_known}
    return frozenset(name for name, entry in said.items() if entry.price is None and name not in priced)


def _check_builtin(credential: Credential, known: Collection[str]) -> None:
    """Refuse what Sluice's own models can't be told: where they are, and to be others. Raises EntryError."""
    for field in ("api_key", "base_url"):
        if getattr(credential, field) is not None:
            raise EntryError(field, f"{credential.provider} is Sluice itself, and takes none")
    for name, entry in (credential.models or {}).items():
        if name not in known:
            raise EntryError(f"models.{name}", f"{credential.provider} has {', '.join(known)}")
        if entry.vectors is not None:
            raise EntryError(f"models.{name}.vectors", "they are as the catalogue says")


def _limit_fields(credential: Credential, known: Mapping[str, Model]) -> frozenset[tuple[str, str]]:
    """Which models call the most completion tokens otherwise than their provider; the credential's word counts more."""
    found = {
        name: model.completion_limit_field
        for name, model in known.items()
        if model.completion_limit_field is not None and credential.completion_limit_field is None
    }
    for name, entry in (credential.models or {}).items():
        if entry.completion_limit_field is not None:
            found[name] = entry.completion_limit_field
    return frozenset(found.items())


def _completion_limits(
    row: ProviderRow, said: Mapping[str, CredentialModel], known: Mapping[str, Model]
) -> frozenset[tuple[str, int]]:
    """The most that each model completes, where its provider has to be told and somebody has said it."""
    if row.adapter not in _TOLD_THE_MOST:
        return frozenset()
    limits = (
        (name, entry.max_completion_tokens or (known[name].max_completion_tokens if name in known else None))
        for name, entry in said.items()
    )
    return frozenset((name, most) for name, most in limits if most is not None)


def _price(price: CredentialPrice | Literal["free"]) -> Price:
    if isinstance(price, str):
        return FREE
    tiers = {name: TokenPrice(**dict(tier)) for name, tier in price.service_tiers.items()}
    return Price(**{**dict(price), "service_tiers": tiers})


def _model(name: str, row: ProviderRow, known: Model | None, entry: CredentialModel) -> Model:
    """The catalogue's model with what the credential says of it."""
    said = None if entry.vectors is None else _vectors(entry.vectors)
    if known is None:
        if entry.tier is None and said is None:
            raise EntryError(
                f"models.{name}.tier", f"missing, and the catalogue does not know this model of {row.name}"
            )
        window = entry.context_window or _UNKNOWN_CONTEXT_WINDOW
        known = Model(name, row.name, entry.tier or Tier.FAST, window, window, UNKNOWN_PRICE, {})
    vectors = said or known.vectors
    if vectors is not None and row.adapter in _ONLY_CHAT:
        raise EntryError(f"models.{name}.vectors", f"{row.name} makes no embeddings")
    if entry.verdict is not None and known.verdict is None and vectors is None:
        known = replace(known, serves=(), answers_callers=False)
    window = entry.context_window or known.context_window
    completion = entry.max_completion_tokens or min(known.max_completion_tokens, window)
    if completion > window:
        raise EntryError(f"models.{name}.max_completion_tokens", f"{completion} is over the context window of {window}")
    limits: dict[str, int | None] = dict(known.limits)
    limits.update((limit, capacity) for limit, capacity in entry.limits.items())
    return replace(
        known,
        tier=entry.tier or known.tier,
        context_window=window,
        max_completion_tokens=completion,
        price=known.price if entry.price is None else _price(entry.price),
        limits={limit: capacity for limit, capacity in limits.items() if capacity is not None},
        aliases=known.aliases if entry.aliases is None else entry.aliases,
        fallbacks=known.fallbacks if entry.fallbacks is None else entry.fallbacks,
        serves=() if vectors else known.serves if entry.serves is None else entry.serves,
        text_only=known.text_only if entry.text_only is None else entry.text_only,
        tokenizer=known.tokenizer if entry.tokenizer is None else entry.tokenizer,
        image_tokens=known.image_tokens if entry.image_tokens is None else entry.image_tokens,
        verdict=None if vectors else entry.verdict or known.verdict,
        vectors=vectors,
        unsupported_fields=known.unsupported_fields
        if entry.unsupported_fields is None
        else frozenset(entry.unsupported_fields),
        answers_callers=known.answers_callers if entry.answers_callers is None else entry.answers_callers,
    )


def _vectors(said: CredentialVectors) -> Vectors:
    return Vectors(said.dimensions, said.shortens, said.leaves_length, said.most_inputs, said.most_tokens)
