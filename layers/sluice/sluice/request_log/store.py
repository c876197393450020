"""Writes records of requests into the request log, one PutItem each, at best effort."""

import time
from threading import Lock

from sluice.request_log.record import RequestRecord
from sluice.request_log.schema import to_record_item
from sluice.storage.client import DynamoDB
from sluice.telemetry.best_effort import best_effort

_TOO_MANY_REQUESTS = 429
# A caller waits for the write, and a record is worth no more than this.
_LONGEST_WRITE_S = 1.0
_MOST_REMEMBERED = 1_000


class RequestLog:
    """The request log of one table. Threads may share it."""

    def __init__(self, table: str, *, client: DynamoDB) -> None:
        self._table = table
        self._client = client
        self._refusals = RepeatedRefusals()

    def write(self, record: RequestRecord) -> None:
        """Write a record. A write that fails is logged and counted, and not tried again.

        Of one caller's refusals by the same limit, before any deployment was considered, each process writes one a
        second: such refusals are made to cost nothing.
        """
        repeats = 0
        if record.status == _TOO_MANY_REQUESTS and not record.attempts:
            found = self._refusals.repeats(record, time.monotonic())
            if found is None:
                return
            repeats = found
        item = to_record_item(record, time.time())
        if repeats:
            item["repeats"] = {"N": str(repeats)}
        with best_effort("writing the request log"):
            self._client.call(
                "PutItem", {"TableName": self._table, "Item": item}, attempts=1, timeout_s=_LONGEST_WRITE_S
            )


class RepeatedRefusals:
    """Which callers were refused by which limit in the last second. Threads may share it."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._lock = Lock()

    def repeats(self, record: RequestRecord, now_s: float) -> int | None:
        """How many refusals like this one were not written since the last that was; None: this one is not either."""
        key = record.tenant, record.caller, record.error_code
        with self._lock:
            written_s, repeats = self._last.get(key, (-1.0, 0))
            if 0 <= now_s - written_s < 1 and key in self._last:
                self._last[key] = written_s, repeats + 1
                return None
            if len(self._last) >= _MOST_REMEMBERED:
                self._last.clear()
            self._last[key] = now_s, 0
            return repeats
