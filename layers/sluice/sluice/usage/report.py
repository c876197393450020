"""Usage read back: hourly sums, a day of a caller or user at a Query."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from datetime import date, timedelta

from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.usage.records import partition, prefix, unquoted

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
    infra_nanousd: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class UsageSum:
    """One hour's use of one model by one caller, for one user if `user` names one."""

    day: date
    caller: str
    user: str
    provider: str
    model: str
    use: Use


class UsageReader:
    """Reads the sums of one table. Threads may share it."""

    def __init__(self, table: str, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._client = client or dynamodb()

    def sums(
        self, tenant: str, first: date, last: date, *, caller: str | None = None, user: str | None = None
    ) -> Iterator[UsageSum]:
        """The sums of a tenant from `first` to `last`, in order of days; of one `caller`, of one `user`, or of all.

        A user of one caller is a Query a day. A user of whichever caller is looked for among all of the tenant's sums.
        Raises StorageUnavailableError.
        """
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        begins_with = None if caller is None else prefix(caller, user)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="usage") as pool:
            for day, items in zip(days, pool.map(lambda day: self._items(tenant, day, begins_with), days), strict=True):
                for item in items:
                    found = _sum(day, item)
                    if user is None or found.user == user:
                        yield found

    def _items(self, tenant: str, day: date, begins_with: str | None) -> list[Item]:
        condition = "#partition = :partition"
        names = {"#partition": USAGE.partition}
        values = {":partition": partition(tenant, day)}
        if begins_with is not None:
            condition += " AND begins_with(#sort, :prefix)"
            names |= {"#sort": USAGE.sort}
            values[":prefix"] = begins_with
        request = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
        }
        return [from_item(item) for item in self._client.query(request)]


def caller_and_user(item: Item) -> tuple[str, str]:
    """Whose an hour's sum is, and the user that it was for, "" if nobody said."""
    caller, user, _ = item["hour_route"].split("#", 2)
    return unquoted(caller), unquoted(user)


def _sum(day: date, item: Item) -> UsageSum:
    *_, provider, model = item["hour_route"].split("#", 4)
    caller, user = caller_and_user(item)
    # What AWS bills was not counted from the beginning on.
    use = Use(*(item.get(name, 0) for name in Use.__dataclass_fields__))
    return UsageSum(day, caller, user, provider, model, use)
