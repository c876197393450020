"""Tenants' budgets in the middle of a month, for admins: /v1/tenants/{id}/budget."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.operations.interventions import Budget
from sluice.operations.summary import BudgetOutlook
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import reached

ROUTES = Routes("Tenants and keys")

_ID = {"id": PathParameter("The id of a tenant.", "school")}


class BudgetAddition(BaseModel):
    """The body of POST /v1/tenants/{id}/budget/add: dollars for this month alone, in place of those added before."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    usd: Annotated[Decimal, Field(ge=0, le=10**6, decimal_places=9)]


@ROUTES.get("/v1/tenants/{id}/budget", role=Role.MANAGER, parameters=_ID, errors={409})
def show_budget(call: Call) -> BudgetOutlook:
    """Show how much of a tenant's budget is used this month.

    Of a manager's or an operator's own tenant, or of any for an admin.
    """
    budget = call.app.interventions.budget(reached(call.path["id"], call.principal))
    return call.app.summaries.outlook(budget, datetime.now(UTC))


@ROUTES.post("/v1/tenants/{id}/budget/add", role=Role.ADMIN, parameters=_ID, example={"usd": 10}, errors={409})
def add_to_budget(call: Call[BudgetAddition]) -> Budget:
    """Let a tenant use more dollars in this month.

    They take the place of those that were added before, so that sending it twice adds them once; 0 takes them back. The
    next month has the tenant's budget again.
    """
    return call.app.interventions.add_to_budget(call.path["id"], call.body.usd, call.actor)


@ROUTES.post("/v1/tenants/{id}/budget/reset", role=Role.ADMIN, parameters=_ID, errors={409})
def reset_budget(call: Call) -> Budget:
    """Begin a tenant's month anew, with nothing used.

    At most 99 times a month. What requests under way have reserved no longer counts.
    """
    return call.app.interventions.restart_budget(call.path["id"], call.actor)
