"""Models to choose from, as consoles ask for them: POST /api/v1/ai/models/available."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.api.tenant_names import NamedTenantQuery
from sluice.operations.available_models import AvailableModel, Capability, available_models
from sluice.providers.deployment import Deployment
from sluice.routing.deployment_quota import scope_of
from sluice.tenants.directory import no_tenant
from sluice.tenants.tenant import Role, Tenant
from sluice.tenants.visibility import reached

ROUTES = Routes("AI configuration")

# Whether a model answers is asked again and again by a page, and changes in seconds.
_SECONDS_AGO_MS = 10_000


class ModelsWanted(BaseModel):
    """The body of POST /api/v1/ai/models/available: all of what the models have to be able to do."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    capabilities: Annotated[list[Capability], Field(max_length=16)] = Field(default_factory=list)


@ROUTES.post(
    "/api/v1/ai/models/available",
    role=Role.CALLER,
    example={"capabilities": ["text_generation", "analysis"]},
    errors={404},
)
def find_available_models(call: Call[ModelsWanted, NamedTenantQuery]) -> list[AvailableModel]:
    """List the models that a tenant may use and that can do what is wanted: a bare array.

    Of the caller's tenant, or of the one that an admin names. Each has the price of a thousand tokens that it is sent,
    null where nobody has said it, and whether it is reachable: whether a request would be sent to it now, as far as its
    last answers tell.
    """
    tenant = _tenant_of(call)
    allowed_models = tenant.allowed_models

    def allowed(deployment: Deployment) -> bool:
        return allowed_models is None or deployment.model.is_among(allowed_models)

    deployments, ledger = call.app.registry_of(tenant).deployments, call.app.ledger
    scopes = [scope_of(each) for each in deployments]
    ledger.prefetch(scopes, _SECONDS_AGO_MS)
    seen = {scope: snapshot for scope in scopes if (snapshot := ledger.seen(scope))}
    return available_models(deployments, call.body.capabilities, allowed, seen, ledger.now_ms())


def _tenant_of(call: Call[ModelsWanted, NamedTenantQuery]) -> Tenant:
    """The tenant that is asked for, as its requests are answered. Raises NotFoundError."""
    named = call.query.tenant
    if named is None:
        return call.principal.tenant
    found = call.app.directory.tenant(reached(named, call.principal))
    if found is None:
        raise no_tenant(named)
    return found
