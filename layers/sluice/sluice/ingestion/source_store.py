"""Sources in the Directory table, each change with its audit record.

owner              entry         holds
ingest#<tenant>    src_...       a source, and its secret, sealed
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from sluice.errors import ConflictError, NotFoundError
from sluice.ingestion.secret import sealed, unsealed
from sluice.ingestion.source import (
    MOST_SOURCES,
    OVERLAP_S,
    Source,
    SourceOptions,
    SourceType,
    hint_of,
    new_source_id,
    tenant_of,
)
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, TypedItem
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_together
from sluice.storage.update import Update
from sluice.tenants.audit import Act, Action, Actor, Change, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.owned_entries import OwnedEntries

_FIELDS = tuple(each.name for each in fields(Source))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSource:
    """A source as an operator describes it, with the secret that its events are signed with."""

    type: SourceType
    name: str
    vector_store_id: str
    secret: str
    options: SourceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """What an operator changes of a source; None leaves it."""

    name: str | None = None
    vector_store_id: str | None = None
    options: SourceOptions | None = None
    is_enabled: bool | None = None


class SourceStore:
    """The sources of all tenants. Threads may share it. `clock` gives seconds since 1970.

    `root` returns the stack's own secret. All methods raise StorageUnavailableError.
    """

    def __init__(
        self,
        table: str,
        client: DynamoDB,
        log: AuditLog,
        root: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._client = client
        self._entries = OwnedEntries(table, client)
        self._log = log
        self._root = root
        self._clock = clock

    def create(self, new: NewSource, actor: Actor) -> Source:
        """Make a source of the actor's tenant. ConflictError if the tenant has as many as it may."""
        tenant, now = actor.tenant, int(self._clock())
        if len(self.all(tenant)) >= MOST_SOURCES:
            raise ConflictError(f"There are {MOST_SOURCES} sources, as many as may be: delete one first.")
        source_id = new_source_id(tenant)
        source = Source(
            id=source_id,
            tenant=tenant,
            type=new.type,
            name=new.name,
            vector_store_id=new.vector_store_id,
            sealed_secret=sealed(self._root(), source_id, new.secret),
            hint=hint_of(new.secret),
            created_at=now,
            updated_at=now,
            options=new.options,
            **_owner_of(actor),
        )
        act = Act(Action.INGEST_SOURCE_CREATED, source_id, tenant, differences({}, _described(source)))
        self._write(source_id, creation(self._table, _key(source), _to_item(source)), act, actor)
        return source

    def all(self, tenant: str) -> list[Source]:
        """The sources of a tenant, of which there are few, the oldest first."""
        found = [_from_item(item) for item in self._entries.all(_owner(tenant))]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def find(self, source_id: str) -> Source | None:
        """A source of whatever tenant; None if there is none of this id."""
        tenant = tenant_of(source_id)
        if tenant is None:
            return None
        item = self._entries.get(_owner(tenant), source_id)
        return None if item is None else _from_item(item)

    def get(self, tenant: str, source_id: str) -> Source:
        """A source of a tenant. Raises NotFoundError."""
        found = self.find(source_id)
        if found is None or found.tenant != tenant:
            raise _none(source_id)
        return found

    def change(self, source_id: str, changed: SourceChange, actor: Actor) -> Source:
        """Change a source of the actor's tenant, whose rights it has from then on. Raises NotFoundError."""
        before = self.get(actor.tenant, source_id)
        values = {name: value for name, value in _values(changed).items() if value is not None}
        after = replace(before, **values, **_owner_of(actor), updated_at=int(self._clock()))
        item, update = _to_item(after), Update()
        for name in ("name", "vector_store_id", "options", "is_enabled", "caller", "is_login", "updated_at"):
            update.set(name, item[name])
        if after.user is None:
            update.remove("user")
        else:
            update.set("user", after.user)
        update.require_exists("type")
        changes = differences(_described(before), _described(after))
        act = Act(Action.INGEST_SOURCE_CHANGED, source_id, actor.tenant, changes)
        self._write(source_id, change(self._table, _key(before), update), act, actor)
        return after

    def rotate(self, source_id: str, secret: str, actor: Actor, *, keeps_old: bool) -> Source:
        """Give a source of the actor's tenant another secret. Raises NotFoundError.

        `keeps_old`: for a day, what is signed with the former one is taken as well. If there is a former one already,
        it stays that: who rotates again has not seen the answer, and the sender knows no other.
        """
        before, now = self.get(actor.tenant, source_id), int(self._clock())
        after = replace(
            before,
            sealed_secret=sealed(self._root(), source_id, secret),
            hint=hint_of(secret),
            updated_at=now,
            previous_sealed=before.sealed_secrets(now)[-1] if keeps_old else None,
            previous_until=now + OVERLAP_S if keeps_old else 0,
        )
        update = Update()
        for name in ("sealed_secret", "hint", "updated_at", "previous_until"):
            update.set(name, getattr(after, name))
        if after.previous_sealed is None:
            update.remove("previous_sealed")
        else:
            update.set("previous_sealed", after.previous_sealed)
        update.require("sealed_secret", "=", before.sealed_secret)
        act = Act(Action.INGEST_SOURCE_ROTATED, source_id, actor.tenant, {"keeps_old": Change(None, keeps_old)})
        self._write(source_id, change(self._table, _key(before), update), act, actor)
        return after

    def delete(self, source_id: str, actor: Actor) -> Source:
        """Delete a source of the actor's tenant; returns what it was. Raises NotFoundError."""
        source = self.get(actor.tenant, source_id)
        deletion = self._entries.deletion(_owner(source.tenant), source_id)
        act = Act(Action.INGEST_SOURCE_DELETED, source_id, actor.tenant, differences(_described(source), {}))
        self._write(source_id, deletion, act, actor)
        return source

    def forget(self, tenant: str) -> list[Source]:
        """Delete all sources of a tenant that was deleted; returns what they were. The same again changes nothing."""
        found = self.all(tenant)
        for source in found:
            self._entries.forget(_owner(tenant), source.id)
        return found

    def secrets(self, source: Source, now_s: float) -> list[bytes]:
        """What a source may sign with now, the newest first. Raises UnsealedError."""
        root = self._root()
        return [unsealed(root, source.id, kept) for kept in source.sealed_secrets(now_s)]

    def _write(self, source_id: str, write: Mapping[str, Any], act: Act, actor: Actor) -> None:
        if not write_together(self._client, [dict(write), *self._log.writes(act, actor)]):
            if self.find(source_id) is None:
                raise _none(source_id)
            raise ConflictError("The source is being changed by others; look at it and try again.")


def _owner_of(actor: Actor) -> dict[str, Any]:
    principal = actor.principal
    return {"caller": principal.caller_id, "is_login": principal.is_login, "user": principal.user}


def _described(source: Source) -> dict[str, Any]:
    """What the audit log says of a source: nothing of its secret."""
    return {
        "type": str(source.type),
        "name": source.name,
        "vector_store_id": source.vector_store_id,
        "options": _listed(source.options),
        "is_enabled": source.is_enabled,
    }


def _values(changed: SourceChange) -> dict[str, Any]:
    return {each.name: getattr(changed, each.name) for each in fields(changed)}


def _listed(options: SourceOptions) -> dict[str, list[str]]:
    return {name: list(values) for name, values in asdict(options).items()}


def _owner(tenant: str) -> str:
    return f"ingest#{tenant}"


def _key(source: Source) -> TypedItem:
    return DIRECTORY.key(_owner(source.tenant), source.id)


def _to_item(source: Source) -> Item:
    values = {name: value for name, value in asdict(source).items() if value is not None}
    return values | {"type": str(source.type), "options": _listed(source.options)}


def _from_item(item: Item) -> Source:
    values = {name: item[name] for name in _FIELDS if name in item}
    options = {name: tuple(listed) for name, listed in item["options"].items()}
    return Source(**values | {"type": SourceType(item["type"]), "options": SourceOptions(**options)})


def _none(source_id: str) -> NotFoundError:
    return NotFoundError(f"There is no source {source_id[:100]!r}.", param="source_id")
