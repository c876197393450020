"""Entries of an owner in the Directory table: what a tenant has few of, such as webhook endpoints and integrations."""

from sluice.chat import JsonObject
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import write_beside_transactions


class OwnedEntries:
    """Reads and deletes entries. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def all(self, owner: str, prefix: str = "") -> list[Item]:
        """All entries of an owner that begin with `prefix`, as they are now."""
        condition, values = "#owner = :owner", {":owner": owner}
        names = {"#owner": DIRECTORY.partition}
        if prefix:
            condition += " AND begins_with(#entry, :prefix)"
            names["#entry"] = DIRECTORY.sort
            values[":prefix"] = prefix
        request = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
        }
        return [from_item(item) for item in self._client.query(request)]

    def get(self, owner: str, entry: str) -> Item | None:
        """One entry as it is now; None if there is none."""
        request = {"TableName": self._table, "Key": DIRECTORY.key(owner, entry), "ConsistentRead": True}
        item = self._client.call("GetItem", request).get("Item")
        return None if item is None else from_item(item)

    def deletion(self, owner: str, entry: str) -> JsonObject:
        """The part of a transaction that deletes an entry which is there."""
        return {
            "Delete": {
                "TableName": self._table,
                "Key": DIRECTORY.key(owner, entry),
                "ConditionExpression": "attribute_exists(#owner)",
                "ExpressionAttributeNames": {"#owner": DIRECTORY.partition},
            }
        }

    def forget(self, owner: str, entry: str) -> None:
        """Delete an entry, without a record of it; one that is not there is no error."""
        asked = {"TableName": self._table, "Key": DIRECTORY.key(owner, entry)}
        write_beside_transactions(self._client, "DeleteItem", asked)
