"""Transactions of DynamoDB: several writes, all of them or none."""

import random
import time
from collections.abc import Sequence

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.errors import CONDITION_FAILED, TransactionCancelledError, TransactionConflictError
from sluice.storage.item_types import Item, TypedItem, to_item
from sluice.storage.update import Update

# Two transactions that touch one item at the same time: DynamoDB lets one win and tells the other to come back.
_CONFLICT_RETRIES = 7
_CONFLICT_PAUSE_S = 0.05
_LONGEST_CONFLICT_PAUSE_S = 1.0

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_random = random.SystemRandom()


def write_together(client: DynamoDB, writes: Sequence[JsonObject]) -> bool:
    """Write all or nothing; False if a condition does not hold. Raises StorageUnavailableError."""
    for attempt in range(_CONFLICT_RETRIES + 1):
        _pause(attempt)
        try:
            client.call("TransactWriteItems", {"TransactItems": writes})
        except TransactionCancelledError as error:
            if CONDITION_FAILED in error.codes:
                return False
        else:
            return True
    raise StorageUnavailableError("Writing failed: others are writing the same entry, try again.")


def write_or_say_why(client: DynamoDB, writes: Sequence[JsonObject]) -> list[str]:
    """Write all or nothing, once. Returns why not, write by write; empty when all are written."""
    try:
        client.call("TransactWriteItems", {"TransactItems": writes})
    except TransactionCancelledError as error:
        return error.codes
    return []


def write_beside_transactions(client: DynamoDB, operation: str, request: JsonObject) -> JsonObject:
    """Write one item that transactions write as well. Raises as DynamoDB.call, but for a conflict that passes."""
    for attempt in range(_CONFLICT_RETRIES):
        _pause(attempt)
        try:
            return client.call(operation, request)
        except TransactionConflictError:
            continue  # nothing was written
    _pause(_CONFLICT_RETRIES)
    return client.call(operation, request)


def _pause(attempt: int) -> None:
    if attempt:
        time.sleep(_random.uniform(0, min(_LONGEST_CONFLICT_PAUSE_S, _CONFLICT_PAUSE_S * 2**attempt)))


def creation(table: str, key: TypedItem, values: Item) -> JsonObject:
    """The part of a transaction that puts an item where there is none."""
    partition = next(iter(key))
    return {
        "Put": {
            "TableName": table,
            "Item": key | to_item(values),
            "ConditionExpression": "attribute_not_exists(#partition)",
            "ExpressionAttributeNames": {"#partition": partition},
        }
    }


def change(table: str, key: TypedItem, update: Update) -> JsonObject:
    """The part of a transaction that updates an item."""
    return {"Update": {"TableName": table, "Key": key, **update.arguments()}}
