"""Which deployments there are: the catalogue's models on the secret's credentials, and who answers to which name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal, NamedTuple

from sluice.catalog import FREE, UNKNOWN_PRICE, Catalog, Model, Price, ProviderRow, Tier, TokenPrice, Vectors
from sluice.chat import AUTO
from sluice.errors import NotFoundError
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.credentials import (
    BrokenCredential,
    Credential,
    CredentialModel,
    CredentialPrice,
    Credentials,
    CredentialsError,
    CredentialVectors,
)

# What is assumed of a model that nobody describes: large enough to leave refusing to the provider.
_UNKNOWN_CONTEXT_WINDOW = 131_072
_MOST_REASONS = 5
# SDKs insist on a key where the server does not.
_NO_API_KEY = "none"
# In a snapshot of a process that has not read its credentials yet.
_LOADED_BEFORE = ("groq", "huggingface", "openai_compatible")
# Adapters that speak to whoever has such a server.
_NEED_A_URL = frozenset({"openai_compatible", "azure_openai", "custom_gateway"})
# Adapters of providers that ask how much they may complete at most.
_TOLD_THE_MOST = frozenset({"anthropic"})
# Adapters of providers that make no embeddings.
_ONLY_CHAT = frozenset({"anthropic"})


class DeploymentLimit(NamedTuple):
    """A capacity, by limit name. `is_fixed`: the credential says so itself, rather than the catalogue."""

    name: str
    capacity: int
    is_fixed: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on one credential. `priority` is its rank among all deployments, 1 first."""

    provider: ProviderRow
    alias: str
    model: Model
    config: ProviderConfig
    limits: tuple[DeploymentLimit, ...]
    priority: int
    enabled: bool = True

    @property
    def id(self) -> str:
        """`<alias>#<model id>`."""
        return f"{self.alias}#{self.model.id}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a requested name stands for.

    `model` is the same for all names of the same thing: the model's id, or the alias where several models share it.
    `deployments` are the enabled ones, by priority; there may be none. `is_replacement`: the model asked for is gone.
    """

    requested: str
    model: str
    deployments: tuple[Deployment, ...]
    is_replacement: bool
    tier: Tier


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as GET /v1/models shows it. `context_window` is the largest that any of its providers offers."""

    id: str
    providers: tuple[str, ...]
    tier: Tier
    context_window: int
    aliases: tuple[str, ...]
    serves_a_tier: bool
    """Whether "auto" may come to it."""
    dimensions: int | None
    """Of its vectors, None if it chats."""

    @property
    def owned_by(self) -> str:
        """The provider that comes first."""
        return self.providers[0]


class Registry:
    """The deployments as of one version of the secret. Threads may share it.

    `broken` are the entries that nothing can be deployed on.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        replacements: Mapping[str, str],
        broken: Iterable[BrokenCredential] = (),
    ) -> None:
        self.broken = tuple(broken)
        self.deployments = tuple(sorted(deployments, key=lambda deployment: deployment.priority))
        self._replacements = replacements
        self._by_id: dict[str, list[Deployment]] = {}
        self._by_alias: dict[str, list[Deployment]] = {}
        self._embedders: dict[str, list[Deployment]] = {}
        self._embedders_by_alias: dict[str, list[Deployment]] = {}
        # What a tenant brings judges nobody: an admin has chosen who does.
        self._guards = tuple(
            each for each in self.deployments if each.model.verdict is not None and each.config.networks is None
        )
        for deployment in self.deployments:
            if not deployment.model.answers_callers:
                continue
            # One kind is never found under the names of the other.
            embeds = deployment.model.vectors is not None
            by_id, by_alias = (self._embedders, self._embedders_by_alias) if embeds else (self._by_id, self._by_alias)
            by_id.setdefault(deployment.model.id, []).append(deployment)
            for alias in deployment.model.aliases:
                by_alias.setdefault(alias, []).append(deployment)
        self._providers: dict[ProviderConfig, Provider] = {}
        self._lock = Lock()

    @classmethod
    def build(cls, known: Catalog, credentials: Credentials, own: Sequence[Credential] = ()) -> "Registry":
        """Put the models of `known` on `credentials`. Raises CredentialsError if there are some and all are broken.

        `own` are the stack's, which nobody has to write down: each is there unless one of its provider or alias is.
        """
        broken = list(credentials.broken)
        taken: set[str | None] = set()
        found: list[Deployment] = []
        for position, credential in credentials.entries.items():
            # What was used of a key is counted under its alias: that of a broken entry is no later one's either.
            taken.update(each.alias for each in credentials.broken if each.position < position)
            try:
                found.extend(_deployments(known, credential, taken))
            except _EntryError as error:
                reason = f"credentials[{position}].{error}"
                broken.append(BrokenCredential(position, credential.alias, reason))
            taken.add(credential.alias)
        broken.sort(key=lambda each: each.position)
        if broken and len(broken) == len(credentials.entries) + len(credentials.broken):
            raise CredentialsError(
                f"the credentials secret: {'; '.join(each.reason for each in broken[:_MOST_REASONS])}", broken
            )
        named = {credential.provider for credential in credentials.entries.values()}
        for credential in own:
            if credential.provider not in named and credential.alias not in taken:
                found.extend(_deployments(known, credential, taken))
        # A stable sort: within a provider's priority the order of the secret decides, then that of the models.
        found.sort(key=lambda deployment: deployment.provider.priority)
        ranked = [replace(deployment, priority=rank) for rank, deployment in enumerate(found, start=1)]
        return cls(ranked, known.replacements, broken)

    def joined(self, known: Catalog, credentials: Iterable[Credential], networks: tuple[str, ...]) -> "Registry":
        """These deployments, and those of a tenant's own `credentials`, which come first where priorities are the same.

        The hosts of the latter have to be on the public internet or in one of `networks`, at every call.
        """
        taken = {each.alias for each in self.deployments}
        own: list[Deployment] = []
        broken = list(self.broken)
        for position, credential in enumerate(credentials):
            try:
                made = _deployments(known, credential, taken)
            except _EntryError as error:
                broken.append(BrokenCredential(position, credential.alias, str(error)))
                continue
            own += [replace(each, config=replace(each.config, networks=networks)) for each in made]
        found = sorted((*own, *self.deployments), key=lambda deployment: deployment.provider.priority)
        ranked = [replace(deployment, priority=rank) for rank, deployment in enumerate(found, start=1)]
        registry = Registry(ranked, self._replacements, broken)
        registry.take_over(self)
        return registry

    def deployments_for(self, name: str) -> Resolved:
        """Who answers to a model's id, its alias, or the name of a model that is gone. Raises NotFoundError."""
        replacement = self._replacements.get(name, "")
        served = self._by_id.get(name) or self._by_alias.get(name)
        named = served or self._by_id.get(replacement)
        if named is None:
            if self.guards(name) or self.guards(replacement):
                raise NotFoundError(
                    f"The model {name!r} is a guard model: the gateway asks it, and callers cannot.",
                    param="model",
                    code="model_not_found",
                )
            instead = f" It is gone; {replacement!r}, which replaces it, is not served here." if replacement else ""
            raise NotFoundError(
                f"There is no model {name!r}.{instead} GET /v1/models lists those there are.",
                param="model",
                code="model_not_found",
            )
        ids = {deployment.model.id for deployment in named}
        model = ids.pop() if len(ids) == 1 else name
        return Resolved(name, model, _enabled(named), is_replacement=served is None, tier=named[0].model.tier)

    def named(self, name: str) -> tuple[Deployment, ...]:
        """The enabled deployments of a model's id or alias, by priority; none if there is no such model."""
        return _enabled(self._by_id.get(name) or self._by_alias.get(name) or ())

    def guards(self, name: str) -> tuple[Deployment, ...]:
        """The enabled deployments of a guard model's id or alias, by priority; none if there is no such model."""
        return _enabled(each for each in self._guards if each.model.is_among((name,)))

    def embedders(self, name: str) -> tuple[Deployment, ...]:
        """The deployments of an embedding model's id or alias, by priority, enabled or not; none if there is none."""
        return tuple(self._embedders.get(name) or self._embedders_by_alias.get(name) or ())

    def most_completion_tokens(self, name: str) -> int | None:
        """The most that any of those completes who may answer to a name, or to `auto`; None if nobody may."""
        found = self.for_auto() if name == AUTO else self.named(name) or self.named(self._replacements.get(name, name))
        return max((deployment.model.max_completion_tokens for deployment in found), default=None)

    def for_tier(self, tier: Tier) -> tuple[Deployment, ...]:
        """The enabled deployments that may be chosen for `tier`, by priority."""
        return _enabled(each for each in self.deployments if each.model.can_serve(tier) and each.model.answers_callers)

    def for_auto(self) -> tuple[Deployment, ...]:
        """The enabled deployments that may be chosen for any tier, by priority."""
        return _enabled(each for each in self.deployments if any(each.model.can_serve(tier) for tier in Tier))

    def fallbacks_for(self, resolved: Resolved) -> tuple[Deployment, ...]:
        """The enabled deployments that may stand in for `resolved`, best first, and none of its own."""
        names = dict.fromkeys(name for deployment in resolved.deployments for name in deployment.model.fallbacks)
        found = {
            deployment.id: deployment
            for name in names
            for deployment in self._by_id.get(name) or self._by_alias.get(name) or []
        }
        own = {deployment.id for deployment in resolved.deployments}
        return _enabled(deployment for deployment in found.values() if deployment.id not in own)

    def models(self, allowed: Collection[str] | None = None) -> list[ListedModel]:
        """What can be asked for, by id, in order of priority; with `allowed` names, only what goes by one of them."""
        listed = []
        for name, deployments in (*self._by_id.items(), *self._embedders.items()):
            enabled = [each for each in _enabled(deployments) if allowed is None or each.model.is_among(allowed)]
            if enabled:
                listed.append(
                    ListedModel(
                        id=name,
                        providers=tuple(dict.fromkeys(deployment.provider.name for deployment in enabled)),
                        tier=enabled[0].model.tier,
                        context_window=max(deployment.model.context_window for deployment in enabled),
                        aliases=tuple(dict.fromkeys(alias for each in enabled for alias in each.model.aliases)),
                        serves_a_tier=any(each.model.can_serve(tier) for each in enabled for tier in Tier),
                        dimensions=vectors.dimensions if (vectors := enabled[0].model.vectors) else None,
                    )
                )
        return listed

    def provider(self, deployment: Deployment) -> Provider:
        """The adapter that speaks to `deployment`: one per credential, made when it is first needed."""
        with self._lock:
            made = self._providers.get(deployment.config)
            if made is None:
                made = _adapter(deployment.provider.adapter, deployment.config)
                self._providers[deployment.config] = made
            return made

    def take_over(self, before: "Registry") -> None:
        """Keep the adapters of credentials that have not changed since `before`, and their open connections."""
        configs = {deployment.config for deployment in self.deployments}
        with before._lock:
            kept = {config: made for config, made in before._providers.items() if config in configs}
        with self._lock:
            self._providers.update(kept)


class _EntryError(ValueError):
    """An entry can't be used."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")


def _deployments(known: Catalog, credential: Credential, taken: Collection[str | None]) -> list[Deployment]:
    if credential.alias in taken:
        raise _EntryError("alias", f"{credential.alias!r} is taken by an entry before it")
    row = known.providers.get(credential.provider)
    if row is None:
        names = ", ".join(known.providers)
        raise _EntryError("provider", f"{credential.provider!r} is none of {names}")
    if credential.api_key is None and row.needs_api_key:
        raise _EntryError("api_key", f"missing, and {row.name} asks for one")
    base_url = credential.base_url or row.base_url
    if base_url is None and row.adapter in _NEED_A_URL:
        raise _EntryError("base_url", f"missing, and the catalogue has none for {row.name}")
    if credential.api_version is not None and row.adapter != "azure_openai":
        raise _EntryError("api_version", f"{row.name} has none: it is Azure's")
    if row.adapter == "bedrock" and credential.api_key is not None:
        raise _EntryError("api_key", f"{row.name} is asked by the role of the functions, and takes none")
    if row.adapter != "bedrock" and credential.region is not None:
        raise _EntryError("region", f"{row.name} has none: it is Amazon Bedrock's")
    models = {model.id: model for model in known.models_of(row.name)}
    if row.adapter == "builtin":
        _check_builtin(credential, models)
    said = credential.models or {name: CredentialModel() for name in models}
    if not said:
        raise _EntryError("models", f"missing, and the catalogue has none for {row.name}")
    config = ProviderConfig(
        provider=row.name,
        adapter=row.adapter,
        alias=credential.alias,
        api_key=_NO_API_KEY if credential.api_key is None else credential.api_key.get_secret_value(),
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
    """Refuse what Sluice's own models can't be told: where they are, and to be others. Raises _EntryError."""
    for field in ("api_key", "base_url"):
        if getattr(credential, field) is not None:
            raise _EntryError(field, f"{credential.provider} is Sluice itself, and takes none")
    for name, entry in (credential.models or {}).items():
        if name not in known:
            raise _EntryError(f"models.{name}", f"{credential.provider} has {', '.join(known)}")
        if entry.vectors is not None:
            raise _EntryError(f"models.{name}.vectors", "they are as the catalogue says")


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
            raise _EntryError(
                f"models.{name}.tier", f"missing, and the catalogue does not know this model of {row.name}"
            )
        window = entry.context_window or _UNKNOWN_CONTEXT_WINDOW
        known = Model(name, row.name, entry.tier or Tier.FAST, window, window, UNKNOWN_PRICE, {})
    vectors = said or known.vectors
    if vectors is not None and row.adapter in _ONLY_CHAT:
        raise _EntryError(f"models.{name}.vectors", f"{row.name} makes no embeddings")
    if entry.verdict is not None and known.verdict is None and vectors is None:
        known = replace(known, serves=(), answers_callers=False)
    window = entry.context_window or known.context_window
    completion = entry.max_completion_tokens or min(known.max_completion_tokens, window)
    if completion > window:
        raise _EntryError(
            f"models.{name}.max_completion_tokens", f"{completion} is over the context window of {window}"
        )
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


def _enabled(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    return tuple(deployment for deployment in deployments if deployment.enabled)


def _adapter(name: str, config: ProviderConfig) -> Provider:
    # Imported late: an SDK is paid for by the first request that needs it.
    if name == "groq":
        from sluice.providers.groq import GroqProvider

        return GroqProvider(config)
    if name == "huggingface":
        from sluice.providers.huggingface import HuggingFaceProvider

        return HuggingFaceProvider(config)
    if name == "azure_openai":
        from sluice.providers.azure_openai import AzureOpenAIProvider

        return AzureOpenAIProvider(config)
    if name == "gemini":
        from sluice.providers.gemini import GeminiProvider

        return GeminiProvider(config)
    if name == "bedrock":
        from sluice.providers.bedrock import BedrockProvider

        return BedrockProvider(config)
    if name == "anthropic":
        from sluice.providers.anthropic import AnthropicProvider

        return AnthropicProvider(config)
    if name == "custom_gateway":
        from sluice.providers.custom_gateway import CustomGatewayProvider

        return CustomGatewayProvider(config)
    if name == "builtin":
        from sluice.providers.builtin import BuiltinProvider

        return BuiltinProvider(config)
    from sluice.providers.openai_compatible import OpenAICompatibleProvider

    return OpenAICompatibleProvider(config)


def load_adapters() -> None:
    """Import what the adapters need that most credentials name. No provider is asked."""
    nobody = ProviderConfig(provider="", alias="", api_key=_NO_API_KEY, base_url="http://127.0.0.1")
    for name in _LOADED_BEFORE:
        _adapter(name, nobody).warm_up()
