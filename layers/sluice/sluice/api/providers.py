"""Providers and their credentials, for operators, who may be let in again by admins: /v1/providers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.operations.deployment_report import Providers
from sluice.operations.interventions import DeploymentStanding
from sluice.operations.trial import DeploymentTrial
from sluice.tenants.tenant import Role

ROUTES = Routes("Operations")


class NamedDeployment(BaseModel):
    """The body of POST /v1/providers/reset and /test: a deployment, as answers and GET /api/groq/health name it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    deployment: Annotated[str, Field(min_length=1, max_length=512)]


@ROUTES.get("/v1/providers", role=Role.OPERATOR)
def list_providers(call: Call) -> Providers:
    """List the providers and their credentials."""
    return call.app.overview.providers()


@ROUTES.post(
    "/v1/providers/test",
    role=Role.ADMIN,
    example={"deployment": "groq-1#llama-3.1-8b-instant"},
    errors={404},
)
def try_deployment(call: Call[NamedDeployment]) -> DeploymentTrial:
    """Ask a deployment for a word, to see whether it answers.

    It counts against the deployment's limits, and against no tenant's. What keeps requests from it keeps this from it
    too.
    """
    return call.app.trials.run(call.body.deployment, call.principal.tenant.id)


@ROUTES.post(
    "/v1/providers/reset",
    role=Role.ADMIN,
    example={"deployment": "groq-1#llama-3.1-8b-instant"},
    errors={404},
)
def reset_deployment(call: Call[NamedDeployment]) -> DeploymentStanding:
    """Let requests through to a deployment again.

    What kept them from it is forgotten: what its provider said of waiting, and its failures. What it has used of its
    limits stays counted.
    """
    return call.app.interventions.reset_deployment(call.body.deployment, call.actor)
