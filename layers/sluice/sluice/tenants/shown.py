"""Tenants and API keys as audit records show them: the API's names, nothing secret. Pure."""

from typing import Any

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
            "expires_at": key.expires_at,
        }
    )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
