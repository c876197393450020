"""Erasure of a user's name from usage: its sums become part of what names no user, so that totals stay as they are."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from sluice.errors import ConflictError
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.storage.transaction import change, write_together
from sluice.storage.update import Update
from sluice.usage.records import partition, prefix
from sluice.usage.report import caller_and_user
from sluice.usage.sums import Use

# A Query waits for DynamoDB most of the time.
_THREADS = 8
# How often a sum is tried that requests are being added to.
_ATTEMPTS = 5
_SUMS = tuple(Use.__dataclass_fields__)


class UsageErasure:
    """Erases users of one table. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def erase(self, tenant: str, user: str, days: Mapping[date, Iterable[str]]) -> int:
        """Merge a user's sums of some days, and of the callers named for each, into those that name no user.

        Each is merged in one transaction: however this ends, nothing is counted twice or lost. Returns how many there
        were. Raises ConflictError for a sum that requests were added to all the time.
        """
        pairs = [(day, caller) for day, callers in days.items() for caller in callers]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="erasure") as pool:
            found = list(pool.map(lambda pair: self._items(tenant, pair[0], prefix(pair[1], user)), pairs))
        erased = 0
        for (_, caller), items in zip(pairs, found, strict=True):
            for item in items:
                self._merge(item, prefix(caller, user), prefix(caller, ""))
                erased += 1
        return erased

    def callers(self, tenant: str, user: str, days: Iterable[date], begin_with: str) -> dict[date, set[str]]:
        """The callers that used anything for a user, by day: those whose ids begin with `begin_with`."""
        wanted = list(days)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="erasure") as pool:
            found = list(pool.map(lambda day: self._items(tenant, day, begin_with), wanted))
        sums = {day: map(caller_and_user, items) for day, items in zip(wanted, found, strict=True)}
        return {day: {caller for caller, name in named if name == user} for day, named in sums.items()}

    def _items(self, tenant: str, day: date, begins_with: str) -> list[Item]:
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition AND begins_with(#sort, :prefix)",
            "ExpressionAttributeNames": {"#partition": USAGE.partition, "#sort": USAGE.sort},
            "ExpressionAttributeValues": to_item({":partition": partition(tenant, day), ":prefix": begins_with}),
            "ConsistentRead": True,
        }
        return [from_item(item) for item in self._client.query(request)]

    def _merge(self, item: Item, named: str, nameless: str) -> None:
        day, route = item[USAGE.partition], item[USAGE.sort]
        key = USAGE.key(day, route)
        for _ in range(_ATTEMPTS):
            conditions = {f"#{name}": name for name in _SUMS if name in item}
            deletion = {
                "Delete": {
                    "TableName": self._table,
                    "Key": key,
                    "ConditionExpression": " AND ".join(f"{each} = :{name}" for each, name in conditions.items()),
                    "ExpressionAttributeNames": conditions,
                    "ExpressionAttributeValues": to_item({f":{name}": item[name] for name in conditions.values()}),
                }
            }
            addition = Update()
            for name in _SUMS:
                addition.add(name, item.get(name, 0))
            addition.set("expires_at", item["expires_at"])
            target = USAGE.key(day, nameless + route.removeprefix(named))
            if write_together(self._client, [deletion, change(self._table, target, addition)]):
                return
            answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True})
            if "Item" not in answer:
                # Another erasure of the same user was faster.
                return
            item = from_item(answer["Item"])
        raise ConflictError(
            "Requests of this user are being counted all the time; delete it again when they have ended."
        )
