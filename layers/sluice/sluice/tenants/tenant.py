"""Tenants and API keys, as they are stored."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from sluice.catalog.money import to_usd
from sluice.loading.dataclass import dataclass

TENANT_ID_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"
"""What a tenant's id is, from its beginning to its end."""

type GuardMode = Literal["block", "flag", "off"]
type WhenUnavailable = Literal["allow", "block"]
type CachePolicyName = Literal["unsampled", "all", "off"]


class Role(StrEnum):
    """What an API key may do. Each role may do all that the ones before it may."""

    CALLER = "caller"
    """Asks models, and sees its own tenant's work."""
    MANAGER = "manager"
    """Also looks after its tenant's keys, and sees what the tenant used, and how its requests were answered."""
    OPERATOR = "operator"
    """Also sees how the whole deployment is doing, and looks after all else that is its tenant's."""
    ADMIN = "admin"
    """Also makes tenants, and looks after what is everybody's."""

    @classmethod
    def _missing_(cls, value: object) -> "Role | None":
        """The role that is written in another case."""
        return next((role for role in cls if isinstance(value, str) and role == value.strip().lower()), None)

    def includes(self, other: "Role") -> bool:
        """Whether this role may do all that `other` may."""
        ranks = tuple(Role)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """What may be spent: billionths of a dollar in a month, UTC, and tokens. None is no limit."""

    budget_nanousd: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None

    def over(self, others: "SpendLimits") -> "SpendLimits":
        """These, and what they do not limit as the `others` do."""
        return SpendLimits(
            others.budget_nanousd if self.budget_nanousd is None else self.budget_nanousd,
            others.tokens_per_minute if self.tokens_per_minute is None else self.tokens_per_minute,
            others.tokens_per_day if self.tokens_per_day is None else self.tokens_per_day,
        )


@dataclass(frozen=True, slots=True)
class GuardModel:
    """A model that judges prompts or answers, by its id or an alias.

    `threshold` is from which probability on an attack is one; a model that answers safe or unsafe needs none.
    `when_unavailable` says what becomes of what it could not judge.
    """

    model: str
    threshold: float = 0.5
    when_unavailable: WhenUnavailable = "allow"


@dataclass(frozen=True, slots=True)
class GuardModels:
    """The guard models of a tenant: none, at first."""

    prompt: GuardModel | None = None
    answer: GuardModel | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who owns API keys, policies and a budget. None means no limit of its own, or the deployment's default.

    `budget_nanousd` is for a month, in billionths of a dollar; `guard_modes` maps rule ids to modes and leaves the
    others at what `guard_mode` and they themselves say; `fallbacks` maps a model to those that stand in for it;
    `smart_model_max_percent` takes the place of the stack's; `default_max_tokens` (0: none) and `default_temperature`
    are for requests that state none; `user_limits` are those of each user whom requests name, by the names of
    SpendLimits; `time_zone` is where its days begin, by its IANA name, None in UTC; `created_at` is in seconds since
    1970; `revision` counts its changes. `choices` are the tenant's own, by category: see `sluice.tenants.choices`.
    `integrations` counts the changes of what it brought itself: 0 if it never did.
    """

    id: str
    name: str
    budget_nanousd: int | None = None
    guard_modes: Mapping[str, GuardMode] = field(default_factory=dict)
    allowed_models: tuple[str, ...] | None = None
    cache_ttl_s: int | None = None
    created_at: int = 0
    cache_policy: CachePolicyName | None = None
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guard_models: GuardModels = GuardModels()
    smart_model_max_percent: float | None = None
    guard_mode: GuardMode | None = None
    is_routing_enabled: bool | None = None
    default_max_tokens: int | None = None
    default_temperature: float | None = None
    conversation_messages: int | None = None
    conversation_tokens: int | None = None
    revision: int = 0
    user_limits: Mapping[str, int] = field(default_factory=dict)
    time_zone: str | None = None
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    integrations: int = 0

    @property
    def budget_usd_per_month(self) -> Decimal | None:
        """The budget in dollars."""
        return None if self.budget_nanousd is None else to_usd(self.budget_nanousd)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is stored: the secret itself is nowhere. Times are in seconds since 1970.

    `requests_per_minute` and `requests_per_day` are None where the deployment's defaults hold; `user_limits` go before
    the tenant's. `secret_hash` is empty where keys are listed; `revision` counts the key's changes. A secret that was
    rotated out is taken until `old_secret_until`, if there is such a time.
    """

    id: str
    tenant_id: str
    role: Role
    name: str
    secret_hash: str = field(default="", repr=False)
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    created_at: int = 0
    revision: int = 0
    budget_nanousd: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    user_limits: Mapping[str, int] = field(default_factory=dict)
    old_secret_hash: str = field(default="", repr=False)
    old_secret_until: int | None = None

    @property
    def spend_limits(self) -> SpendLimits:
        """What may be spent with it."""
        return SpendLimits(self.budget_nanousd, self.tokens_per_minute, self.tokens_per_day)

    def takes_old_secret(self, now: float) -> bool:
        """Whether the secret before this one still holds at `now`, in seconds since 1970."""
        return bool(self.old_secret_hash) and self.old_secret_until is not None and now < self.old_secret_until

    def is_expired(self, now: float) -> bool:
        """Whether the key no longer holds at `now`, in seconds since 1970."""
        return self.expires_at is not None and now >= self.expires_at
