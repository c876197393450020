"""Usage read back: hourly sums, a day of a caller or user at a Query."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from itertools import islice

from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.usage.records import partition, prefix, sum_key
from sluice.usage.sums import DaySums, UsageSum, Use

# A Query waits for DynamoDB most of the time.
_THREADS = 8


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
        days = ((tenant, first + timedelta(days=number)) for number in range((last - first).days + 1))
        for each in self.by_day(days, caller=caller, user=user):
            yield from each.sums

    def by_day(
        self, days: Iterable[tuple[str, date]], *, caller: str | None = None, user: str | None = None
    ) -> Iterator[DaySums]:
        """The sums of some days of some tenants, day by day in their order, read as they are taken; see `sums`.

        Raises StorageUnavailableError.
        """
        begins_with = None if caller is None else prefix(caller, user)
        waiting: deque[tuple[str, date, Future[list[Item]]]] = deque()
        days = iter(days)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="usage") as pool:
            while True:
                for tenant, day in islice(days, _THREADS - len(waiting)):
                    waiting.append((tenant, day, pool.submit(self._items, tenant, day, begins_with)))
                if not waiting:
                    return
                tenant, day, reading = waiting.popleft()
                found = (_sum(tenant, day, item) for item in reading.result())
                yield DaySums(tenant, day, tuple(each for each in found if user is None or each.key.user == user))

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
    key = sum_key(item[USAGE.sort])
    return key.caller, key.user


def _sum(tenant: str, day: date, item: Item) -> UsageSum:
    # What AWS bills was not counted from the beginning on.
    use = Use(*(item.get(name, 0) for name in Use.__dataclass_fields__))
    return UsageSum(tenant, day, sum_key(item[USAGE.sort]), use)
