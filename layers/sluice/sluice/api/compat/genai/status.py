"""Usage of a tenant, and whether any deployment can be asked: /api/v1/genai/stats and /health."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.api.usage import Period, Report, period, report
from sluice.errors import NoProviderError
from sluice.tenants.tenant import Role
from sluice.usage.period import MOST_DAYS

ROUTES = Routes("Operations assistant")


class StatsQuery(BaseModel):
    """The query of GET stats: how many UTC days, today's included."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 30


class Stats(Period, Report):
    """What the caller's tenant used. Days and models without use are left out."""

    object: Literal["stats"]


class Healthy(TypedDict):
    """There is somebody to ask. Nobody was asked."""

    status: Literal["healthy"]


@ROUTES.get("/api/v1/genai/stats", role=Role.CALLER)
def genai_stats(call: Call[None, StatsQuery]) -> Stats:
    """Show what the caller's tenant used."""
    last = datetime.now(UTC).date()
    first = last - timedelta(days=call.query.days - 1)
    sums = call.app.usage_reader.sums(call.principal.tenant.id, first, last)
    return {"object": "stats", **period(first, last), **report(sums)}


@ROUTES.get("/api/v1/genai/health", role=None)
def genai_health(call: Call) -> Healthy:
    """Say whether there is somebody to ask.

    For load balancers: without an API key, and without asking a model. 503 if there is nobody.
    """
    enabled = [deployment for deployment in call.app.registry().deployments if deployment.enabled]
    if not enabled:
        raise NoProviderError(
            "There is no deployment: the credentials secret holds none that is enabled.", may_pass=False
        )
    if call.app.deployment_quota.are_left_alone(enabled):
        raise NoProviderError("Every deployment has failed too often lately and is left alone for a minute.")
    return {"status": "healthy"}
