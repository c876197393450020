"""What a daily report holds: the shapes of its JSON, which the page is drawn from as well."""

from typing import Annotated, Literal, TypedDict

from pydantic import Field

from sluice.reports.forecast import Method

EVERYBODY = "*"
"""In place of a tenant's id: the report of the whole stack."""
VERSION = 1

type Unit = Literal["requests", "tokens", "characters", "usd"]
type Level = Literal["fine", "over 80 %", "over 90 %", "used up"]


class Used(TypedDict):
    """What some requests used."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    infra_cost_usd: float
    cache_hits: int
    errors: int


class Row(Used):
    """What one of a group used. An empty id is what names none."""

    id: str
    name: str | None


class Groups(TypedDict):
    """Usage of the day, told apart in several ways, the dearest first."""

    providers: list[Row]
    credentials: list[Row]
    models: list[Row]
    operations: list[Row]
    tasks: list[Row]
    keys: list[Row]
    users: list[Row]
    tenants: list[Row]


class HourUsed(TypedDict):
    """What an hour used: it begins at `hour`, and at `local` by the clock of the time zone."""

    hour: str
    local: str
    requests: int
    tokens: int
    cost_usd: float


class DayUsed(TypedDict):
    """What a day used. Of a day to come it is what is expected."""

    day: str
    requests: float
    tokens: float
    cost_usd: float
    is_forecast: bool


class Outlook(TypedDict):
    """What is expected of a window's end, in the limit's units, and by how much such forecasts were off."""

    until: str
    total: float
    percentage: float | None
    used_up_at: Annotated[str | None, Field(description="When the limit will be reached; null: not before the end.")]
    method: Method
    past_error_percent: Annotated[
        float | None, Field(description="All deviations of the last seven forecasts, by all that was used.")
    ]


class Standing(TypedDict):
    """How much of one limit is used, as of when the report was made."""

    of: Literal["tenant", "key", "user", "deployment"]
    id: str
    name: str | None
    limit: str
    unit: Unit
    capacity: float
    used: float
    percentage: float
    level: Level
    turns_at: Annotated[str | None, Field(description="When all that counts now has left; null if nothing does.")]
    outlook: Outlook | None


class Unsettled(TypedDict):
    """What a budget counts this month beyond what requests were recorded to cost.

    It was reserved for requests under way, for those whose process died, and for those that a provider may have billed
    without answering.
    """

    of: Literal["tenant", "key"]
    id: str
    counted_usd: float
    recorded_usd: float
    beyond_usd: float


class Month(TypedDict):
    """What the UTC month costs."""

    month: str
    so_far_usd: float
    outlook: Outlook


class Report(TypedDict):
    """A day of a tenant, or of the whole stack, in the tenant's time zone."""

    object: Literal["report"]
    version: int
    tenant: Annotated[str, Field(description="Its id; `*` is the whole stack.")]
    name: str
    day: str
    time_zone: str
    starts_at: str
    ends_at: str
    made_at: str
    totals: Used
    day_before: Used
    hours: list[HourUsed]
    days: Annotated[list[DayUsed], Field(description="The last thirty, and the next seven as they are expected.")]
    day_error_percent: Annotated[float | None, Field(description="By how much forecasts of a day's cost were off.")]
    groups: Groups
    users_left_out: Annotated[int, Field(description="There is room for a hundred; these used least.")]
    month: Month
    limits: list[Standing]
    unsettled: list[Unsettled]
