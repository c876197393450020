"""What was used: hourly sums read back, a day of a caller or user at a Query, and added up."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from datetime import date, timedelta

from sluice.chat import JsonObject
from sluice.money import to_usd
from sluice.settings import settings
from sluice.storage.client import Item, from_item, query, storage_errors
from sluice.usage.records import PARTITION, SORT, partition, prefix, unquoted

# A Query waits for DynamoDB most of the time.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Use:
    """What some requests used. `cost_nanousd` is in billionths of a dollar."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    cache_hits: int = 0
    errors: int = 0
    response_time_ms: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def to_json(self) -> JsonObject:
        """As the API shows it."""
        return {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost_usd": float(to_usd(self.cost_nanousd)),
            "cache_hits": self.cache_hits,
            "errors": self.errors,
            "average_response_time_ms": round(self.response_time_ms / self.requests) if self.requests else None,
        }


@dataclass(frozen=True, slots=True)
class UsageSum:
    """One hour's use of one model by one caller, for one user if `user` names one."""

    day: date
    caller: str
    user: str
    provider: str
    model: str
    use: Use


def usage_sums(
    tenant: str, first: date, last: date, *, caller: str | None = None, user: str | None = None
) -> Iterator[UsageSum]:
    """The sums of a tenant from `first` to `last`, in order of days; of one `caller`, of one `user`, or of all.

    A user of one caller is a Query a day. A user of whichever caller is looked for among all of the tenant's sums.
    Raises StorageUnavailableError.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    begins_with = None if caller is None else prefix(caller, user)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="usage") as pool:
        for day, items in zip(days, pool.map(lambda day: _items(tenant, day, begins_with), days), strict=True):
            for item in items:
                found = _sum(day, item)
                if user is None or found.user == user:
                    yield found


def report(sums: Iterable[UsageSum]) -> JsonObject:
    """Totals, by model and by day; days and models without use are left out. Pure."""
    found = list(sums)
    by_model = _grouped(found, lambda each: (each.provider, each.model))
    by_day = _grouped(found, lambda each: each.day)
    return {
        "totals": sum((each.use for each in found), Use()).to_json(),
        "by_model": [
            {"provider": provider, "model": model, **use.to_json()}
            for (provider, model), use in sorted(by_model.items(), key=lambda each: -each[1].requests)
        ],
        "by_day": [{"day": day.isoformat(), **use.to_json()} for day, use in sorted(by_day.items())],
    }


def _grouped[Key](sums: Iterable[UsageSum], key: Callable[[UsageSum], Key]) -> dict[Key, Use]:
    groups: dict[Key, Use] = {}
    for each in sums:
        groups[key(each)] = groups.get(key(each), Use()) + each.use
    return groups


def _items(tenant: str, day: date, begins_with: str | None) -> list[Item]:
    condition = "#partition = :partition"
    names = {"#partition": PARTITION}
    values = {":partition": {"S": partition(tenant, day)}}
    if begins_with is not None:
        condition += " AND begins_with(#sort, :prefix)"
        names["#sort"] = SORT
        values[":prefix"] = {"S": begins_with}
    with storage_errors("reading usage"):
        found = query(
            settings().usage_table,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
        return [from_item(item) for item in found]


def _sum(day: date, item: Item) -> UsageSum:
    caller, user, _, provider, model = item[SORT].split("#", 4)
    use = Use(*(item[name] for name in Use.__dataclass_fields__))
    return UsageSum(day, unquoted(caller), unquoted(user), provider, model, use)
