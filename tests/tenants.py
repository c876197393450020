"""Tenants and API keys of tests, made without the API."""

from typing import Any

from sluice.api.keys import NewKey
from sluice.api.tenants import NewTenant
from sluice.composition import App
from sluice.tenants.audit import Actor
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role, Tenant

ADMIN = Actor(Principal(ApiKey("admin", "admin", Role.ADMIN, "test"), Tenant("admin", "test")), "req_test")
"""Who makes them."""


def make_tenant(app: App, name: str, **fields: Any) -> str:
    """Make a tenant, with fields as POST /v1/tenants takes them, and return an API key of it."""
    new = NewTenant.model_validate({"id": name, "name": name, **fields})
    app.administration.create_tenant(new.to_record(), ADMIN)
    return make_key(app, name)


def make_key(app: App, tenant: str, **fields: Any) -> str:
    """Make an API key, with fields as POST /v1/keys takes them."""
    new = NewKey.model_validate({"tenant": tenant, "name": "test", **fields})
    _, token = app.administration.create_key(new.to_terms(), ADMIN)
    return token.text


def key_id(api_key: str) -> str:
    """The id of an API key, which is what its limits and usage are known by."""
    return api_key.split("-")[1]
