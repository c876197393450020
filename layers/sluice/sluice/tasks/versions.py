"""Tenants' own versions of tasks, in the Directory table, and which of them answers.

owner             entry                       holds
tasks#<tenant>    task#<name>                 how many versions there are, and how requests are split between two
tasks#<tenant>    task#<name>#version#<n>     a version, compressed; it never changes and is never deleted
tenant#<id>       the same                    what Sluice 0.1 wrote: read still, and not written any more

Who stored a version, or split the requests, is kept with it, and written in one transaction with the audit record.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError, SluiceError
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_together
from sluice.storage.ttl_cache import TtlCache
from sluice.storage.update import Update
from sluice.tasks.task import SHARED_VERSION, Task, TaskFile
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog

MOST_VERSIONS = 100
MOST_BYTES = 64 * 1024

# A tenant sees its own change at once where it was made, and this much later everywhere else.
_TRAFFIC_HELD_S = 5.0
_VERSION_HELD_S = 3600.0
_MOST_HELD = 256
# How often a change that met another is made to what that one left.
_ATTEMPTS = 5
_OWN = "tasks#"
_SPLIT = ("active", "other", "percent")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which version answers: `active`, or `other` for `percent` of the requests.

    Who said so is an API key's id, and when in seconds since 1970; None if it was never said.
    """

    active: str = SHARED_VERSION
    other: str | None = None
    percent: int = 0
    changed_by: str | None = None
    changed_at: int | None = None

    def version_for(self, subject: str) -> str:
        """The version that answers `subject`, always the same one as long as nothing is changed."""
        if self.other is None:
            return self.active
        drawn = int.from_bytes(hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()[:8])
        return self.other if drawn % 10_000 < self.percent * 100 else self.active


@dataclass(frozen=True, slots=True)
class Listed:
    """A version without what it says. `created_at` is in seconds since 1970.

    `created_by` is the id of the API key that stored it, None if Sluice 0.1 did not keep that.
    """

    version: str
    description: str
    created_at: int
    created_by: str | None = None


class Versions:
    """Reads and writes tenants' versions. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, log: AuditLog, client: DynamoDB, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._log = log
        self._client = client
        self._now = now
        self._traffic: TtlCache[Traffic] = TtlCache(lifetime_s=_TRAFFIC_HELD_S, most=_MOST_HELD)
        self._versions: TtlCache[Task] = TtlCache(lifetime_s=_VERSION_HELD_S, most=_MOST_HELD)

    def create(self, tenant: str, name: str, file: TaskFile, actor: Actor) -> Listed:
        """Store a new version under the next number. InvalidRequestError if it is too large, ConflictError if full."""
        text = file.model_dump_json(by_alias=True, exclude_unset=True)
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MOST_BYTES:
            raise InvalidRequestError(
                f"definition: has {size} bytes as JSON; at most {MOST_BYTES} are kept.", param="definition"
            )
        version = str(self._next_number(tenant, name))
        listed = Listed(version, file.description, int(self._now()), actor.key_id)
        item = {
            "description": listed.description,
            "created_at": listed.created_at,
            "created_by": listed.created_by,
            "definition": zlib.compress(text.encode()),
        }
        act = Act(Action.TASK_VERSION_STORED, f"{name}#{version}", tenant)
        stored = creation(self._table, _key(tenant, _version_entry(name, version)), item)
        if not write_together(self._client, [stored, *self._log.writes(act, actor)]):
            raise ConflictError(f"The version {version} of the task {name!r} is there already; send it again.")
        return listed

    def all(self, tenant: str, name: str) -> list[Listed]:
        """The tenant's versions of a task, oldest first."""
        shown = {f"#{each}": each for each in ("description", "created_at", "created_by")}
        names = {"#owner": DIRECTORY.partition, "#entry": DIRECTORY.sort} | shown
        found = []
        for owner in _owners(tenant):
            request = {
                "TableName": self._table,
                "KeyConditionExpression": "#owner = :owner AND begins_with(#entry, :prefix)",
                "ProjectionExpression": ", ".join(("#entry", *shown)),
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": to_item({":owner": owner, ":prefix": _version_entry(name, "")}),
            }
            for item in map(from_item, self._client.query(request)):
                version = _number(item[DIRECTORY.sort])
                found.append(Listed(version, item["description"], item["created_at"], item.get("created_by")))
        return sorted(found, key=lambda listed: int(listed.version))

    def get(self, tenant: str, name: str, version: str) -> Task:
        """One version; NotFoundError if the tenant has none of that number."""
        return self._versions.get_or_fetch(
            f"{tenant}#{name}#{version}", lambda: self._fetch_version(tenant, name, version)
        )

    def traffic(self, tenant: str, name: str) -> Traffic:
        """How the tenant's requests are split, at most 5 s old."""
        return self._traffic.get_or_fetch(f"{tenant}#{name}", lambda: self._fetch_traffic(tenant, name))

    def direct(self, tenant: str, name: str, traffic: Traffic, actor: Actor) -> Traffic:
        """Split the tenant's requests as `traffic` says. The versions have to exist: they are never deleted.

        Returns how they are split, with who said so. ConflictError if others change it all the time.
        """
        for _ in range(_ATTEMPTS):
            asked_at = self._traffic.now()
            item = self._item(tenant, _task_entry(name))
            before = _to_traffic(item)
            directed = replace(traffic, changed_by=actor.key_id, changed_at=int(self._now()))
            act = Act(Action.TASK_TRAFFIC_CHANGED, name, tenant, differences(_split(before), _split(directed)))
            update = _directing(directed, item)
            changed = change(self._table, _key(tenant, _task_entry(name)), update)
            if write_together(self._client, [changed, *self._log.writes(act, actor)]):
                self._traffic.put(f"{tenant}#{name}", directed, fetched_at=asked_at)
                return directed
        raise ConflictError(f"Others are splitting the requests for {name!r}; look at it and try again.", param="name")

    def _fetch_version(self, tenant: str, name: str, version: str) -> Task:
        item = self._item(tenant, _version_entry(name, version))
        if not item:
            raise NotFoundError(f"There is no version {version!r} of the task {name!r}.", param="version")
        return Task(name, version, _read(item["definition"], version))

    def _fetch_traffic(self, tenant: str, name: str) -> Traffic:
        return _to_traffic(self._item(tenant, _task_entry(name)))

    def _next_number(self, tenant: str, name: str) -> int:
        for _ in range(_ATTEMPTS):
            item = self._item(tenant, _task_entry(name))
            latest = item.get("latest", 0)
            if latest >= MOST_VERSIONS:
                raise ConflictError(f"The task {name!r} has {MOST_VERSIONS} versions, and may have no more.")
            update = Update()
            _require_same(update, item, "latest")
            update.set("latest", latest + 1)
            _carry_over(update, item, _SPLIT)
            if write_together(self._client, [change(self._table, _key(tenant, _task_entry(name)), update)]):
                return int(latest) + 1
        raise ConflictError(f"Others are storing versions of the task {name!r}; send it again.")

    def _item(self, tenant: str, entry: str) -> Item:
        """What is kept under `entry`, or was by Sluice 0.1; empty if there is neither."""
        keys = [DIRECTORY.key(owner, entry) for owner in _owners(tenant)]
        found = {
            item[DIRECTORY.partition]: item
            for item in map(from_item, self._client.read_all(self._table, keys, consistently=True))
        }
        return next((found[owner] for owner in _owners(tenant) if owner in found), {})


def _read(definition: bytes, version: str) -> TaskFile:
    try:
        return TaskFile.model_validate(json.loads(zlib.decompress(definition)))
    except (ValidationError, ValueError, zlib.error) as error:
        # Written by an older Sluice, perhaps: no fault of whoever asks now.
        raise SluiceError(f"The stored version {version} of the task can't be read any more.") from error


def _to_traffic(item: Item) -> Traffic:
    return Traffic(
        item.get("active", SHARED_VERSION),
        item.get("other"),
        item.get("percent", 0),
        item.get("changed_by"),
        item.get("changed_at"),
    )


def _split(traffic: Traffic) -> dict[str, Any]:
    return {name: getattr(traffic, name) for name in _SPLIT}


def _directing(traffic: Traffic, seen: Item) -> Update:
    """Split requests so, if they are split as they were `seen`."""
    update = Update()
    _require_same(update, seen, "changed_at")
    for name in _SPLIT:
        _require_same(update, seen, name)
    update.set("active", traffic.active)
    if traffic.other is None:
        update.remove("other")
        update.remove("percent")
    else:
        update.set("other", traffic.other)
        update.set("percent", traffic.percent)
    update.set("changed_by", str(traffic.changed_by))
    update.set("changed_at", traffic.changed_at or 0)
    _carry_over(update, seen, ("latest",))
    return update


def _require_same(update: Update, seen: Item, name: str) -> None:
    """Only if the item has the value that was `seen`; one of Sluice 0.1 is there in place of none."""
    if name in seen and not _is_old(seen):
        update.require(name, "=", seen[name])
    else:
        update.require_absent(name)


def _carry_over(update: Update, seen: Item, names: Sequence[str]) -> None:
    """Take what Sluice 0.1 kept into the item that stands in its place from now on."""
    for name in names:
        if name in seen and _is_old(seen):
            update.set(name, seen[name])


def _is_old(item: Item) -> bool:
    return not str(item[DIRECTORY.partition]).startswith(_OWN)


def _owners(tenant: str) -> tuple[str, str]:
    """Where a tenant's versions are, and where Sluice 0.1 put them."""
    return f"{_OWN}{tenant}", f"tenant#{tenant}"


def _task_entry(name: str) -> str:
    return f"task#{name}"


def _version_entry(name: str, version: str) -> str:
    return f"task#{name}#version#{version}"


def _number(entry: str) -> str:
    return str(entry).rpartition("#")[2]


def _key(tenant: str, entry: str) -> TypedItem:
    return DIRECTORY.key(_owners(tenant)[0], entry)
