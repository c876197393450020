"""Choices of a tenant: what its own people decide, within what an admin allows it. Pure.

A choice of models, money and guards narrows: a tenant may use fewer models than it is allowed, spend less and be
guarded more. What an admin takes away later is taken away whatever was chosen before. How answers are cached,
remembered and bounded by default is the tenant's own: that takes the place of what an admin says.
"""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from decimal import Decimal
from typing import Any, Literal

from sluice.catalog.money import to_nanousd
from sluice.errors import FeatureDisabledError
from sluice.loading.dataclass import dataclass
from sluice.tenants.tenant import GuardModel, GuardModels, Tenant

type Category = Literal["models", "policies", "cost_limits", "features"]

CATEGORIES: tuple[Category, ...] = ("models", "policies", "cost_limits", "features")

FEATURES = (
    "batches",
    "conversations",
    "embeddings",
    "files",
    "ingestion",
    "insights",
    "moderations",
    "questions",
    "tasks",
    "vector_stores",
)
"""What a tenant may turn off."""

# By their names in the API and in a Tenant's record: what is chosen takes the place of what an admin says.
_REPLACED = {
    "default_max_tokens": "default_max_tokens",
    "default_temperature": "default_temperature",
    "routing_enabled": "is_routing_enabled",
    "cache_policy": "cache_policy",
    "cache_ttl_seconds": "cache_ttl_s",
    "conversation_messages": "conversation_messages",
    "conversation_tokens": "conversation_tokens",
}
_LIMITS = ("tokens_per_minute", "tokens_per_day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a tenant chose of one category, by the API's names; what is not there was not chosen.

    `version` counts its changes; `changed_at` is in seconds since 1970; `changed_by` is the id of a key or a login.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    changed_at: int | None = None
    changed_by: str | None = None


_FIELDS = frozenset(each.name for each in fields(Choice))


def choice_of(tenant: Tenant, category: Category) -> Choice:
    """What the tenant chose of a category: version 0 if nothing ever was."""
    stored = tenant.choices.get(category, {})
    # What a newer version writes is left out.
    return Choice(**{name: value for name, value in stored.items() if name in _FIELDS})


def with_choice(tenant: Tenant, category: Category, choice: Choice) -> Tenant:
    """The tenant with another choice."""
    stored = {
        "values": dict(choice.values),
        "version": choice.version,
        "changed_at": choice.changed_at,
        "changed_by": choice.changed_by,
    }
    return replace(tenant, choices={**tenant.choices, category: stored})


def chosen(tenant: Tenant, category: Category) -> Mapping[str, Any]:
    """The values of a choice."""
    values: Mapping[str, Any] = tenant.choices.get(category, {}).get("values", {})
    return values


def disabled_features(tenant: Tenant) -> frozenset[str]:
    """The features that the tenant turned off."""
    return frozenset(name for name, is_on in chosen(tenant, "features").items() if is_on is False)


def is_enabled(feature: str, tenant: Tenant) -> bool:
    """Whether the tenant has not turned a feature off."""
    return feature not in disabled_features(tenant)


def check_enabled(feature: str, tenant: Tenant) -> None:
    """Refuse what the tenant turned off. Raises FeatureDisabledError."""
    if not is_enabled(feature, tenant):
        raise FeatureDisabledError(
            f"The tenant has turned off the feature {feature!r}: see /api/v1/ai/configuration/features."
        )


def narrowed(tenant: Tenant) -> Tenant:
    """The tenant as its requests are answered: what an admin says of it, with what it chose itself.

    Modes of guard rules and the share of smart models are left as they are: what narrows them depends on the stack.
    """
    if not tenant.choices:
        return tenant
    models, policies, limits = (chosen(tenant, each) for each in ("models", "policies", "cost_limits"))
    said = {**models, **policies}
    return replace(
        tenant,
        **{_REPLACED[name]: value for name, value in said.items() if name in _REPLACED},
        allowed_models=_both(tenant.allowed_models, models.get("allowed_models")),
        fallbacks={**tenant.fallbacks, **{name: tuple(each) for name, each in models.get("fallbacks", {}).items()}},
        guard_models=_guard_models(tenant.guard_models, policies.get("guard_models", {})),
        budget_nanousd=_least(tenant.budget_nanousd, _nanousd(limits.get("budget_usd_per_month"))),
        user_limits=_user_limits(tenant.user_limits, limits.get("user_limits", {})),
    )


def _both(allowed: tuple[str, ...] | None, wanted: list[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return allowed
    return tuple(name for name in wanted if allowed is None or name in allowed)


def _least[Number: (int, float)](allowed: Number | None, wanted: Number | None) -> Number | None:
    return min((each for each in (allowed, wanted) if each is not None), default=None)


def _nanousd(usd: float | None) -> int | None:
    return None if usd is None else to_nanousd(Decimal(repr(usd)))


def _guard_models(allowed: GuardModels, wanted: Mapping[str, Mapping[str, Any]]) -> GuardModels:
    """An admin's guard models, and what the tenant chose where there is none."""

    def side(own: GuardModel | None, name: str) -> GuardModel | None:
        other = wanted.get(name)
        if own is not None or other is None:
            return own
        return GuardModel(other["model"], float(other["threshold"]), other["when_unavailable"])

    return GuardModels(side(allowed.prompt, "prompt"), side(allowed.answer, "answer"))


def _user_limits(allowed: Mapping[str, int], wanted: Mapping[str, Any]) -> dict[str, int]:
    both = {
        "budget_nanousd": _least(allowed.get("budget_nanousd"), _nanousd(wanted.get("budget_usd_per_month"))),
        **{name: _least(allowed.get(name), wanted.get(name)) for name in _LIMITS},
    }
    return {name: limit for name, limit in both.items() if limit is not None}
