"""Keeps answers in DynamoDB, compressed, until they expire."""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from sluice.chat import JsonObject, Usage
from sluice.storage.client import Item, dynamodb, from_item, storage_errors, to_item
from sluice.telemetry import count

logger = Logger(child=True)

MOST_ITEM_BYTES = 350 * 1024
"""The largest item that is kept. DynamoDB takes 400 KB."""
# Attribute names, the expiry and what DynamoDB adds per item: less than this.
_OVERHEAD_BYTES = 200


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole answer, and which model and deployment gave it. `body` is the provider's `chat.completion` object."""

    body: JsonObject
    model: str
    deployment: str

    @property
    def usage(self) -> Usage | None:
        """Tokens that the answer took when it was made."""
        return Usage.from_body(self.body)


class ResponseCache:
    """The table of answers. Threads may share it. `clock` gives seconds since the epoch, UTC."""

    def __init__(self, table: str, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._clock = clock

    def get(self, key: str) -> CachedAnswer | None:
        """The answer under `key`, None if there is none or it has expired. Raises StorageUnavailableError."""
        # One attempt: an answer from the provider is better than one that had to be waited for here.
        with storage_errors("reading the cache"):
            found = dynamodb(attempts=1).get_item(TableName=self._table, Key={"key": {"S": key}})
        if "Item" not in found:
            return None
        try:
            item = from_item(found["Item"])
            # DynamoDB deletes what has expired hours or days late.
            return _unpack(item) if item["expires_at"] > self._clock() else None
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            logger.warning("cache entry is corrupt", extra={"cache_key": key, "reason": type(error).__name__})
            count("CacheEntryCorrupt")
            return None

    def put(self, key: str, answer: CachedAnswer, ttl_s: int) -> bool:
        """Keep `answer` for `ttl_s` seconds; False if it is too large to be kept. Raises StorageUnavailableError."""
        item: Item = {
            "key": key,
            "body": zlib.compress(json.dumps(answer.body, separators=(",", ":")).encode("ascii")),
            "model": answer.model,
            "deployment": answer.deployment,
            "expires_at": int(self._clock()) + ttl_s,
        }
        size = _OVERHEAD_BYTES + sum(len(value) for value in item.values() if isinstance(value, str | bytes))
        if size > MOST_ITEM_BYTES:
            logger.info("answer too large to cache", extra={"cache_key": key, "bytes": size})
            return False
        with storage_errors("writing the cache"):
            dynamodb(attempts=1).put_item(TableName=self._table, Item=to_item(item))
        return True


def _unpack(item: Item) -> CachedAnswer:
    body = json.loads(zlib.decompress(item["body"]))
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    return CachedAnswer(body, item["model"], item["deployment"])
