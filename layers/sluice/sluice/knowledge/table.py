"""The table of stores: everything of them but vectors.

collection                   entry                             is
stores#acme                  vs_0193...                        a store
documents#acme#vs_0193...    <key of a document>               a document, or that it was deleted
texts#acme#vs_0193...        <key>#<revision>#00012            the text of a chunk
files#acme#vs_0193...        file-0193...                      a file that was attached
batches#acme#vs_0193...      vsfb_0193...                      a batch of files that were attached together
open#07                      <when due, in ms>#<random>        work that was begun and has to be done whoever dies

A document's texts are written before its vectors and deleted after them, so that where there is a vector there is a
text. The record of a document says which revision is the one that counts: one write switches from the old to the new.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import Any

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import STORES
from sluice.storage.transaction import write_beside_transactions
from sluice.storage.update import Update

# BatchWriteItem takes so many.
WRITE_BATCH = 25
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_MOST_PAUSES = 12


class StoresTable:
    """The items of the table of stores. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, name: str, client: DynamoDB) -> None:
        self.name = name
        self.client = client

    def get(self, collection: str, entry: str) -> Item | None:
        """An item as it is now."""
        asked = {"TableName": self.name, "Key": STORES.key(collection, entry), "ConsistentRead": True}
        item = self.client.call("GetItem", asked).get("Item")
        return None if item is None else from_item(item)

    def get_all(self, collection: str, entries: Iterable[str]) -> dict[str, Item]:
        """The items there are of these entries, by entry, as they are now."""
        keys = [STORES.key(collection, entry) for entry in dict.fromkeys(entries)]
        found = map(from_item, self.client.read_all(self.name, keys, consistently=True))
        return {item[STORES.sort]: item for item in found}

    def put(self, collection: str, entry: str, values: Item) -> None:
        """Write an item, in place of one that there is."""
        item = STORES.key(collection, entry) | to_item(values)
        self.client.call("PutItem", {"TableName": self.name, "Item": item})

    def update(self, collection: str, entry: str, update: Update) -> Item | None:
        """Change an item; returns it as it was before, None if the update's condition does not hold."""
        asked = {
            "TableName": self.name,
            "Key": STORES.key(collection, entry),
            "ReturnValues": "ALL_OLD",
            **update.arguments(),
        }
        try:
            answer = write_beside_transactions(self.client, "UpdateItem", asked)
        except ConditionFailedError:
            return None
        return from_item(answer.get("Attributes") or {})

    def delete(self, collection: str, entry: str) -> None:
        """Delete an item, if there is one."""
        asked = {"TableName": self.name, "Key": STORES.key(collection, entry)}
        write_beside_transactions(self.client, "DeleteItem", asked)

    def query(
        self,
        collection: str,
        *,
        prefix: str = "",
        before: str = "",
        after: str = "",
        newest_first: bool = False,
        only: Sequence[str] = (),
    ) -> Iterator[Item]:
        """The items of a collection in the order of their entries.

        Those that begin with `prefix`, or sort `before` an entry, or come `after` one in this order; `only` these
        attributes of each.
        """
        names, values = {"#partition": STORES.partition}, {":partition": collection}
        condition = "#partition = :partition"
        if prefix or before:
            names["#sort"], values[":bound"] = STORES.sort, prefix or before
            condition += " AND begins_with(#sort, :bound)" if prefix else " AND #sort < :bound"
        request: JsonObject = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_item(values),
            "ScanIndexForward": not newest_first,
            "ConsistentRead": True,
        }
        if only:
            names |= {f"#only{number}": name for number, name in enumerate(only)}
            request["ProjectionExpression"] = ", ".join(f"#only{number}" for number in range(len(only)))
        if after:
            request["ExclusiveStartKey"] = STORES.key(collection, after)
        return map(from_item, self.client.query(request))

    def put_all(self, collection: str, items: Iterable[tuple[str, Item]]) -> None:
        """Write many items of a collection, each in place of one that there is."""
        typed = ({"PutRequest": {"Item": STORES.key(collection, entry) | to_item(item)}} for entry, item in items)
        write_all(self.client, self.name, typed)

    def delete_all(self, collection: str, entries: Iterable[str]) -> None:
        """Delete many items of a collection."""
        typed = ({"DeleteRequest": {"Key": STORES.key(collection, entry)}} for entry in entries)
        write_all(self.client, self.name, typed)


def write_all(client: DynamoDB, table: str, requests: Iterable[dict[str, Any]]) -> None:
    """Write many items, 25 in one request; what DynamoDB leaves is sent again. Raises StorageUnavailableError."""
    for batch in batched(requests, WRITE_BATCH, strict=False):
        waiting: Sequence[dict[str, Any]] = batch
        pause_s, pauses = _PAUSE_S, 0
        while waiting:
            answer = client.call("BatchWriteItem", {"RequestItems": {table: list(waiting)}})
            waiting = answer.get("UnprocessedItems", {}).get(table, [])
            if waiting:
                if pauses == _MOST_PAUSES:
                    raise StorageUnavailableError(f"writing {table} failed: DynamoDB leaves out some of the items")
                time.sleep(pause_s)
                pause_s, pauses = min(2 * pause_s, _LONGEST_PAUSE_S), pauses + 1


def stores_of(tenant: str) -> str:
    """Where the stores of a tenant are."""
    return f"stores#{tenant}"


def documents_of(tenant: str, store: str) -> str:
    """Where the documents of a store are."""
    return f"documents#{tenant}#{store}"


def texts_of(tenant: str, store: str) -> str:
    """Where the texts of a store's chunks are."""
    return f"texts#{tenant}#{store}"


def files_of(tenant: str, store: str) -> str:
    """Where the files of a store are."""
    return f"files#{tenant}#{store}"


def batches_of(tenant: str, store: str) -> str:
    """Where the batches of a store's files are."""
    return f"batches#{tenant}#{store}"
