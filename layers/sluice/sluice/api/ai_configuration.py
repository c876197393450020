"""What a tenant chooses of its AI, within what an admin allows it: /api/v1/ai/configuration."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Reply, Routes
from sluice.api.spend_limits import GivenSpendLimits
from sluice.api.tenant_names import NamedTenantQuery, tenant_of
from sluice.api.tenants import ChosenGuardModels, ModelName, RuleId, check_policies
from sluice.catalog.money import to_nanousd, to_usd
from sluice.errors import InvalidRequestError
from sluice.gateway.tenant_settings import TenantSettings, smart_share
from sluice.settings import (
    MOST_CACHE_S,
    MOST_CONVERSATION_MESSAGES,
    MOST_CONVERSATION_TOKENS,
    MOST_TEMPERATURE,
    MOST_TOKENS,
    Settings,
)
from sluice.tenants.choices import CATEGORIES, FEATURES, Category, Choice, choice_of, disabled_features, narrowed
from sluice.tenants.shown import shown_spend_limits
from sluice.tenants.tenant import CachePolicyName, GuardMode, Role, Tenant
from sluice.tenants.versions import entity_tag
from sluice.validation.text import IN_ANY_CASE

ROUTES = Routes("AI configuration")


class Configured(BaseModel):
    """What is chosen of a category. null, or what is left out, is not chosen: then an admin's or the stack's holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ModelsConfiguration(Configured):
    """Which models answer, and how they are asked."""

    allowed_models: Annotated[list[ModelName], Field(min_length=1, max_length=200)] | None = None
    fallbacks: (
        Annotated[dict[ModelName, Annotated[list[ModelName], Field(max_length=20)]], Field(max_length=200)] | None
    ) = None
    default_max_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None
    default_temperature: Annotated[float, Field(ge=0, le=MOST_TEMPERATURE)] | None = None
    routing_enabled: bool | None = None
    smart_model_max_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class PoliciesConfiguration(Configured):
    """How prompts and answers are guarded, cached and remembered."""

    guard_mode: Annotated[GuardMode, IN_ANY_CASE] | None = None
    guard_modes: Annotated[dict[RuleId, Annotated[GuardMode, IN_ANY_CASE]], Field(max_length=200)] | None = None
    guard_models: ChosenGuardModels | None = None
    cache_policy: Annotated[CachePolicyName, IN_ANY_CASE] | None = None
    cache_ttl_seconds: Annotated[int, Field(ge=0, le=MOST_CACHE_S)] | None = None
    conversation_messages: Annotated[int, Field(ge=1, le=MOST_CONVERSATION_MESSAGES)] | None = None
    conversation_tokens: Annotated[int, Field(ge=1, le=MOST_CONVERSATION_TOKENS)] | None = None


class CostLimitsConfiguration(Configured):
    """What may be spent: by the tenant in a month, UTC, and by each user whom requests name."""

    budget_usd_per_month: Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)] | None = None
    user_limits: GivenSpendLimits | None = None


class FeaturesConfiguration(Configured):
    """What the tenant uses: false turns a feature off, for all of its keys."""

    batches: bool | None = None
    conversations: bool | None = None
    embeddings: bool | None = None
    files: bool | None = None
    ingestion: bool | None = None
    insights: bool | None = None
    moderations: bool | None = None
    questions: bool | None = None
    tasks: bool | None = None
    vector_stores: bool | None = None


class AiConfiguration(TypedDict):
    """What a tenant chose of a category, and what holds for it. The header `etag` has the version for `if-match`."""

    object: Literal["ai.configuration"]
    tenant: str
    category: Literal["models", "policies", "cost_limits", "features"]
    version: Annotated[int, Field(description="How often it was changed.")]
    updated_at: Annotated[int | None, Field(description="Seconds since 1970.")]
    updated_by: Annotated[str | None, Field(description="The id of an API key or a login.")]
    configuration: Annotated[dict[str, Any], Field(description="What was chosen; null was not.")]
    effective: Annotated[dict[str, Any], Field(description="What holds: the choice within what an admin allows.")]


class AiConfigurations(TypedDict):
    """What a tenant chose of every category."""

    object: Literal["list"]
    data: list[AiConfiguration]


@ROUTES.get("/api/v1/ai/configuration", role=Role.CALLER, errors={404})
def list_ai_configuration(call: Call[None, NamedTenantQuery]) -> AiConfigurations:
    """Show what a tenant chose of all categories, and what holds for it."""
    tenant = call.app.configuration.tenant(tenant_of(call))
    return {"object": "list", "data": [_shown(tenant, each, call.app.settings) for each in CATEGORIES]}


@ROUTES.get("/api/v1/ai/configuration/models", role=Role.CALLER, errors={404})
def get_ai_models(call: Call[None, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Show which models a tenant chose."""
    return _get(call, "models")


@ROUTES.patch(
    "/api/v1/ai/configuration/models",
    role=Role.MANAGER,
    example={"default_max_tokens": 512, "routing_enabled": True},
    errors={404, 409, 412},
)
def change_ai_models(call: Call[ModelsConfiguration, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Choose models: fewer than an admin allows.

    A field that is given replaces the one there is; null takes it away. With `if-match` the version that is changed is
    the one that it names, or none. Within 60 s everywhere. So for every category.
    """
    return _change(call, "models")


@ROUTES.get("/api/v1/ai/configuration/policies", role=Role.CALLER, errors={404})
def get_ai_policies(call: Call[None, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Show how a tenant chose to be guarded, cached and remembered."""
    return _get(call, "policies")


@ROUTES.patch(
    "/api/v1/ai/configuration/policies",
    role=Role.MANAGER,
    example={"guard_mode": "block", "cache_policy": "unsampled"},
    errors={404, 409, 412},
)
def change_ai_policies(call: Call[PoliciesConfiguration, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Choose policies: a guard rule does more than an admin says, and never less."""
    return _change(call, "policies")


@ROUTES.get("/api/v1/ai/configuration/cost_limits", role=Role.CALLER, errors={404})
def get_ai_cost_limits(call: Call[None, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Show what a tenant chose to spend at most."""
    return _get(call, "cost_limits")


@ROUTES.patch(
    "/api/v1/ai/configuration/cost_limits",
    role=Role.MANAGER,
    example={"budget_usd_per_month": 20},
    errors={404, 409, 412},
)
def change_ai_cost_limits(call: Call[CostLimitsConfiguration, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Choose limits of costs: less than an admin allows."""
    return _change(call, "cost_limits")


@ROUTES.get("/api/v1/ai/configuration/features", role=Role.CALLER, errors={404})
def get_ai_features(call: Call[None, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Show which features a tenant uses."""
    return _get(call, "features")


@ROUTES.patch(
    "/api/v1/ai/configuration/features",
    role=Role.MANAGER,
    example={"insights": True, "questions": True},
    errors={404, 409, 412},
)
def change_ai_features(call: Call[FeaturesConfiguration, NamedTenantQuery]) -> Reply[AiConfiguration]:
    """Choose features: one that is off is refused to all keys of the tenant, whichever route asks for it."""
    return _change(call, "features")


def _get(call: Call[Any, NamedTenantQuery], category: Category) -> Reply[AiConfiguration]:
    return _reply(call.app.configuration.tenant(tenant_of(call)), category, call.app.settings)


def _change(call: Call[Any, NamedTenantQuery], category: Category) -> Reply[AiConfiguration]:
    # Of what is given the whole is stored, with its defaults: so it means the same whatever they become.
    given = call.body.model_dump(mode="json", include=call.body.model_fields_set)
    if not given:
        raise InvalidRequestError("Body should have at least one of the fields to change")
    if category == "policies":
        check_policies(call.body)

    def changed(tenant: Tenant, values: Mapping[str, Any]) -> Mapping[str, Any]:
        merged = {**values, **{name: _plain(getattr(call.body, name), value) for name, value in given.items()}}
        merged = {name: value for name, value in merged.items() if value is not None}
        _check(tenant, {name: merged[name] for name in given if name in merged}, call.app.settings)
        return merged

    tenant = call.app.configuration.change(tenant_of(call), category, changed, call.actor, if_match=call.if_match)
    return _reply(tenant, category, call.app.settings)


def _plain(value: object, dumped: Any) -> Any:
    """A value as it is stored: money as a number, and of limits those that there are."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, GivenSpendLimits):
        return shown_spend_limits(value.limits())
    return dumped


def _check(tenant: Tenant, given: Mapping[str, Any], settings: Settings) -> None:
    """Refuse what an admin, or the stack, does not allow the tenant."""
    allowed = tenant.allowed_models
    for name in given.get("allowed_models", ()):
        if allowed is not None and name not in allowed:
            there_are = ", ".join(allowed)
            reason = f"allowed_models: {name!r} is none of those that an admin allows: {there_are}."
            raise InvalidRequestError(reason, param="allowed_models")
    budget, most = given.get("budget_usd_per_month"), tenant.budget_nanousd
    if budget is not None and most is not None and to_nanousd(Decimal(repr(budget))) > most:
        reason = f"budget_usd_per_month: {budget} is more than {to_usd(most):f}, which an admin allows."
        raise InvalidRequestError(reason, param="budget_usd_per_month")
    own, percent = tenant.smart_model_max_percent, given.get("smart_model_max_percent")
    most_percent = settings.smart_model_max_percent if own is None else own
    if percent is not None and percent > most_percent:
        reason = f"smart_model_max_percent: {percent:g} is more than {most_percent:g}, which is allowed."
        raise InvalidRequestError(reason, param="smart_model_max_percent")
    limits = shown_spend_limits(tenant.user_limits)
    for name, limit in given.get("user_limits", {}).items():
        if name in limits and limit > limits[name]:
            reason = f"user_limits.{name}: {limit:g} is more than {limits[name]:g}, which an admin allows."
            raise InvalidRequestError(reason, param=f"user_limits.{name}")


def _reply(tenant: Tenant, category: Category, settings: Settings) -> Reply[AiConfiguration]:
    shown = _shown(tenant, category, settings)
    return Reply(shown, headers={"etag": entity_tag(shown["version"])})


def _shown(tenant: Tenant, category: Category, settings: Settings) -> AiConfiguration:
    choice: Choice = choice_of(tenant, category)
    fields = _FIELDS[category]
    return {
        "object": "ai.configuration",
        "tenant": tenant.id,
        "category": category,
        "version": choice.version,
        "updated_at": choice.changed_at,
        "updated_by": choice.changed_by,
        "configuration": {name: choice.values.get(name) for name in fields},
        "effective": _EFFECTIVE[category](narrowed(tenant), settings),
    }


def _effective_models(tenant: Tenant, settings: Settings) -> dict[str, Any]:
    holds = TenantSettings.of(tenant, settings)
    share, _ = smart_share(tenant, settings)
    return {
        "allowed_models": None if tenant.allowed_models is None else list(tenant.allowed_models),
        "fallbacks": {model: list(names) for model, names in tenant.fallbacks.items()},
        "default_max_tokens": holds.default_max_tokens,
        "default_temperature": holds.default_temperature,
        "routing_enabled": holds.is_routing_enabled,
        "smart_model_max_percent": share,
    }


def _effective_policies(tenant: Tenant, settings: Settings) -> dict[str, Any]:
    holds = TenantSettings.of(tenant, settings)
    sides = {"prompt": holds.guard_models.prompt, "answer": holds.guard_models.answer}
    return {
        "guard_modes": {rule: str(mode) for rule, mode in holds.guard_modes.items()},
        "guard_models": {side: None if model is None else model.model for side, model in sides.items()},
        "cache_policy": str(holds.cache_policy),
        "cache_ttl_seconds": holds.cache_ttl_s,
        "conversation_messages": holds.conversation.messages,
        "conversation_tokens": holds.conversation.tokens,
    }


def _effective_cost_limits(tenant: Tenant, _: Settings) -> dict[str, Any]:
    budget = tenant.budget_usd_per_month
    return {
        "budget_usd_per_month": None if budget is None else float(budget),
        "user_limits": shown_spend_limits(tenant.user_limits),
    }


def _effective_features(tenant: Tenant, _: Settings) -> dict[str, Any]:
    off = disabled_features(tenant)
    return {name: name not in off for name in FEATURES}


_EFFECTIVE = {
    "models": _effective_models,
    "policies": _effective_policies,
    "cost_limits": _effective_cost_limits,
    "features": _effective_features,
}
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "models": tuple(ModelsConfiguration.model_fields),
    "policies": tuple(PoliciesConfiguration.model_fields),
    "cost_limits": tuple(CostLimitsConfiguration.model_fields),
    "features": FEATURES,
}
