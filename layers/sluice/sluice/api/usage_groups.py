"""Usage by whatever it is to be told apart by, as JSON or CSV: GET /v1/usage."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypedDict, cast

from pydantic import Field

from sluice.api.route import Call, Csv, Routes
from sluice.api.usage import Use, use_shown
from sluice.chat import MAX_LABEL_CHARACTERS
from sluice.errors import InvalidRequestError
from sluice.tenants.tenant import TENANT_ID_PATTERN, Role
from sluice.tenants.visibility import usage_reach
from sluice.usage.grouping import DIMENSIONS, Groups, Position
from sluice.usage.period import LastDays, Span, UsageQuery
from sluice.usage.sums import Use as UseSum

ROUTES = Routes("Usage")

_GROUP = "|".join(DIMENSIONS)
_FILTERS = ("key", "user", "operation", "task", "provider", "credential", "model")
_ANY: Mapping[str, str] = {}
# What putting the answer together may take.
_LEAST_S = 4.0
# What a spreadsheet would take for a formula, if a text began with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

type _Name = Annotated[str, Field(max_length=256)]


class UsageGroupsQuery(UsageQuery):
    """The query of GET /v1/usage: days as `from` and `to`, or the last of them as `range`; without either, this month.

    `group_by` has names with commas between them. The rest lets only what has these values count; the empty one is what
    has none. `format` goes before the header `accept`. `page` is the `next_page` of the answer before.
    """

    last_days: LastDays | None = Field(default=None, alias="range")
    group_by: Annotated[str, Field(pattern=f"^({_GROUP})(,({_GROUP}))*$", examples=["day,model"])] | None = None
    # Together they are a part of a key of DynamoDB's.
    key: Annotated[str, Field(max_length=64)] | None = None
    user: Annotated[str, Field(max_length=MAX_LABEL_CHARACTERS)] | None = None
    operation: _Name | None = None
    task: _Name | None = None
    provider: _Name | None = None
    credential: _Name | None = None
    model: _Name | None = None
    format: Literal["json", "csv"] | None = None
    page: Annotated[str, Field(pattern=f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}},{TENANT_ID_PATTERN}$")] | None = None

    @property
    def dimensions(self) -> list[str]:
        """What to group by."""
        return list(dict.fromkeys(self.group_by.split(","))) if self.group_by else []

    def span(self, now: datetime) -> Span:
        """The time that is asked for. Raises InvalidRequestError."""
        if self.last_days is None:
            return Span.of_days(*self.days(now.date()))
        if self.first is not None or self.last is not None:
            raise InvalidRequestError("range: give either this, or from and to.", param="range")
        return Span.of_last(self.last_days, now)

    @property
    def wanted(self) -> dict[str, str]:
        """What alone is to count, by dimension."""
        return {name: value for name in _FILTERS if (value := getattr(self, name)) is not None}

    @property
    def position(self) -> Position | None:
        """Where to go on. Raises InvalidRequestError."""
        if self.page is None:
            return None
        day, _, tenant = self.page.partition(",")
        try:
            return Position(tenant, date.fromisoformat(day))
        except ValueError:
            raise InvalidRequestError("page: should be the next_page of an answer.", param="page") from None


class GroupNames(TypedDict, total=False):
    """What a group is of: as much as was grouped by. An empty text is none, or not known of what is old."""

    tenant: str
    key: str
    user: str
    operation: Annotated[
        str, Field(description="`chat`, `task`, `embedding`, or `guard` for what guard models were asked.")
    ]
    task: str
    provider: str
    credential: str
    model: str
    day: str
    hour: str


class ExactUse(Use):
    """What some requests used, with their cost also in billionths of a dollar, which add up exactly."""

    cost_nanousd: int


class UsageGroup(GroupNames, ExactUse):
    """What the requests of one group used."""


class UsageGroups(TypedDict):
    """Usage by group. If there is a `next_page`, it has the rest: add up what has the same names."""

    object: Literal["usage.groups"]
    start: str
    end: str
    group_by: list[str]
    data: list[UsageGroup]
    totals: Annotated[ExactUse, Field(description="Of all groups of this page.")]
    next_page: str | None


@ROUTES.get("/v1/usage", role=Role.CALLER, errors={404})
def group_usage(call: Call[None, UsageGroupsQuery]) -> UsageGroups | Csv:
    """Show usage by tenant, key, user, operation, task, provider, credential, model, day or hour, as JSON or CSV.

    A caller sees its own, an operator its tenant's, an admin all tenants', or one's. What is too much for one answer
    goes on at `next_page`, of a table in the header `x-sluice-next-page`.
    """
    query = call.query
    span = query.span(datetime.now(UTC))
    groups, following = collect(
        call, span, query.dimensions, tenant=query.tenant, wanted=query.wanted, position=query.position
    )
    next_page = f"{following.day.isoformat()},{following.tenant}" if following else None
    wants_csv = query.format == "csv" if query.format else "text/csv" in call.accept
    if wants_csv:
        return Csv(_table(query.dimensions, groups), {"x-sluice-next-page": next_page} if next_page else {})
    start, end = span.shown()
    return {
        "object": "usage.groups",
        "start": start,
        "end": end,
        "group_by": query.dimensions,
        "data": [_shown(query.dimensions, *row) for row in groups.rows()] if query.dimensions else [],
        "totals": _exact(groups.total),
        "next_page": next_page,
    }


def collect(
    call: Call[None, Any],
    span: Span,
    dimensions: list[str],
    *,
    tenant: str | None = None,
    wanted: Mapping[str, str] = _ANY,
    position: Position | None = None,
) -> tuple[Groups, Position | None]:
    """The groups that the principal may see, and where the next page begins. Raises SluiceError."""
    tenants, key = usage_reach(call.principal, tenant, wanted.get("key"), call.app.directory)
    groups = Groups(dimensions, span, wanted if key is None else {**wanted, "key": key})
    days = _days(tenants, span, position, call.principal.tenant.id)
    read = call.app.usage_reader.by_day(days, caller=key, user=wanted.get("user"))
    return groups, groups.collect(read, lambda: call.deadline.remaining_s > _LEAST_S)


def _days(tenants: Iterable[str], span: Span, position: Position | None, own: str) -> Iterator[tuple[str, date]]:
    """The days of tenants from `position` on. A principal's own tenant comes first, the others follow by their ids."""
    for tenant in tenants:
        is_before = position is not None and (tenant != own, tenant) < (position.tenant != own, position.tenant)
        if is_before:
            continue
        for day in span.days:
            if position is None or tenant != position.tenant or day >= position.day:
                yield tenant, day


def _shown(dimensions: list[str], values: tuple[str, ...], use: UseSum) -> UsageGroup:
    names = cast("GroupNames", dict(zip(dimensions, values, strict=True)))
    return {**names, **_exact(use)}


def _exact(use: UseSum) -> ExactUse:
    return {**use_shown(use), "cost_nanousd": use.cost_nanousd}


def _table(dimensions: list[str], groups: Groups) -> str:
    """The groups as CSV (RFC 4180), under a line of names."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow([*dimensions, *ExactUse.__annotations__])
    for values, use in groups.rows():
        table.writerow([*map(_as_text, values), *map(_as_number, _exact(use).values())])
    return written.getvalue()


def _as_text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _as_number(value: object) -> str:
    # Never 2e-06, which some programs take for a text.
    return "" if value is None else f"{value:.9f}" if isinstance(value, float) else str(value)
