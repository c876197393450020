"""Usage of API keys and of the users that requests name: GET /api/v1/llm/usage/{user_id}."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.api.route import Call, PathParameter, Routes
from sluice.catalog.money import to_usd
from sluice.errors import NotFoundError
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import subject
from sluice.usage.period import UsageQuery
from sluice.usage.sums import UsageSum
from sluice.usage.sums import Use as UseSum

ROUTES = Routes("Usage")


class Use(TypedDict):
    """What some requests used."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    infra_cost_usd: Annotated[
        float, Field(description="An estimate of what AWS bills for it: functions, API, DynamoDB and logs.")
    ]
    cache_hits: int
    errors: Annotated[
        int,
        Field(
            description=(
                "Of the requests, calls that are or may be paid for, and whose answer was not given: failed, "
                "withheld, broken off, or asked for once more."
            )
        ),
    ]
    average_response_time_ms: int | None
    guard_calls: Annotated[int, Field(description="Calls of guard models, which are no requests of their own.")]
    average_guard_time_ms: int | None


class ModelUse(Use):
    """What was used of a model."""

    provider: str
    model: str


class DayUse(Use):
    """What was used in a day, UTC."""

    day: str


class Report(TypedDict):
    """What was used. Days and models without use are left out."""

    totals: Use
    by_model: list[ModelUse]
    by_day: list[DayUse]


Period = TypedDict(
    "Period",
    {
        "from": Annotated[str, Field(description="The first day, UTC.")],
        "to": Annotated[str, Field(description="The last day, UTC.")],
    },
)


class UsageReport(Period, Report):
    """What somebody used. Days and models without use are left out."""

    object: Literal["usage"]
    user_id: str
    tenant: str


@ROUTES.get(
    "/api/v1/llm/usage/{user_id}",
    role=Role.CALLER,
    parameters={
        "user_id": PathParameter("The id of an API key, or a user as requests named it in `user_id`.", "student-7")
    },
)
def show_usage(call: Call[None, UsageQuery]) -> UsageReport:
    """Show what an API key or a user has used.

    A caller sees itself and the users that its own requests named, an operator everybody of its tenant, an admin
    everybody.
    """
    # Nothing of a user is not found: whether it is somebody else's is not told.
    first, last = call.query.days(datetime.now(UTC).date())
    found = subject(call.path["user_id"], call.principal, call.query.tenant, call.app.directory)
    sums = list(call.app.usage_reader.sums(found.tenant, first, last, caller=found.caller, user=found.user))
    if not sums and not found.is_key:
        raise NotFoundError(f"There is no usage of such a user from {first} to {last}.", param="user_id")
    return {
        "object": "usage",
        "user_id": call.path["user_id"],
        "tenant": found.tenant,
        **period(first, last),
        **report(sums),
    }


def period(first: date, last: date) -> Period:
    """The days of a report, as the API shows them."""
    return {"from": first.isoformat(), "to": last.isoformat()}


def report(sums: Iterable[UsageSum]) -> Report:
    """Totals, by model and by day."""
    found = list(sums)
    by_model = _grouped(found, lambda each: (each.key.provider, each.key.model))
    by_day = _grouped(found, lambda each: each.day)
    return {
        "totals": use_shown(sum((each.use for each in found), UseSum())),
        "by_model": [
            {"provider": provider, "model": model, **use_shown(use)}
            for (provider, model), use in sorted(by_model.items(), key=lambda each: -each[1].requests)
        ],
        "by_day": [{"day": day.isoformat(), **use_shown(use)} for day, use in sorted(by_day.items())],
    }


def use_shown(use: UseSum) -> Use:
    """As the API shows it."""
    return {
        "requests": use.requests,
        "prompt_tokens": use.prompt_tokens,
        "completion_tokens": use.completion_tokens,
        "total_tokens": use.prompt_tokens + use.completion_tokens,
        "cost_usd": float(to_usd(use.cost_nanousd)),
        "infra_cost_usd": float(to_usd(use.infra_nanousd)),
        "cache_hits": use.cache_hits,
        "errors": use.errors,
        "average_response_time_ms": round(use.response_time_ms / use.requests) if use.requests else None,
        "guard_calls": use.guard_calls,
        "average_guard_time_ms": round(use.guard_ms / use.guard_calls) if use.guard_calls else None,
    }


def _grouped[Key](sums: Iterable[UsageSum], key: Callable[[UsageSum], Key]) -> dict[Key, UseSum]:
    groups: dict[Key, UseSum] = {}
    for each in sums:
        groups[key(each)] = groups.get(key(each), UseSum()) + each.use
    return groups
