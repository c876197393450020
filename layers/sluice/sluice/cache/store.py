"""Keeps answers in DynamoDB, compressed, until they expire or their tenant's cache is cleared.

key                     holds
<SHA-256>               an answer, the generation of the cache that it belongs to, and when it expires
generation#<tenant>     which generation is served; clearing the cache begins the next one
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import field

from aws_lambda_powertools import Logger

from sluice.chat import JsonObject, Usage
from sluice.errors import StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import RESPONSE_CACHE
from sluice.storage.update import Update
from sluice.telemetry.metrics import emit_metric

logger = Logger(child=True)

MOST_ITEM_BYTES = 350 * 1024
"""The largest item that is kept. DynamoDB takes 400 KB."""
# Attribute names, the expiry and what DynamoDB adds per item: less than this.
_OVERHEAD_BYTES = 200
_SLICES = 60
# Of an answer that another replaces.
_COUNTED = ("generation", "counted_until", "bytes")


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole answer, and which model and deployment gave it. `body` is the provider's `chat.completion` object.

    `digest` tells it from all others, and is "" for one that was not read from the table.
    """

    body: JsonObject
    model: str
    deployment: str
    digest: str = field(default="", compare=False)

    @property
    def usage(self) -> Usage | None:
        """Tokens that the answer took when it was made."""
        return Usage.from_body(self.body)


@dataclass(frozen=True, slots=True)
class CacheChange:
    """Answers and bytes that a generation has more, or less, until they no longer count (`until`, s since 1970)."""

    generation: int
    until: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What a look into the cache found: an answer, if there is one, and the generation that is served."""

    answer: CachedAnswer | None
    generation: int


class ResponseCache:
    """The table of answers. Threads may share it. `clock` gives seconds since the epoch, UTC."""

    def __init__(self, table: str, clock: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()

    def look_up(self, tenant: str, key: str | None) -> CacheLookup:
        """The answer under `key` that can be served, and the generation of the tenant's cache: one request.

        Without a `key`, only the latter. Raises StorageUnavailableError.
        """
        items = self._read(*filter(None, (_generation_key(tenant), key)))
        generation = _generation(items.get(_generation_key(tenant)))
        if key is None or key not in items:
            return CacheLookup(None, generation)
        try:
            item = from_item(items[key])
            # DynamoDB deletes what has expired hours or days late.
            is_served = item["generation"] == generation and item["expires_at"] > self._clock()
            return CacheLookup(_unpack(item) if is_served else None, generation)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            logger.warning("cache entry is corrupt", extra={"cache_key": key, "reason": type(error).__name__})
            emit_metric("CacheEntryCorrupt")
            return CacheLookup(None, generation)

    def clear(self, tenant: str) -> int:
        """Begin a generation, so that what is cached by now is no longer served: one request, however much it is.

        Returns the generation. Raises StorageUnavailableError.
        """
        update = Update()
        update.add("generation", 1)
        request = {
            "TableName": self._table,
            "Key": RESPONSE_CACHE.key(_generation_key(tenant)),
            "ReturnValues": "UPDATED_NEW",
            **update.arguments(),
        }
        return _generation(self._client.call("UpdateItem", request)["Attributes"])

    def put(self, key: str, answer: CachedAnswer, ttl_s: int, generation: int) -> tuple[CacheChange, ...]:
        """Keep `answer` for `ttl_s` seconds while `generation` is served, unless it is too large.

        Returns what that changed. Raises StorageUnavailableError.
        """
        expires_at = int(self._clock()) + ttl_s
        item: Item = {
            "key": key,
            "body": zlib.compress(json.dumps(answer.body, separators=(",", ":")).encode("ascii")),
            "model": answer.model,
            "deployment": answer.deployment,
            "expires_at": expires_at,
            "counted_until": counted_until(expires_at, ttl_s),
            "generation": generation,
        }
        size = _OVERHEAD_BYTES + sum(len(value) for value in item.values() if isinstance(value, str | bytes))
        if size > MOST_ITEM_BYTES:
            logger.info("answer too large to cache", extra={"cache_key": key, "bytes": size})
            return ()
        item["bytes"] = size
        request = {"TableName": self._table, "Item": to_item(item), "ReturnValues": "ALL_OLD"}
        written = self._client.call("PutItem", request, attempts=1)
        added = CacheChange(generation, item["counted_until"], 1, size)
        # Asked for anew, or left behind by DynamoDB, which deletes late: one answer takes the place of another.
        before = from_item({name: value for name, value in written.get("Attributes", {}).items() if name in _COUNTED})
        if len(before) < len(_COUNTED):
            return (added,)
        replaced = CacheChange(before["generation"], before["counted_until"], -1, -before["bytes"])
        return (added, replaced)

    def _read(self, *keys: str) -> dict[str, TypedItem]:
        # One attempt: an answer from the provider is better than one that had to be waited for here.
        request = {"RequestItems": {self._table: {"Keys": [RESPONSE_CACHE.key(key) for key in keys]}}}
        answer = self._client.call("BatchGetItem", request, attempts=1)
        if answer.get("UnprocessedKeys"):
            raise StorageUnavailableError("reading the cache failed: DynamoDB left out an item")
        return {item[RESPONSE_CACHE.partition]["S"]: item for item in answer["Responses"].get(self._table, [])}


def _generation_key(tenant: str) -> str:
    return f"generation#{tenant}"


def _generation(item: TypedItem | None) -> int:
    return int(item["generation"]["N"]) if item else 0


def counted_until(expires_at: int, ttl_s: int) -> int:
    """Until when an answer is counted as kept, in seconds since 1970: its expiry, rounded up by at most a sixtieth.

    Rounded, so that the answers of an hour or of a month add up to some sixty sums and not to one for each second.
    """
    slice_s = max(1, ttl_s // _SLICES)
    return -(-expires_at // slice_s) * slice_s


def _unpack(item: Item) -> CachedAnswer:
    compressed = item["body"]
    body = json.loads(zlib.decompress(compressed))
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    return CachedAnswer(body, item["model"], item["deployment"], hashlib.sha256(compressed).hexdigest())
