"""Reads the request log back: one record by its id, and pages of a tenant's, without a Scan."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sluice.loading.dataclass import dataclass
from sluice.request_log.page import RecordPage, ShardPage, merged
from sluice.request_log.record import RequestRecord
from sluice.request_log.request_id import first_id_at, id_before, is_request_id, last_id_at
from sluice.request_log.schema import SHARDS, from_record_item, partition, record_key
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import to_item
from sluice.storage.tables import REQUEST_LOG

# A Query waits for DynamoDB most of the time.
_THREADS = 16
# How many records a page may read of all shards to find those that are asked for; then who asks goes on with the next.
_MOST_READ = 8_000
_LEAST_A_QUERY = 25
_MOST_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are asked for. Times are in milliseconds since 1970, both included; None asks for any."""

    from_ms: int = 0
    to_ms: int | None = None
    caller: str | None = None
    user: str | None = None
    model: str | None = None
    outcome: str | None = None


class RequestLogReader:
    """Reads the request log of one table. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, *, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def read(self, tenants: Iterable[str], request_id: str) -> RequestRecord | None:
        """The record of a request of one of `tenants`; None if there is none, or it is older than a week."""
        if not is_request_id(request_id):
            return None
        keys = [record_key(tenant, request_id) for tenant in tenants]
        found = self._client.read_all(self._table, keys, consistently=True)
        now_s = time.time()
        return next((from_record_item(item) for item in found if int(item["expires_at"]["N"]) > now_s), None)

    def page(self, tenants: Sequence[str], wanted: Wanted, *, after: str | None, limit: int) -> RecordPage:
        """The newest records of `tenants` that are `wanted`, at most `limit`, of requests before `after`.

        It may hold fewer and still have a next one: what is looked through for one page is bounded.
        """
        partitions = [partition(tenant, shard) for tenant in tenants for shard in range(SHARDS)]
        at_once = min(_MOST_A_QUERY, max(_LEAST_A_QUERY, 2 * limit // len(partitions)))
        found: tuple[RequestRecord, ...] = ()
        left = _MOST_READ
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="requests") as pool:
            while True:
                query = partial(self._shard, wanted=wanted, after=after, limit=at_once)
                page = merged(list(pool.map(query, partitions)), limit - len(found))
                found, after = (*found, *page.records), page.after
                left -= at_once * len(partitions)
                if after is None or len(found) == limit or left <= 0:
                    return RecordPage(found, after)
                at_once = min(_MOST_A_QUERY, 2 * at_once)

    def _shard(self, partition_key: str, *, wanted: Wanted, after: str | None, limit: int) -> ShardPage:
        first = first_id_at(wanted.from_ms)
        last = last_id_at(wanted.to_ms) if wanted.to_ms is not None else last_id_at(2**48)
        if after is not None:
            last = min(last, id_before(after))
        if last < first:
            return ShardPage((), None)
        conditions = {"caller": wanted.caller, "user": wanted.user, "model": wanted.model, "outcome": wanted.outcome}
        asked = {name: value for name, value in conditions.items() if value is not None}
        values = {":partition": partition_key, ":first": first, ":last": last, ":now": int(time.time())}
        names = {"#partition": REQUEST_LOG.partition, "#sort": REQUEST_LOG.sort, "#ttl": REQUEST_LOG.ttl}
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :first AND :last",
            # DynamoDB deletes what has expired when it finds the time.
            "FilterExpression": " AND ".join(["#ttl > :now", *(f"#{name} = :{name}" for name in asked)]),
            "ExpressionAttributeNames": names | {f"#{name}": name for name in asked},
            "ExpressionAttributeValues": to_item(values | {f":{name}": value for name, value in asked.items()}),
            "ScanIndexForward": False,
            "Limit": limit,
        }
        answer = self._client.call("Query", request)
        last_read = answer.get("LastEvaluatedKey")
        read_to = None if last_read is None else last_read[REQUEST_LOG.sort]["S"]
        return ShardPage([from_record_item(item) for item in answer["Items"]], read_to)
