"""What is done every hour: alerts of limits that run out, and reports of the days that have ended.

Everything may be done twice, by two at once, an hour late or half: see claims.py.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

from aws_lambda_powertools import Logger

from sluice.errors import SluiceError
from sluice.loading.dataclass import dataclass
from sluice.providers.registry import Registry
from sluice.reports.alerts import KIND, SOURCE, alert, window_of
from sluice.reports.claims import DONE, Claims, Thing, day_of
from sluice.reports.daily import daily_report
from sluice.reports.limits import Standings
from sluice.reports.local_day import LocalDay, last_ended
from sluice.reports.material import HISTORY_DAYS, Counted, Material, hour_of
from sluice.reports.page import page
from sluice.reports.place import HTML, JSON, report_key
from sluice.reports.report import EVERYBODY
from sluice.storage.event_bus import EventBus
from sluice.storage.objects import ObjectStore
from sluice.telemetry.metrics import emit_metric
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Tenant
from sluice.tenants.time_zone import time_zone
from sluice.usage.report import UsageReader
from sluice.usage.sums import SumKey, UsageSum, Use

logger = Logger(child=True)

_DAYS_BACK = 3
"""How many days a report may be late: then nobody makes it any more."""
_REPORT_S, _ALERT_S = 900, 300
_MOST_USERS = 100


class ReportsFailedError(Exception):
    """Some of it failed, which was logged; all else is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStores:
    """What is read and written."""

    directory: Directory
    standings: Standings
    usage: UsageReader
    claims: Claims
    objects: ObjectStore
    bus: EventBus
    registry: Callable[[], Registry]


class Reporter:
    """Alerts and reports. `stack` names it in events."""

    def __init__(self, stores: ReportStores, stack: str, clock: Callable[[], float] = time.time) -> None:
        self._stores = stores
        self._stack = stack
        self._clock = clock
        self._failures = 0

    def run(self, has_time: Callable[[], bool]) -> None:
        """Do what is due while there is time; the rest is due in the next hour.

        Raises ReportsFailedError if some of it failed, which keeps nothing else from being done.
        """
        self._failures = 0
        self._survive("deployments", self._alert_of_deployments)
        tenants = list(self._stores.directory.all_tenants())
        names = {tenant.id: tenant.name for tenant in tenants}
        # Alerts of all come first: reports take longer, and may be late.
        due: list[tuple[str, Callable[[], None]]] = [
            *((tenant.id, partial(self._alert_of_tenant, tenant)) for tenant in tenants),
            *((tenant.id, partial(self._report_of_tenant, tenant)) for tenant in tenants),
            (EVERYBODY, partial(self._of_everybody, names)),
        ]
        for what, work in due:
            if not has_time():
                logger.warning("reports go on in the next hour", extra={"at": what})
                emit_metric("ReportsUnfinished")
                break
            self._survive(what, work)
        if self._failures:
            raise ReportsFailedError(f"{self._failures} of the reports and alerts failed")

    def _survive(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  whatever is wrong with one tenant, the others get theirs
            self._failures += 1
            # What others raise may quote what it failed at.
            reason = error.message if isinstance(error, SluiceError) else type(error).__name__
            logger.warning("a report failed", extra={"report": what, "reason": reason})
            emit_metric("ReportFailed")

    def _alert_of_tenant(self, tenant: Tenant) -> None:
        self._alert(self._stores.standings.of_tenant(tenant, self._keys(tenant)))

    def _report_of_tenant(self, tenant: Tenant) -> None:
        due = list(self._due(tenant.id, last_ended(self._now(), time_zone(tenant.time_zone))))
        if due:
            keys = self._keys(tenant)
            for day in due:
                self._survive(tenant.id, partial(self._make, tenant.id, day, partial(self._of_day, tenant, keys, day)))

    def _keys(self, tenant: Tenant) -> list[ApiKey]:
        return [key for key in self._stores.directory.all_keys(tenant.id) if key.revoked_at is None]

    def _of_day(self, tenant: Tenant, keys: Sequence[ApiKey], day: LocalDay) -> Material:
        # Limits first: what is recorded in the meantime then does not look like what nobody recorded.
        counted = self._stores.standings.of_tenant(tenant, keys)
        sums = list(self._history([tenant.id]))
        users = _top_users(sums, day)
        return Material(
            tenant=tenant.id,
            name=tenant.name,
            day=day,
            now=self._now(),
            sums=sums,
            counted=[*counted, *_of_users(self._stores.standings.of_tenant(tenant, keys, users))],
            names={key.id: key.name for key in keys},
        )

    def _of_everybody(self, names: Mapping[str, str]) -> None:
        for day in self._due(EVERYBODY, last_ended(self._now(), time_zone(None))):
            self._make(EVERYBODY, day, partial(self._of_day_of_all, names, day))

    def _of_day_of_all(self, names: Mapping[str, str], day: LocalDay) -> Material:
        stores = self._stores
        counted = stores.standings.of_deployments(stores.registry().deployments)
        for tenant in self._stores.directory.all_tenants():
            counted += stores.standings.of_tenant(tenant, ())
        return Material(
            tenant=EVERYBODY,
            name="All tenants",
            day=day,
            now=self._now(),
            # Of thousands of keys and users it would not fit, and it is each tenant's report that tells them.
            sums=_without_callers(self._history(list(names))),
            counted=counted,
            names=names,
        )

    def _due(self, tenant: str, last: LocalDay) -> Iterator[LocalDay]:
        """The days, the first before the others, whose report is not made."""
        days = [last]
        while len(days) < _DAYS_BACK:
            days.append(days[-1].before)
        known = self._stores.claims.reports(tenant, since=days[-1].day, limit=_DAYS_BACK)
        made = {day_of(item) for item in known if "level" in item}
        return (day for day in reversed(days) if day.day.isoformat() not in made)

    def _make(self, tenant: str, day: LocalDay, gather: Callable[[], Material]) -> None:
        claims, thing = self._stores.claims, Thing.report(tenant, day.day)
        if not claims.claim(thing, DONE, self._clock(), _REPORT_S):
            return
        report = daily_report(gather())
        totals = report["totals"]
        if totals["requests"] or totals["cost_usd"]:
            text = json.dumps(report, ensure_ascii=False, separators=(",", ":"))
            self._stores.objects.put(report_key(tenant, day.day, "json"), text.encode("utf-8", "replace"), JSON)
            html = page(report).encode("utf-8", "replace")
            self._stores.objects.put(report_key(tenant, day.day, "html"), html, HTML)
        claims.finish(
            thing,
            DONE,
            requests=totals["requests"],
            cost_nanousd=round(totals["cost_usd"] * 1e9),
            time_zone=report["time_zone"],
            made_at=int(self._clock()),
        )

    def _alert_of_deployments(self) -> None:
        self._alert(self._stores.standings.of_deployments(self._stores.registry().deployments))

    def _alert(self, counted: Iterable[Counted]) -> None:
        now = self._now()
        for each in counted:
            found = alert(each, now, self._stack)
            if found is None:
                continue
            thing = Thing.alert(f"{each.of}#{each.id}", found["limit"], window_of(each, now) or "")
            self._survive(each.id, partial(self._send, thing, found["percentage"], dict(found)))

    def _send(self, thing: Thing, level: int, event: dict[str, object]) -> None:
        if self._stores.claims.claim(thing, level, self._clock(), _ALERT_S):
            self._stores.bus.send(SOURCE, KIND, event)
            self._stores.claims.finish(thing, level)

    def _history(self, tenants: Sequence[str]) -> Iterator[UsageSum]:
        today = self._now().date()
        days = [today - timedelta(days=number) for number in range(HISTORY_DAYS, -1, -1)]
        wanted = ((tenant, day) for tenant in tenants for day in days)
        for found in self._stores.usage.by_day(wanted):
            yield from found.sums

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _of_users(counted: Iterable[Counted]) -> list[Counted]:
    return [each for each in counted if each.of == "user"]


def _top_users(sums: Iterable[UsageSum], day: LocalDay) -> list[tuple[str, str]]:
    """The users that used most on a day, each with the key that it is named with."""
    found: dict[tuple[str, str], Use] = {}
    for each in sums:
        if each.key.user and day.start <= hour_of(each) < day.end:
            pair = each.key.caller, each.key.user
            found[pair] = found.get(pair, Use()) + each.use
    ordered = sorted(found, key=lambda pair: (-found[pair].cost_nanousd, -found[pair].requests, pair))
    return ordered[:_MOST_USERS]


def _without_callers(sums: Iterable[UsageSum]) -> list[UsageSum]:
    found: dict[tuple[str, date, SumKey], Use] = {}
    for each in sums:
        named = each.tenant, each.day, replace(each.key, caller="", user="")
        found[named] = found.get(named, Use()) + each.use
    return [UsageSum(*named, use) for named, use in found.items()]
