"""A tenant's usage of some weeks, hour by hour: a school, with lessons on weekdays."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from sluice.quota.limits import BUDGET, budget_limit, caller_limits
from sluice.quota.limits import LimitStatus as Status
from sluice.reports.local_day import hours_between
from sluice.reports.material import Counted
from sluice.usage.sums import SumKey, UsageSum, Use

MODELS = (("groq", "groq-1", "llama-3.1-8b-instant"), ("groq", "groq-2", "llama-3.3-70b"), ("hf", "hf-1", "org/large"))


def school_usage(
    now: datetime,
    zone: ZoneInfo,
    *,
    weeks: int = 5,
    callers: Iterable[str] = ("k1", "k2"),
    users: Iterable[str] = ("ada", ""),
    tenant: str = "school",
) -> list[UsageSum]:
    """What was used until `now`, with some noise that is always the same."""
    rng, found = Random(1), []
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(weeks=weeks)
    for hour in hours_between(start, now):
        local = hour.astimezone(zone)
        lessons = 1.0 if 8 <= local.hour < 16 and local.weekday() < 5 else 0.04
        for number, (provider, credential, model) in enumerate(MODELS):
            for caller in callers:
                for user in users:
                    requests = round(rng.uniform(10, 30) * lessons / (number + 1))
                    if not requests:
                        continue
                    key = SumKey(
                        caller=caller,
                        user=user,
                        hour=hour.hour,
                        operation="chat",
                        provider=provider,
                        model=model,
                        credential=credential,
                        task="quiz" if number else "",
                    )
                    use = Use(
                        requests=requests,
                        prompt_tokens=400 * requests,
                        completion_tokens=120 * requests,
                        cost_nanousd=requests * 90_000 * (1 + 4 * number),
                        cache_hits=requests // 5,
                        errors=requests // 25,
                        infra_nanousd=20_000 * requests,
                    )
                    found.append(UsageSum(tenant, hour.date(), key, use))
    return found


def budget_of(of: str, percent: int, *, usd: int = 10, name: str | None = None, **selects: str) -> Counted:
    """A budget of which so many percent are used."""
    capacity = usd * 10**9
    status = Status(BUDGET, capacity, capacity * percent // 100, 4 * 86_400_000)
    whose = selects.get("caller") or selects.get("tenant") or "somebody"
    return Counted(
        of="key" if of == "key" else "tenant",
        id=whose,
        name=name,
        limit=budget_limit(capacity),
        status=status,
        selects=selects,
    )


def requests_of(key: str, percent: int, *, name: str | None = None, **selects: str) -> Counted:
    """A key's requests of a day, of which so many percent are used."""
    _, day = caller_limits(100, 10_000)
    status = Status(day.name, 10_000, 100 * percent, 3_600_000)
    return Counted(of="key", id=key, name=name, limit=day, status=status, selects=selects)
