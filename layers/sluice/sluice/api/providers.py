"""Providers and their credentials, for operators: GET /v1/providers."""

from sluice.api.route import Call, Routes
from sluice.operations.deployment_report import Providers
from sluice.tenants.tenant import Role

ROUTES = Routes("Operations")


@ROUTES.get("/v1/providers", role=Role.OPERATOR)
def list_providers(call: Call) -> Providers:
    """List the providers and their credentials."""
    return call.app.overview.providers()
