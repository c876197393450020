"""Watches the AWS requests of this process: what was asked, when, and what it cost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

from benchmarks.capacity import item_bytes, read_units, write_units
from sluice.chat import JsonObject
from sluice.storage.errors import ConditionFailedError
from sluice.storage.json_service import JsonService

# Long enough for what was sent and is not waited for.
_SETTLE_S = 0.03
# Those whose answers can say what they cost.
_METERED = ("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "UpdateItem")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `end_s` is on the monotonic clock of the system, as `begin_s`; units are DynamoDB's."""

    operation: str
    table: str
    begin_s: float
    end_s: float
    read_units: float
    write_units: float
    is_refused: bool
    """Whether its condition was false."""


class Meter:
    """Sees everything that the package's clients send."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._lock = threading.Lock()
        self._in_flight = 0
        self._call = JsonService.call
        mock.patch.object(JsonService, "call", self._metered()).start()

    def take(self) -> list[Sent]:
        """What was sent since the last time, once all of it is answered."""
        while True:
            time.sleep(_SETTLE_S)
            with self._lock:
                if not self._in_flight:
                    taken, self._sent = self._sent, []
                    return taken

    def _metered(self) -> Callable[..., JsonObject]:
        def metered(service: JsonService, operation: str, request: JsonObject, **more: Any) -> JsonObject:
            if operation in _METERED:
                request = {**request, "ReturnConsumedCapacity": "TOTAL"}
            begin_s = self._begun()
            answer: JsonObject = {}
            is_refused = False
            try:
                answer = self._call(service, operation, request, **more)
            except ConditionFailedError as error:
                is_refused = True
                answer = {"Item": error.item}
                raise
            finally:
                self._ended(operation, request, answer, begin_s, is_refused=is_refused)
            return answer

        return metered

    def _begun(self) -> float:
        with self._lock:
            self._in_flight += 1
        return time.monotonic()

    def _ended(
        self, operation: str, asked: JsonObject, answer: JsonObject, begin_s: float, *, is_refused: bool
    ) -> None:
        read, write = _units(operation, asked, answer)
        sent = Sent(
            operation=operation,
            table=asked.get("TableName") or next(iter(asked.get("RequestItems", [""]))),
            begin_s=begin_s,
            end_s=time.monotonic(),
            read_units=read,
            write_units=write,
            is_refused=is_refused,
        )
        with self._lock:
            self._sent.append(sent)
            self._in_flight -= 1


def _units(operation: str, asked: dict[str, Any], parsed: dict[str, Any]) -> tuple[float, float]:
    """Read and write units.

    MiniStack knows the item before and after a write, which is what AWS goes by, but says nothing of a refused one,
    and takes every read for a small one: these are computed from the item that came back.
    """
    item = item_bytes(parsed.get("Item") or {})
    if operation == "GetItem":
        return read_units(item, is_consistent=asked.get("ConsistentRead", False)), 0
    if operation == "BatchGetItem":
        # Every key costs a read, also one that is not there.
        sizes = [item_bytes(found) for items in parsed.get("Responses", {}).values() for found in items]
        wanted = sum(len(request["Keys"]) for request in asked["RequestItems"].values())
        sizes += [0] * (wanted - len(sizes))
        return sum(read_units(size, is_consistent=False) for size in sizes), 0
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        reported = parsed.get("ConsumedCapacity", {}).get("CapacityUnits")
        return 0, write_units(item) if reported is None else reported
    if operation == "GetSecretValue":
        return 0, 0
    raise ValueError(f"what {operation} costs is not known here")
