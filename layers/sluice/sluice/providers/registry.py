"""Which deployments there are, and who answers to which name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

from sluice.catalog.catalog import Catalog
from sluice.catalog.model import Tier
from sluice.chat import AUTO
from sluice.errors import NotFoundError
from sluice.loading.dataclass import dataclass
from sluice.providers.adapters import adapter_for
from sluice.providers.base import Provider, ProviderConfig
from sluice.providers.credentials import BrokenCredential, Credential, Credentials, CredentialsError
from sluice.providers.deploying import EntryError, deployments_of
from sluice.providers.deployment import Deployment

_MOST_REASONS = 5


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
                found.extend(deployments_of(known, credential, taken))
            except EntryError as error:
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
                found.extend(deployments_of(known, credential, taken))
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
                made = deployments_of(known, credential, taken)
            except EntryError as error:
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
                made = adapter_for(deployment.provider.adapter, deployment.config)
                self._providers[deployment.config] = made
            return made

    def take_over(self, before: "Registry") -> None:
        """Keep the adapters of credentials that have not changed since `before`, and their open connections."""
        configs = {deployment.config for deployment in self.deployments}
        with before._lock:
            kept = {config: made for config, made in before._providers.items() if config in configs}
        with self._lock:
            self._providers.update(kept)


def _enabled(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    return tuple(deployment for deployment in deployments if deployment.enabled)
