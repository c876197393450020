"""Daily reports, for operators: GET /v1/reports."""

import json
from datetime import UTC, date, datetime
from typing import Annotated, Literal, TypedDict, cast

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Html, PathParameter, Routes
from sluice.catalog.money import to_usd
from sluice.errors import NotFoundError
from sluice.reports.claims import day_of
from sluice.reports.place import report_key
from sluice.reports.report import EVERYBODY, Report
from sluice.tenants.directory import no_tenant
from sluice.tenants.tenant import TENANT_ID_PATTERN, Role

ROUTES = Routes("Usage")

_DAY = {"day": PathParameter("A day, in the tenant's time zone.", "2026-11-25")}

type _Whose = Annotated[str, Field(pattern=rf"^(\*|{TENANT_ID_PATTERN})$", examples=["school"])]


class ReportQuery(BaseModel):
    """The query of a report. Admins name a `tenant`; without it, as with `*`, it is the whole stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tenant: _Whose | None = None
    format: Annotated[
        Literal["json", "html"] | None, Field(description="Goes before the header `accept`; else it is JSON.")
    ] = None


class ReportsQuery(BaseModel):
    """The query of GET /v1/reports: at most `limit`, those of days before `before`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tenant: _Whose | None = None
    before: date | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ListedReport(TypedDict):
    """A report that there is."""

    object: Literal["report.listed"]
    tenant: str
    day: str
    time_zone: str
    requests: int
    cost_usd: float
    made_at: str


class Reports(TypedDict):
    """Reports, the last day first. If there may be more, `before` asks for those before it."""

    object: Literal["list"]
    data: list[ListedReport]
    before: str | None


@ROUTES.get("/v1/reports", role=Role.OPERATOR, errors={404})
def list_reports(call: Call[None, ReportsQuery]) -> Reports:
    """List the daily reports of a tenant, or of the whole stack. A day without requests has none."""
    tenant = _whose(call, call.query.tenant)
    found = call.app.report_claims.reports(tenant, before=call.query.before, limit=call.query.limit)
    return {
        "object": "list",
        "data": [
            {
                "object": "report.listed",
                "tenant": tenant,
                "day": day_of(item),
                "time_zone": item["time_zone"],
                "requests": item["requests"],
                "cost_usd": float(to_usd(item["cost_nanousd"])),
                "made_at": datetime.fromtimestamp(item["made_at"], UTC).isoformat().replace("+00:00", "Z"),
            }
            for item in found
            if item.get("requests")
        ],
        "before": day_of(found[-1]) if len(found) == call.query.limit else None,
    }


@ROUTES.get("/v1/reports/{day}", role=Role.OPERATOR, parameters=_DAY, errors={404})
def show_report(call: Call[None, ReportQuery]) -> Report | Html:
    """Show a day's report: what was used and by whom, how limits stand, and what is expected.

    As JSON, or as a page that needs nothing else, to be kept, printed or sent.
    """
    # With boto3, which who asks for usage need not load.
    from sluice.storage.objects import ObjectMissingError

    day = call.path["day"]
    tenant = _whose(call, call.query.tenant)
    wants_page = call.query.format == "html" if call.query.format else "text/html" in call.accept
    try:
        key = report_key(tenant, date.fromisoformat(day), "html" if wants_page else "json")
        content = b"".join(call.app.objects.pieces(key)).decode()
    except (ValueError, ObjectMissingError):
        raise NotFoundError(f"There is no report of {day!r}.", param="day") from None
    return Html(content) if wants_page else cast("Report", json.loads(content))


def _whose(call: Call[None, ReportsQuery] | Call[None, ReportQuery], named: str | None) -> str:
    """Whose reports are shown. NotFoundError for a tenant out of reach."""
    own = call.principal.tenant.id
    if call.principal.role is Role.ADMIN:
        return named or EVERYBODY
    if named not in {None, own}:
        raise no_tenant(named)
    return own
