"""Watches the AWS requests of this process through botocore's events: what was asked, when, and what it cost."""

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.capacity import item_bytes, read_units, write_units
from sluice.storage.client import dynamodb

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.model import OperationModel

# Long enough for what was sent and is not waited for.
_SETTLE_S = 0.03


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
    """Sees everything that clients send which are made after it."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._lock = threading.Lock()
        self._in_flight = 0
        # A client calls its hooks in the thread that asked it.
        self._current = threading.local()
        boto3.setup_default_session()
        dynamodb.cache_clear()
        session = boto3.DEFAULT_SESSION
        if session is None:
            raise RuntimeError("boto3 has no default session")
        session.events.register("provide-client-params.dynamodb", self._ask_for_units)
        session.events.register("before-send", self._begin)
        session.events.register("after-call", self._end)

    def take(self) -> list[Sent]:
        """What was sent since the last time, once all of it is answered."""
        while True:
            time.sleep(_SETTLE_S)
            with self._lock:
                if not self._in_flight:
                    taken, self._sent = self._sent, []
                    return taken

    def _ask_for_units(self, params: dict[str, Any], model: "OperationModel", **_: object) -> None:
        if model.input_shape is not None and "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "TOTAL"

    def _begin(self, request: "AWSPreparedRequest", **_: object) -> None:
        if not isinstance(request.body, bytes):
            raise TypeError(f"the body of an AWS request is {type(request.body).__name__}, and was to be JSON")
        self._current.begin_s = time.monotonic()
        self._current.asked = json.loads(request.body)
        with self._lock:
            self._in_flight += 1

    def _end(self, parsed: dict[str, Any], model: "OperationModel", **_: object) -> None:
        asked = self._current.asked
        is_refused = parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
        read, write = _units(model.name, asked, parsed)
        sent = Sent(
            operation=model.name,
            table=asked.get("TableName") or next(iter(asked.get("RequestItems", [""]))),
            begin_s=self._current.begin_s,
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
