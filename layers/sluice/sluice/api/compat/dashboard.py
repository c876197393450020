"""The path of an older system's dashboard: GET /api/v1/ai/usage/summary."""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.api.usage_groups import collect
from sluice.catalog.money import to_usd
from sluice.errors import InvalidRequestError
from sluice.tenants.tenant import Role
from sluice.usage.period import LastDays, Span
from sluice.usage.sums import Use

ROUTES = Routes("Usage")


class UsageSummaryQuery(BaseModel):
    """The query of GET /api/v1/ai/usage/summary. `tenant` is for admins."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    last_days: LastDays = Field(default="7d", alias="range")
    tenant: Annotated[str, Field(max_length=63)] | None = None


class ProviderUse(TypedDict):
    """What was used of a provider. `cost` is in dollars."""

    cost: float
    tokens: int
    requests: int


class DateRange(TypedDict):
    """From when until when, in ISO 8601."""

    start: str
    end: str


class UsageSummary(TypedDict):
    """What was used lately. Costs are in dollars."""

    object: Literal["usage.summary"]
    totalCost: float
    totalTokens: int
    totalRequests: int
    avgCostPerRequest: float
    providerBreakdown: dict[str, ProviderUse]
    dateRange: DateRange


@ROUTES.get("/api/v1/ai/usage/summary", role=Role.CALLER, errors={404})
def summarize_usage(call: Call[None, UsageSummaryQuery]) -> UsageSummary:
    """Show what was used in the last days, by provider.

    A caller sees its own, an operator its tenant's, an admin all tenants', or one's.
    """
    span = Span.of_last(call.query.last_days, datetime.now(UTC))
    groups, following = collect(call, span, ["provider"], tenant=call.query.tenant)
    if following is not None:
        raise InvalidRequestError(
            "range: there is more than one answer can add up; take fewer days, or GET /v1/usage, which has pages.",
            param="range",
        )
    total = groups.total
    start, end = span.shown()
    return {
        "object": "usage.summary",
        "totalCost": _dollars(total.cost_nanousd),
        "totalTokens": _tokens(total),
        "totalRequests": total.requests,
        "avgCostPerRequest": _dollars(total.cost_nanousd) / total.requests if total.requests else 0,
        "providerBreakdown": {
            provider: {"cost": _dollars(use.cost_nanousd), "tokens": _tokens(use), "requests": use.requests}
            for (provider,), use in groups.rows()
        },
        "dateRange": {"start": start, "end": end},
    }


def _dollars(nanousd: int) -> float:
    return float(to_usd(nanousd))


def _tokens(use: Use) -> int:
    return use.prompt_tokens + use.completion_tokens
