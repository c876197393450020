"""Carries out the ledger's steps on the Quota table."""

import random
import time
from collections.abc import Mapping
from typing import Any, Protocol

from sluice.errors import StorageUnavailableError
from sluice.quota.clock import OffsetBounds
from sluice.quota.item import QuotaItem
from sluice.quota.steps import Flow, Pause, Read, Write, Written
from sluice.storage.errors import ConditionFailedError, ServiceError

_KEY = "scope"
# DynamoDB did nothing of what it answers so.
_NOT_DONE = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
_ATTEMPTS = 3
# BatchGetItem takes so many keys.
_BATCH_SIZE = 100
_LONGEST_PAUSE_S = 0.1

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_random = random.SystemRandom()


class ServerClock(Protocol):
    """What is known of DynamoDB's clock."""

    def bounds_ms(self) -> OffsetBounds | None:
        """How far this machine's clock is behind it, None if nothing is known."""


class Client(Protocol):
    """DynamoDB, as far as the ledger uses it."""

    @property
    def clock(self) -> ServerClock:
        """DynamoDB's clock, by its answers."""

    def call(self, operation: str, request: dict[str, Any], *, attempts: int = 3) -> dict[str, Any]:
        """What DynamoDB answers. Raises ConditionFailedError, StorageUnavailableError."""


class QuotaTable:
    """The Quota table."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    def run[T](self, flow: Flow[T]) -> T:
        """Carry out `flow`. Raises StorageUnavailableError, and what it raises."""
        answer: object = None
        try:
            while True:
                step = flow.send(answer)
                match step:
                    case Read():
                        answer = self._read(step)
                    case Write():
                        answer = self._write(step)
                    case Pause():
                        time.sleep(_random.uniform(0, step.longest_s))
                        answer = None
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()

    def _read(self, step: Read) -> list[QuotaItem]:
        if len(step.keys) == 1:
            request = {"TableName": self._name, "Key": _key(step.keys[0]), "ConsistentRead": step.is_consistent}
            answer = self._client.call("GetItem", request)
            return [QuotaItem(answer.get("Item"))]
        found: dict[str, Mapping[str, Any]] = {}
        waiting = [_key(key) for key in dict.fromkeys(step.keys)]
        attempt = 0
        while waiting:
            asked = {"Keys": waiting[:_BATCH_SIZE], "ConsistentRead": step.is_consistent}
            answer = self._client.call("BatchGetItem", {"RequestItems": {self._name: asked}})
            found.update({item[_KEY]["S"]: item for item in answer["Responses"].get(self._name, [])})
            left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            waiting = waiting[_BATCH_SIZE:] + left
            if left:
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise StorageUnavailableError("reading the quota failed: DynamoDB leaves out some of its items")
                time.sleep(_random.uniform(0, _LONGEST_PAUSE_S * 2**attempt))
        return [QuotaItem(found.get(key)) for key in step.keys]

    def _write(self, step: Write) -> Written:
        request = {
            "TableName": self._name,
            "Key": _key(step.key),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **step.update.arguments(),
        }
        attempts = _ATTEMPTS if step.may_repeat else 1
        for attempt in range(_ATTEMPTS):
            try:
                answer = self._client.call("UpdateItem", request, attempts=attempts)
                return Written(is_done=True, item=QuotaItem(answer["Attributes"]))
            except ConditionFailedError as failed:
                return Written(is_done=False, item=QuotaItem(failed.item))
            except ServiceError as error:
                if step.may_repeat or error.aws_code not in _NOT_DONE or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(_random.uniform(0, _LONGEST_PAUSE_S * 2**attempt))
        raise AssertionError("the loop above has no end")


def _key(scope: str) -> dict[str, dict[str, str]]:
    return {_KEY: {"S": scope}}
