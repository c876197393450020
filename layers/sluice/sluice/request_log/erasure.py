"""Erasure of a user's name from records of requests: what else they say, that names nobody, stays for its week."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time
from functools import partial

from sluice.request_log.request_id import first_id_at, last_id_at
from sluice.request_log.schema import SHARDS, partition
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import TypedItem, to_item
from sluice.storage.tables import REQUEST_LOG
from sluice.storage.update import Update

_DAY_MS = 86_400_000


class RequestLogErasure:
    """Erases users of one table. Threads may share it. All methods raise StorageUnavailableError.

    `forget` is told the idempotency key and the id of each request that had one: its answer is not to stay either.
    """

    def __init__(self, table: str, client: DynamoDB, forget: Callable[[str, str], object]) -> None:
        self._table = table
        self._client = client
        self._forget = forget

    def erase(self, tenant: str, user: str, day: date, has_time: Callable[[], bool]) -> tuple[int, bool]:
        """Take a user's name from a tenant's records of a day, UTC, for as long as it `has_time`.

        Returns how many there were, and whether that was all. Doing it again takes up where this ended: a record
        without the name is not found.
        """
        first_ms = int(datetime.combine(day, time(), UTC).timestamp()) * 1000
        erase = partial(self._erase_shard, user=user, first_ms=first_ms, has_time=has_time)
        with ThreadPoolExecutor(SHARDS, thread_name_prefix="erasure") as pool:
            done = list(pool.map(erase, (partition(tenant, shard) for shard in range(SHARDS))))
        return sum(erased for erased, _ in done), all(is_all for _, is_all in done)

    def _erase_shard(
        self, partition_key: str, *, user: str, first_ms: int, has_time: Callable[[], bool]
    ) -> tuple[int, bool]:
        names = {"#partition": REQUEST_LOG.partition, "#sort": REQUEST_LOG.sort, "#user": "user"}
        names["#key"] = "idempotency_key"
        values = {":partition": partition_key, ":user": user}
        values |= {":first": first_id_at(first_ms), ":last": last_id_at(first_ms + _DAY_MS - 1)}
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :first AND :last",
            "FilterExpression": "#user = :user",
            "ProjectionExpression": "#partition, #sort, #key",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
        }
        erased, start = 0, None
        while has_time():
            answer = self._client.call("Query", request | ({"ExclusiveStartKey": start} if start else {}))
            for item in answer["Items"]:
                if not has_time():
                    return erased, False
                if (kept_under := item.pop("idempotency_key", None)) is not None:
                    # First: without the name, the record would not be found again.
                    self._forget(kept_under["S"], item[REQUEST_LOG.sort]["S"])
                erased += self._erase_one(item, user)
            start = answer.get("LastEvaluatedKey")
            if start is None:
                return erased, True
        return erased, False

    def _erase_one(self, key: TypedItem, user: str) -> int:
        update = Update()
        # One whose week is over meanwhile is not to come back without a week.
        update.require("user", "=", user)
        update.remove("user")
        request = {"TableName": self._table, "Key": key, **update.arguments()}
        try:
            self._client.call("UpdateItem", request)
        except ConditionFailedError:
            return 0
        return 1
