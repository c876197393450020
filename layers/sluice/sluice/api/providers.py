"""Providers and their credentials, for operators: GET /v1/providers."""

from sluice.api.route import Call, Route
from sluice.operations.deployment_report import Providers
from sluice.tenants.tenant import Role

TAG = "Operations"


def list_providers(call: Call) -> Providers:
    """GET /v1/providers."""
    return call.app.overview.providers()


ROUTES = (
    Route(
        id="listProviders",
        method="GET",
        path="/v1/providers",
        tag=TAG,
        summary="List the providers and their credentials",
        role=Role.OPERATOR,
        answer=Providers,
        handler=list_providers,
    ),
)
