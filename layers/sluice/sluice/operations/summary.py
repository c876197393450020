"""What is going on, at a glance: budgets, the last day's use, the last hour's requests, and what runs out when.

One answer for a whole screen. What is read for it is bounded, whatever there is: 25 tenants, two days of their sums of
usage, and the latest requests of an hour.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import Field

from sluice.catalog.money import to_nanousd, to_usd
from sluice.gateway.allowances import Allowances
from sluice.loading.dataclass import dataclass
from sluice.operations.deployment_report import DeploymentHealth, DeploymentQuota
from sluice.operations.interventions import Budget
from sluice.operations.pace import runs_out_at_s
from sluice.quota.ledger import Ledger
from sluice.quota.limits import LimitStatus
from sluice.quota.status import NEVER_USED
from sluice.request_log.record import RequestRecord
from sluice.request_log.why import Cause, cause_of
from sluice.tenants.tenant import Tenant
from sluice.usage.sums import UsageSum, Use

if TYPE_CHECKING:
    from sluice.operations.deployments import Overview
    from sluice.request_log.reader import RequestLogReader
    from sluice.tenants.directory import Directory
    from sluice.usage.report import UsageReader

MOST_TENANTS = 25
_MOST_REQUESTS = 500
_MOST_KEYS = 5
_HOUR_S = 3_600
_DAY = timedelta(days=1)
_SLOW_MS = 5_000


class TenantSummary(TypedDict):
    """A tenant's month and its last day. Dollars are null where it has no budget."""

    tenant: str
    name: str
    budget_usd: Annotated[float | None, Field(description="Of this month, with what was added to it.")]
    used_usd: Annotated[float | None, Field(description="With what is reserved for requests under way.")]
    resets_at: Annotated[int | None, Field(description="Seconds since 1970; null if nothing is used.")]
    runs_out_at: Annotated[
        int | None, Field(description="When, at the last day's rate; null: not before the month ends.")
    ]
    requests: Annotated[int, Field(description="In the last 24 hours, as all that follows.")]
    cost_usd: float


class KeySummary(TypedDict):
    """What an API key used in the last 24 hours."""

    tenant: str
    key: str
    name: Annotated[str | None, Field(description="null of a login, which has none.")]
    requests: int
    cost_usd: float


class DayTotals(TypedDict):
    """What was used in the last 24 hours, and in the 24 before them."""

    requests: int
    cache_hits: int
    cost_usd: float
    infra_cost_usd: float
    cost_usd_before: float


class CauseCounts(TypedDict):
    """The requests of the last hour, each counted once: answered, or by whose fault it was not."""

    since: Annotated[int, Field(description="Seconds since 1970: an hour ago, or the first request that was counted.")]
    is_complete: Annotated[bool, Field(description="false: there were more than were counted, which are the latest.")]
    requests: int
    answered: int
    fell_back: Annotated[int, Field(description="Answered after a provider had failed.")]
    limit: Annotated[int, Field(description="Refused by a limit or a budget.")]
    guard: Annotated[int, Field(description="Refused or withheld by a guard rule or model.")]
    caller: Annotated[int, Field(description="Refused for what they were.")]
    provider: Annotated[int, Field(description="Not answered, as no provider did.")]
    sluice: Annotated[int, Field(description="Not answered, as Sluice failed.")]
    half_within_ms: Annotated[int | None, Field(description="In which time half of the answered were.")]
    most_within_ms: Annotated[int | None, Field(description="In which time 95 % of the answered were.")]
    own_ms: Annotated[int | None, Field(description="What Sluice itself took of that, in half of them.")]


class BudgetOutlook(Budget):
    """A tenant's month, with what of it is no recorded use, and when it runs out."""

    held_usd: Annotated[
        float,
        Field(
            description="Of what is used, what nothing is recorded of yet: reserved for requests under way, or lost."
        ),
    ]
    runs_out_at: Annotated[
        int | None,
        Field(description="When, at the last day's rate, in seconds since 1970; null: not before the month ends."),
    ]


class DeploymentSummary(DeploymentQuota):
    """How a deployment stands."""

    health: DeploymentHealth


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it; `deployments` is None for who may not see them, `notable` are requests that are worth a look."""

    tenants: list[TenantSummary]
    has_more_tenants: bool
    day: DayTotals
    keys: list[KeySummary]
    causes: CauseCounts
    deployments: list[DeploymentSummary] | None
    notable: list[RequestRecord]


class Summaries:
    """Puts summaries together. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(
        self,
        directory: "Directory",
        ledger: Ledger,
        allowances: Allowances,
        usage: "UsageReader",
        requests: "RequestLogReader",
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._allowances = allowances
        self._usage = usage
        self._requests = requests

    def of(self, tenants: Sequence[Tenant], *, has_more: bool, overview: "Overview | None", now: datetime) -> Summary:
        """What is going on at these tenants, and, with an `overview`, at the deployments."""
        names = [tenant.id for tenant in tenants]
        sums = list(self._sums(names, now))
        last = [each for each in sums if _began(each) > now - _DAY]
        records, causes = self._last_hour(names, now)
        return Summary(
            tenants=self._tenants(tenants, last, now),
            has_more_tenants=has_more,
            day=_day(last, [each for each in sums if _began(each) <= now - _DAY]),
            keys=self._keys(last),
            causes=causes,
            deployments=None if overview is None else _deployments(overview),
            notable=notable(records),
        )

    def outlook(self, budget: Budget, now: datetime) -> BudgetOutlook:
        """A tenant's month, beside what is recorded of it."""
        tenant, today = budget["tenant"], now.date()
        sums = list(self._usage.sums(tenant, min(today.replace(day=1), today - _DAY), today))
        month = sum((each.use for each in sums if each.day >= today.replace(day=1)), Use())
        last = [each for each in sums if _began(each) > now - _DAY]
        used, capacity = (
            to_nanousd(Decimal(str(budget["used_usd"]))),
            budget["budget_usd_per_month"] + budget["added_usd"],
        )
        resets_in_s = budget["resets_in_seconds"]
        return {
            **budget,
            "held_usd": _dollars(max(0, used - month.cost_nanousd)),
            "runs_out_at": runs_out_at_s(
                used,
                to_nanousd(Decimal(str(capacity))),
                _rate(last, now),
                now.timestamp(),
                now.timestamp() + (resets_in_s or 0),
            ),
        }

    def _sums(self, tenants: Iterable[str], now: datetime) -> Iterable[UsageSum]:
        days = [(tenant, (now - number * _DAY).date()) for tenant in tenants for number in (2, 1, 0)]
        for each in self._usage.by_day(days):
            yield from (found for found in each.sums if _began(found) > now - 2 * _DAY)

    def _tenants(self, tenants: Sequence[Tenant], last: Sequence[UsageSum], now: datetime) -> list[TenantSummary]:
        owners = {tenant.id: self._allowances.of_tenant(tenant) for tenant in tenants}
        scopes = {scope for owner in owners.values() for scope, limits in owner.scopes.items() if limits}
        seen, now_ms = self._ledger.look_at(scopes), self._ledger.now_ms()
        found = []
        for tenant in tenants:
            mine = [each for each in last if each.tenant == tenant.id]
            used = sum((each.use for each in mine), Use())
            limits = [(scope, limit) for scope, limits in owners[tenant.id].scopes.items() for limit in limits]
            status = None
            for scope, limit in limits:
                status = seen.get(scope, NEVER_USED).status(limit, now_ms)
            resets_at = None if status is None or not status.used else (now_ms + status.resets_in_ms) // 1000
            found.append(
                TenantSummary(
                    tenant=tenant.id,
                    name=tenant.name,
                    budget_usd=None if status is None else _dollars(status.capacity),
                    used_usd=None if status is None else _dollars(status.used),
                    resets_at=resets_at,
                    runs_out_at=_runs_out_at(status, mine, now),
                    requests=used.requests,
                    cost_usd=_dollars(used.cost_nanousd),
                )
            )
        return found

    def _keys(self, last: Sequence[UsageSum]) -> list[KeySummary]:
        """Those that spent most."""
        used: dict[tuple[str, str], Use] = {}
        for each in last:
            owner = each.tenant, each.key.caller
            used[owner] = used.get(owner, Use()) + each.use
        most = sorted(used, key=lambda owner: (-used[owner].cost_nanousd, -used[owner].requests, owner))[:_MOST_KEYS]
        found = []
        for tenant, caller in most:
            key = self._directory.key(caller) if caller else None
            found.append(
                KeySummary(
                    tenant=tenant,
                    key=caller,
                    name=key.name if key is not None and key.tenant_id == tenant else None,
                    requests=used[tenant, caller].requests,
                    cost_usd=_dollars(used[tenant, caller].cost_nanousd),
                )
            )
        return found

    def _last_hour(self, tenants: Sequence[str], now: datetime) -> tuple[Sequence[RequestRecord], CauseCounts]:
        from sluice.request_log.reader import Wanted
        from sluice.request_log.request_id import began_ms

        since_s = int(now.timestamp()) - _HOUR_S
        page = self._requests.page(tenants, Wanted(from_ms=since_s * 1000), after=None, limit=_MOST_REQUESTS)
        is_complete = page.after is None
        if not is_complete and page.records:
            since_s = began_ms(page.records[-1].request_id) // 1000
        return page.records, counted(page.records, since_s, is_complete=is_complete)


def counted(records: Sequence[RequestRecord], since_s: int, *, is_complete: bool) -> CauseCounts:
    """Requests by whose fault, each once; of refusals, also those that have no record of their own."""
    counts = dict.fromkeys(Cause, 0)
    for record in records:
        counts[cause_of(record)] += 1 + record.repeats
    answered = [each for each in records if cause_of(each) in {Cause.ANSWERED, Cause.FELL_BACK}]
    times = sorted(each.total_ms for each in answered)
    return {
        "since": since_s,
        "is_complete": is_complete,
        "requests": sum(counts.values()),
        "answered": counts[Cause.ANSWERED],
        "fell_back": counts[Cause.FELL_BACK],
        "limit": counts[Cause.LIMIT],
        "guard": counts[Cause.GUARD],
        "caller": counts[Cause.CALLER],
        "provider": counts[Cause.PROVIDER],
        "sluice": counts[Cause.SLUICE],
        "half_within_ms": _within(times, 0.5),
        "most_within_ms": _within(times, 0.95),
        "own_ms": _within(sorted(each.own_ms for each in answered), 0.5),
    }


def notable(records: Sequence[RequestRecord]) -> list[RequestRecord]:
    """One request of each kind that is worth a look: failed, refused, fell back, the slowest and the dearest."""
    wanted: tuple[Callable[[RequestRecord], bool], ...] = (
        lambda record: cause_of(record) in {Cause.PROVIDER, Cause.SLUICE},
        lambda record: cause_of(record) is Cause.LIMIT,
        lambda record: cause_of(record) is Cause.GUARD,
        lambda record: cause_of(record) is Cause.FELL_BACK,
    )
    found = [match for matches in wanted if (match := next(filter(matches, records), None)) is not None]
    slowest = max(records, key=lambda record: record.total_ms, default=None)
    if slowest is not None and slowest.total_ms >= _SLOW_MS:
        found.append(slowest)
    dearest = max(records, key=lambda record: record.cost_nanousd, default=None)
    if dearest is not None and dearest.cost_nanousd:
        found.append(dearest)
    return list({record.request_id: record for record in found}.values())


def _within(times: Sequence[int], part: float) -> int | None:
    return times[min(len(times) - 1, int(part * len(times)))] if times else None


def _began(each: UsageSum) -> datetime:
    return datetime(each.day.year, each.day.month, each.day.day, each.key.hour, tzinfo=UTC)


def _runs_out_at(status: LimitStatus | None, mine: Sequence[UsageSum], now: datetime) -> int | None:
    """When a budget is used up at the rate since the first use of the last day."""
    if status is None:
        return None
    now_s = now.timestamp()
    ends_at_s = now_s + status.resets_in_ms / 1000 if status.used else now_s
    return runs_out_at_s(status.used, status.capacity, _rate(mine, now), now_s, ends_at_s)


def _rate(last: Sequence[UsageSum], now: datetime) -> float:
    """Billionths of a dollar in a second, since the first use of the last day."""
    first = min((_began(each) for each in last), default=now)
    since_s = max(_HOUR_S, (now - first).total_seconds())
    return sum(each.use.cost_nanousd for each in last) / since_s


def _day(last: Sequence[UsageSum], before: Sequence[UsageSum]) -> DayTotals:
    used = sum((each.use for each in last), Use())
    return {
        "requests": used.requests,
        "cache_hits": used.cache_hits,
        "cost_usd": _dollars(used.cost_nanousd),
        "infra_cost_usd": _dollars(used.infra_nanousd),
        "cost_usd_before": _dollars(sum(each.use.cost_nanousd for each in before)),
    }


def _deployments(overview: "Overview") -> list[DeploymentSummary]:
    health: Mapping[str, DeploymentHealth]
    quotas, healths = overview.quota_and_health()
    health = {each["deployment"]: each for each in healths.get("data", [])}
    return [{**each, "health": health[each["deployment"]]} for each in quotas["data"]]


def _dollars(nanousd: int) -> float:
    return float(to_usd(nanousd))
