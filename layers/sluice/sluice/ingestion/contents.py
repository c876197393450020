"""Contents of documents that come in parts, in the table of ingestion.

collection                     entry             holds
contents#<tenant>#<store>      <document's id>   its content, compressed, and its revision
"""

import json
import random
import time
import zlib
from collections.abc import Callable
from itertools import batched

from sluice.errors import StorageUnavailableError
from sluice.ingestion.change import Change
from sluice.ingestion.content import Content, from_json, merged, to_json
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import TypedItem, from_item, to_item
from sluice.storage.tables import INGESTION
from sluice.storage.update import Update

_ATTEMPTS = 10
_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
_DELETED_S = 400 * 86_400
_WRITE_BATCH = 25

# From the operating system: functions restored from one snapshot would all draw the same numbers from a seeded one.
_random = random.SystemRandom()


class Contents:
    """Contents of documents. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def apply(self, tenant: str, store: str, change: Change) -> Content:
        """Put a change into what is known of its document; returns what is known then."""
        key = INGESTION.key(_collection(tenant, store), change.document_id)
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_random.uniform(0, min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt)))
            before = self._find(key)
            after = merged(before, change, int(self._clock() * 1000))
            if after is before or self._write(key, before, after):
                return after
        raise StorageUnavailableError("Writing a document's content failed: others are writing it, try again.")

    def forget(self, tenant: str, store: str) -> None:
        """Delete the contents of all documents of a store."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#collection = :collection",
            "ExpressionAttributeNames": {"#collection": INGESTION.partition, "#entry": INGESTION.sort},
            "ExpressionAttributeValues": to_item({":collection": _collection(tenant, store)}),
            "ProjectionExpression": "#collection, #entry",
        }
        for keys in batched(self._client.query(request), _WRITE_BATCH, strict=False):
            waiting = [{"DeleteRequest": {"Key": each}} for each in keys]
            for attempt in range(_ATTEMPTS):
                answer = self._client.call("BatchWriteItem", {"RequestItems": {self._table: waiting}})
                waiting = answer.get("UnprocessedItems", {}).get(self._table, [])
                if not waiting:
                    break
                time.sleep(_random.uniform(0, _PAUSE_S * 2**attempt))
            else:
                raise StorageUnavailableError("Deleting contents failed: DynamoDB leaves out some of them, try again.")

    def _find(self, key: TypedItem) -> Content | None:
        item = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True}).get("Item")
        if item is None:
            return None
        found = from_item(item)
        return from_json(json.loads(zlib.decompress(found["content"])) | {"revision": found["revision"]})

    def _write(self, key: TypedItem, before: Content | None, after: Content) -> bool:
        """Write a content in place of the one that was read; False if there is another one now."""
        update = Update()
        update.set("revision", after.revision)
        # Its characters are whole: what it is made of was cleaned.
        packed = zlib.compress(json.dumps(to_json(after), ensure_ascii=False).encode())
        if after.is_deleted:
            update.set(INGESTION.ttl, int(self._clock()) + _DELETED_S)
        else:
            update.remove(INGESTION.ttl)
        update.set("content", packed)
        if before is None:
            update.require_absent("revision")
        else:
            update.require("revision", "=", before.revision)
        try:
            self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})
        except ConditionFailedError:
            return False
        return True


def _collection(tenant: str, store: str) -> str:
    return f"contents#{tenant}#{store}"
