"""Tenants and API keys of tests, made without the API."""

from typing import Any

from sluice.api.keys import NewKey
from sluice.api.tenants import NewTenant
from sluice.composition import App


def make_tenant(app: App, name: str, **fields: Any) -> str:
    """Make a tenant, with fields as POST /v1/tenants takes them, and return an API key of it."""
    app.administration.create_tenant(NewTenant.model_validate({"id": name, "name": name, **fields}).to_record())
    return make_key(app, name)


def make_key(app: App, tenant: str, **fields: Any) -> str:
    """Make an API key, with fields as POST /v1/keys takes them."""
    new = NewKey.model_validate({"tenant": tenant, "name": "test", **fields})
    _, token = app.administration.create_key(new.to_terms())
    return token.text
