"""Erasure of a user's name from the daily reports that have it: its row is added to that of those who named nobody."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import cast

from sluice.reports.claims import Claims, day_of
from sluice.reports.page import page
from sluice.reports.place import HTML, JSON, report_key
from sluice.reports.report import Report, Row
from sluice.storage.objects import ObjectMissingError, ObjectStore

_NOBODY = ""


class ReportErasure:
    """Erases from what reports there are. Raises StorageUnavailableError."""

    def __init__(self, claims: Claims, objects: ObjectStore) -> None:
        self._claims = claims
        self._objects = objects

    def erase(self, tenant: str, user: str, days: Iterable[date]) -> int:
        """Erase a user from the reports of these days, which follow one another. Returns how many named it."""
        wanted = sorted(days)
        found = self._claims.reports(
            tenant, since=wanted[0], before=wanted[-1] + timedelta(days=1), limit=len(wanted) + 1
        )
        return sum(self._erase(tenant, user, date.fromisoformat(day_of(item))) for item in found)

    def _erase(self, tenant: str, user: str, day: date) -> bool:
        try:
            text = b"".join(self._objects.pieces(report_key(tenant, day, "json")))
        except ObjectMissingError:
            return False
        report = without_user(cast("Report", json.loads(text)), user)
        if report is None:
            return False
        # The page first: whoever dies in between leaves a JSON report that is found again.
        html = page(report).encode("utf-8", "replace")
        self._objects.put(report_key(tenant, day, "html"), html, HTML)
        written = json.dumps(report, ensure_ascii=False, separators=(",", ":"))
        self._objects.put(report_key(tenant, day, "json"), written.encode("utf-8", "replace"), JSON)
        return True


def without_user(report: Report, user: str) -> Report | None:
    """The report with a user's requests counted among those that name nobody; None if it does not name the user."""
    users = report["groups"]["users"]
    own = [row for row in users if row["id"] == user]
    limits = [each for each in report["limits"] if (each["of"], each["id"]) != ("user", user)]
    if not own and len(limits) == len(report["limits"]):
        return None
    nobody = [*own, *(row for row in users if row["id"] == _NOBODY)]
    others = [row for row in users if row["id"] not in {user, _NOBODY}]
    merged = [*others, *([_sum(nobody)] if nobody else [])]
    merged.sort(key=lambda row: (-row["cost_usd"], -row["requests"], row["id"]))
    return {**report, "groups": {**report["groups"], "users": merged}, "limits": limits}


def _sum(rows: list[Row]) -> Row:
    return {
        "id": _NOBODY,
        "name": None,
        "requests": sum(row["requests"] for row in rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cost_usd": sum(row["cost_usd"] for row in rows),
        "infra_cost_usd": sum(row["infra_cost_usd"] for row in rows),
        "cache_hits": sum(row["cache_hits"] for row in rows),
        "errors": sum(row["errors"] for row in rows),
    }
