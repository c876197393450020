"""Routes of the function usage."""

from typing import Literal

from pydantic import Field

from sluice.api.openapi.operation import Operation, PathParameter, Shown
from sluice.tenants.tenant import Role
from sluice.usage.period import UsageQuery


class Use(Shown):
    """What some requests used."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    cache_hits: int
    errors: int = Field(
        description=(
            "Requests that a model was paid for, but not answered: withheld, broken off, or asked for once more."
        )
    )
    average_response_time_ms: int | None


class ModelUse(Use):
    """What was used of a model."""

    provider: str
    model: str


class DayUse(Use):
    """What was used in a day, UTC."""

    day: str


class UsageReport(Shown):
    """What somebody used. Days and models without use are left out."""

    object: Literal["usage"]
    user_id: str
    tenant: str
    from_: str = Field(alias="from", description="The first day, UTC.")
    to: str = Field(description="The last day, UTC.")
    totals: Use
    by_model: list[ModelUse]
    by_day: list[DayUse]


OPERATIONS = (
    Operation(
        id="showUsage",
        method="GET",
        path="/api/v1/llm/usage/{user_id}",
        tag="Usage",
        summary="Show what an API key or a user has used",
        description=(
            "A caller sees itself and the users that its own requests named, an operator everybody of its tenant, an "
            "admin everybody."
        ),
        role=Role.CALLER,
        parameters={
            "user_id": PathParameter("The id of an API key, or a user as requests named it in `user_id`.", "student-7")
        },
        query=UsageQuery,
        answer=UsageReport,
    ),
)
