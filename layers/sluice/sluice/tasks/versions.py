"""Tenants' own versions of tasks, in the Directory table, and which of them answers.

owner           entry                       holds
tenant#<id>     task#<name>                 how many versions there are, and how requests are split between two
tenant#<id>     task#<name>#version#<n>     a version, compressed; it never changes and is never deleted
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError, SluiceError
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import DIRECTORY
from sluice.storage.ttl_cache import TtlCache
from sluice.storage.update import Update
from sluice.tasks.task import SHARED_VERSION, Task, TaskFile

MOST_VERSIONS = 100
MOST_BYTES = 64 * 1024

# A tenant sees its own change at once where it was made, and this much later everywhere else.
_TRAFFIC_HELD_S = 5.0
_VERSION_HELD_S = 3600.0
_MOST_HELD = 256


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which version answers: `active`, or `other` for `percent` of the requests."""

    active: str = SHARED_VERSION
    other: str | None = None
    percent: int = 0

    def version_for(self, subject: str) -> str:
        """The version that answers `subject`, always the same one as long as nothing is changed."""
        if self.other is None:
            return self.active
        drawn = int.from_bytes(hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()[:8])
        return self.other if drawn % 10_000 < self.percent * 100 else self.active


@dataclass(frozen=True, slots=True)
class Listed:
    """A version without what it says. `created_at` is in seconds since 1970."""

    version: str
    description: str
    created_at: int


class Versions:
    """Reads and writes tenants' versions. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, now: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._now = now
        self._client = client or dynamodb()
        self._traffic: TtlCache[Traffic] = TtlCache(lifetime_s=_TRAFFIC_HELD_S, most=_MOST_HELD)
        self._versions: TtlCache[Task] = TtlCache(lifetime_s=_VERSION_HELD_S, most=_MOST_HELD)

    def create(self, tenant: str, name: str, file: TaskFile) -> Listed:
        """Store a new version under the next number. InvalidRequestError if it is too large, ConflictError if full."""
        text = file.model_dump_json(by_alias=True, exclude_unset=True)
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MOST_BYTES:
            raise InvalidRequestError(
                f"definition: has {size} bytes as JSON; at most {MOST_BYTES} are kept.", param="definition"
            )
        version = str(self._next_number(tenant, name))
        listed = Listed(version, file.description, int(self._now()))
        item = {
            "description": listed.description,
            "created_at": listed.created_at,
            "definition": zlib.compress(text.encode()),
        }
        request = {
            "TableName": self._table,
            "Item": _key(tenant, _version_entry(name, version)) | to_item(item),
            "ConditionExpression": "attribute_not_exists(#owner)",
            "ExpressionAttributeNames": {"#owner": DIRECTORY.partition},
        }
        # Our own number: if it is taken, then by the first delivery of this very write.
        with suppress(ConditionFailedError):
            self._client.call("PutItem", request)
        return listed

    def all(self, tenant: str, name: str) -> list[Listed]:
        """The tenant's versions of a task, oldest first."""
        names = {"#owner": DIRECTORY.partition, "#entry": DIRECTORY.sort}
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#owner = :owner AND begins_with(#entry, :prefix)",
            "ProjectionExpression": "#entry, #description, #created_at",
            "ExpressionAttributeNames": names | {"#description": "description", "#created_at": "created_at"},
            "ExpressionAttributeValues": to_item({":owner": _owner(tenant), ":prefix": _version_entry(name, "")}),
        }
        items = map(from_item, self._client.query(request))
        versions = [Listed(_number(item["entry"]), item["description"], item["created_at"]) for item in items]
        return sorted(versions, key=lambda listed: int(listed.version))

    def get(self, tenant: str, name: str, version: str) -> Task:
        """One version; NotFoundError if the tenant has none of that number."""
        return self._versions.get_or_fetch(
            f"{tenant}#{name}#{version}", lambda: self._fetch_version(tenant, name, version)
        )

    def traffic(self, tenant: str, name: str) -> Traffic:
        """How the tenant's requests are split, at most 5 s old."""
        return self._traffic.get_or_fetch(f"{tenant}#{name}", lambda: self._fetch_traffic(tenant, name))

    def direct(self, tenant: str, name: str, traffic: Traffic) -> None:
        """Split the tenant's requests as `traffic` says. The versions have to exist: they are never deleted."""
        asked_at = self._traffic.now()
        update = Update()
        update.set("active", traffic.active)
        if traffic.other is None:
            update.remove("other")
            update.remove("percent")
        else:
            update.set("other", traffic.other)
            update.set("percent", traffic.percent)
        key = _key(tenant, _task_entry(name))
        self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})
        self._traffic.put(f"{tenant}#{name}", traffic, fetched_at=asked_at)

    def _fetch_version(self, tenant: str, name: str, version: str) -> Task:
        item = self._get(tenant, _version_entry(name, version))
        if item is None:
            raise NotFoundError(f"There is no version {version!r} of the task {name!r}.", param="version")
        return Task(name, version, _read(item["definition"], version))

    def _fetch_traffic(self, tenant: str, name: str) -> Traffic:
        item = self._get(tenant, _task_entry(name)) or {}
        return Traffic(item.get("active", SHARED_VERSION), item.get("other"), item.get("percent", 0))

    def _next_number(self, tenant: str, name: str) -> int:
        update = Update()
        update.add("latest", 1)
        update.require_absent_or("latest", "<", MOST_VERSIONS)
        request = {
            "TableName": self._table,
            "Key": _key(tenant, _task_entry(name)),
            "ReturnValues": "UPDATED_NEW",
            **update.arguments(),
        }
        try:
            answer = self._client.call("UpdateItem", request)
        except ConditionFailedError:
            raise ConflictError(f"The task {name!r} has {MOST_VERSIONS} versions, and may have no more.") from None
        return int(from_item(answer["Attributes"])["latest"])

    def _get(self, tenant: str, entry: str) -> Item | None:
        request = {"TableName": self._table, "Key": _key(tenant, entry), "ConsistentRead": True}
        answer = self._client.call("GetItem", request)
        return from_item(answer["Item"]) if "Item" in answer else None


def _read(definition: bytes, version: str) -> TaskFile:
    try:
        return TaskFile.model_validate(json.loads(zlib.decompress(definition)))
    except (ValidationError, ValueError, zlib.error) as error:
        # Written by an older Sluice, perhaps: no fault of whoever asks now.
        raise SluiceError(f"The stored version {version} of the task can't be read any more.") from error


def _owner(tenant: str) -> str:
    return f"tenant#{tenant}"


def _task_entry(name: str) -> str:
    return f"task#{name}"


def _version_entry(name: str, version: str) -> str:
    return f"task#{name}#version#{version}"


def _number(entry: str) -> str:
    return str(entry).rpartition("#")[2]


def _key(tenant: str, entry: str) -> TypedItem:
    return DIRECTORY.key(_owner(tenant), entry)
