"""Where reports are in the bucket. Pure."""

from datetime import date
from typing import Literal

from sluice.reports.report import EVERYBODY

JSON, HTML = "application/json", "text/html; charset=utf-8"
"""Media types of reports."""


def report_key(tenant: str, day: date, kind: Literal["json", "html"]) -> str:
    """The key of a report. No tenant's id begins with what stands for all of them."""
    return f"reports/{'_all' if tenant == EVERYBODY else tenant}/{day.isoformat()}.{kind}"
