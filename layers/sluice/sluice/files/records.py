"""Records of files and uploads in DynamoDB.

collection  files#acme#key-id       uploads#acme#key-id
entry       file-0193...            upload_0193..., upload_0193...#part_0193...
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import BATCHES
from sluice.storage.update import Update

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PENDING, COMPLETED, CANCELLED = "pending", "completed", "cancelled"
"""Where an upload is."""


class Records:
    """The records of all callers. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def put(self, partition: str, entry: str, values: Item) -> None:
        """Write a record, in place of one that there is."""
        item = BATCHES.key(partition, entry) | to_item(
            {name: value for name, value in values.items() if value is not None}
        )
        self._client.call("PutItem", {"TableName": self._table, "Item": item})

    def get(self, partition: str, entry: str) -> Item | None:
        """A record as it is now."""
        asked = {"TableName": self._table, "Key": BATCHES.key(partition, entry), "ConsistentRead": True}
        item = self._client.call("GetItem", asked).get("Item")
        return None if item is None else from_item(item)

    def update(self, partition: str, entry: str, update: Update) -> None:
        """Change a record. Raises ConditionFailedError."""
        key = BATCHES.key(partition, entry)
        self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})

    def delete(self, partition: str, entry: str) -> None:
        """Delete a record, if there is one."""
        self._client.call("DeleteItem", {"TableName": self._table, "Key": BATCHES.key(partition, entry)})

    def query(
        self, partition: str, *, after: str | None = None, newest_first: bool = False, prefix: str = ""
    ) -> Iterator[Item]:
        """The records of a collection, one after another."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
            "ExpressionAttributeValues": to_item({":partition": partition}),
            "ScanIndexForward": not newest_first,
        }
        if prefix:
            request["KeyConditionExpression"] += " AND begins_with(#sort, :prefix)"
            request["ExpressionAttributeNames"]["#sort"] = BATCHES.sort
            request["ExpressionAttributeValues"] |= to_item({":prefix": prefix})
        if after is not None:
            request["ExclusiveStartKey"] = BATCHES.key(partition, after)
        return map(from_item, self._client.query(request))


def files_of(owner: str) -> str:
    """Where the files of an owner are."""
    return f"files#{owner}"


def uploads_of(owner: str) -> str:
    """Where the uploads of an owner are, and their parts."""
    return f"uploads#{owner}"


def is_over(item: Item, now_s: float) -> bool:
    """Whether a record has expired: DynamoDB deletes it when it finds the time."""
    return item.get("expires_at") is not None and item["expires_at"] <= now_s


def record_of[Record: "DataclassInstance"](kind: type[Record], item: Item) -> Record:
    """A record as it was stored."""
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in item.items() if name in known})


def shown(text: str) -> str:
    """An id that was asked for, in a message."""
    return repr(text[:64])
