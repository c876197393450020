"""Transactions of DynamoDB: several writes, all of them or none."""

import time
from collections.abc import Sequence

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.errors import CONDITION_FAILED, TransactionCancelledError
from sluice.storage.item_types import Item, TypedItem, to_item
from sluice.storage.update import Update

# Two transactions that touch one item at the same time: DynamoDB lets one win and tells the other to come back.
_CONFLICT_RETRIES = 4
_CONFLICT_PAUSE_S = 0.05


def write_together(client: DynamoDB, writes: Sequence[JsonObject]) -> bool:
    """Write all or nothing; False if a condition does not hold. Raises StorageUnavailableError."""
    for attempt in range(_CONFLICT_RETRIES + 1):
        if attempt:
            time.sleep(_CONFLICT_PAUSE_S * 2**attempt)
        try:
            client.call("TransactWriteItems", {"TransactItems": writes})
        except TransactionCancelledError as error:
            if CONDITION_FAILED in error.codes:
                return False
        else:
            return True
    raise StorageUnavailableError("Writing failed: others are writing the same entry, try again.")


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
