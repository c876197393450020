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
_SLICES = 60


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


@dataclass(frozen=True, slots=True)
class Stored:
    """What putting one answer changed: sums of answers and bytes to add, by when they no longer count."""

    changes: tuple[tuple[int, int, int], ...]  # (counted until, answers, bytes)


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

    def put(self, key: str, answer: CachedAnswer, ttl_s: int) -> Stored | None:
        """Keep `answer` for `ttl_s` seconds; None if it is too large to be kept. Raises StorageUnavailableError."""
        expires_at = int(self._clock()) + ttl_s
        item: Item = {
            "key": key,
            "body": zlib.compress(json.dumps(answer.body, separators=(",", ":")).encode("ascii")),
            "model": answer.model,
            "deployment": answer.deployment,
            "expires_at": expires_at,
            "counted_until": counted_until(expires_at, ttl_s),
        }
        size = _OVERHEAD_BYTES + sum(len(value) for value in item.values() if isinstance(value, str | bytes))
        if size > MOST_ITEM_BYTES:
            logger.info("answer too large to cache", extra={"cache_key": key, "bytes": size})
            return None
        item["bytes"] = size
        with storage_errors("writing the cache"):
            written = dynamodb(attempts=1).put_item(TableName=self._table, Item=to_item(item), ReturnValues="ALL_OLD")
        added = (item["counted_until"], 1, size)
        # Asked for anew, or left behind by DynamoDB, which deletes late: one answer takes the place of another.
        before = written.get("Attributes", {})
        if "counted_until" not in before:
            return Stored((added,))
        return Stored((added, (int(before["counted_until"]["N"]), -1, -int(before["bytes"]["N"]))))


def counted_until(expires_at: int, ttl_s: int) -> int:
    """Until when an answer is counted as kept, in seconds since 1970: its expiry, rounded up by at most a sixtieth.

    Rounded, so that the answers of an hour or of a month add up to some sixty sums and not to one for each second.
    """
    slice_s = max(1, ttl_s // _SLICES)
    return -(-expires_at // slice_s) * slice_s


def _unpack(item: Item) -> CachedAnswer:
    body = json.loads(zlib.decompress(item["body"]))
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    return CachedAnswer(body, item["model"], item["deployment"])
