"""Tenants and API keys as audit records show them: the API's names, nothing secret. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sluice.catalog.money import to_usd
from sluice.tenants.tenant import ApiKey, Tenant


def tenant_fields(tenant: Tenant) -> dict[str, Any]:
    """What may be changed of a tenant, by the API's names; what it does not have is left out."""
    budget = tenant.budget_usd_per_month
    return _given(
        {
            "name": tenant.name,
            "budget_usd_per_month": None if budget is None else float(budget),
            "guard_modes": dict(tenant.guard_modes) or None,
            "allowed_models": None if tenant.allowed_models is None else list(tenant.allowed_models),
            "cache_ttl_seconds": tenant.cache_ttl_s,
            "cache_policy": tenant.cache_policy,
            "fallbacks": {model: list(names) for model, names in tenant.fallbacks.items()} or None,
            "user_limits": shown_spend_limits(tenant.user_limits) or None,
            "guard_models.prompt": None if tenant.guard_models.prompt is None else asdict(tenant.guard_models.prompt),
            "guard_models.answer": None if tenant.guard_models.answer is None else asdict(tenant.guard_models.answer),
            "smart_model_max_percent": tenant.smart_model_max_percent,
            "guard_mode": tenant.guard_mode,
            "routing_enabled": tenant.is_routing_enabled,
            "default_max_tokens": tenant.default_max_tokens,
            "default_temperature": tenant.default_temperature,
            "conversation_messages": tenant.conversation_messages,
            "conversation_tokens": tenant.conversation_tokens,
            "time_zone": tenant.time_zone,
        }
    )


def key_fields(key: ApiKey) -> dict[str, Any]:
    """What may be changed of an API key, by the API's names; what it does not have is left out."""
    return _given(
        {
            "name": key.name,
            "role": str(key.role),
            "limits.requests_per_minute": key.requests_per_minute,
            "limits.requests_per_day": key.requests_per_day,
            "limits.tokens_per_minute": key.tokens_per_minute,
            "limits.tokens_per_day": key.tokens_per_day,
            "limits.budget_usd_per_month": None if key.budget_nanousd is None else float(to_usd(key.budget_nanousd)),
            "user_limits": shown_spend_limits(key.user_limits) or None,
            "expires_at": key.expires_at,
            "old_secret_until": key.old_secret_until,
        }
    )


def shown_spend_limits(limits: Mapping[str, int]) -> dict[str, float]:
    """Limits by the names of SpendLimits, by the API's names."""
    shown: dict[str, float] = dict(limits)
    if "budget_nanousd" in limits:
        shown["budget_usd_per_month"] = float(to_usd(limits["budget_nanousd"]))
        del shown["budget_nanousd"]
    return shown


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
