"""The audit log: records of acts, in the Directory table.

owner             entry                         holds
audit             <ms since 1970>-<random>      a record
audit#<tenant>    <ms since 1970>-<random>      the same record, if it is a tenant's

What changes the table is written in one transaction with its record: neither is there without the other. For what is
done elsewhere, the record is written first, as `begun`, and its outcome afterwards.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_together
from sluice.storage.update import Update
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.audit import Act, Action, Actor, AuditRecord, Change, Outcome, record_of
from sluice.tenants.tenant import Role

_ALL = "audit"
_FIRST_MS = 0
_LAST_MS = 10**13 - 1
# What one request reads at most: the filters read what they leave out.
_PAGE = 500
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which records: of a `tenant` or of all, within times (ms since 1970, both included), by whom, of what."""

    tenant: str | None = None
    first_ms: int = _FIRST_MS
    last_ms: int = _LAST_MS
    actor: str | None = None
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some records, the latest first; `next_page`, if there may be more, is what asks for them."""

    records: tuple[AuditRecord, ...]
    next_page: str | None


class AuditLog:
    """The audit log of one Directory table. Threads may share it. `now` is in seconds since 1970.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(self, table: str, client: DynamoDB, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._now = now

    def writes(self, act: Act, actor: Actor) -> list[JsonObject]:
        """The parts of a transaction that record an act which the same transaction carries out."""
        return self._creations(record_of(act, actor, self._now_ms()))

    def record(self, act: Act, actor: Actor) -> None:
        """Record an act that changes nothing: before its answer is given."""
        self._write(record_of(act, actor, self._now_ms()))

    @contextmanager
    def recording(self, act: Act, actor: Actor) -> Iterator["OpenRecord"]:
        """Record an act that is done within this context, in another table: first that it began, then how it ended.

        If the former can't be written, the act does not begin. `failed` is what the record says if the act raises, and
        `begun` what it goes on to say if this process dies, or the outcome can't be written.
        """
        record = record_of(act, actor, self._now_ms(), "begun")
        self._write(record)
        opened = OpenRecord()
        try:
            yield opened
        except BaseException:
            self._end(record, "failed", opened)
            raise
        self._end(record, "done", opened)

    def page(self, query: AuditQuery, *, page: str | None, limit: int) -> AuditPage:
        """At most `limit` records, the latest first; with `page`, those that follow a page that named it.

        There may be fewer of them though others follow: the filters leave out what they read, and read only so much.
        """
        owner = _ALL if query.tenant is None else _owner(query.tenant)
        first, last = f"{query.first_ms:013d}", f"{query.last_ms:013d}~"
        if page is not None and page < first:
            return AuditPage((), None)
        # DynamoDB takes no start outside of what is asked for.
        start = None if page is None or page > last else DIRECTORY.key(owner, page)
        request = _request(self._table, query, {":owner": owner, ":first": first, ":last": last})
        found: list[AuditRecord] = []
        for _ in range(_MOST_PAGES):
            answer = self._client.call("Query", request | ({"ExclusiveStartKey": start} if start else {}))
            found += [_to_record(from_item(item)) for item in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if len(found) > limit or start is None:
                break
        shown = tuple(found[:limit])
        if len(found) > limit:
            return AuditPage(shown, shown[-1].id)
        return AuditPage(shown, str(from_item(start)[DIRECTORY.sort]) if start else None)

    def _write(self, record: AuditRecord) -> None:
        if not write_together(self._client, self._creations(record)):
            raise StorageUnavailableError("An audit record could not be written: there is one of its id.")

    def _creations(self, record: AuditRecord) -> list[JsonObject]:
        item = _item(record)
        return [creation(self._table, DIRECTORY.key(owner, record.id), item) for owner in _owners(record)]

    def _end(self, record: AuditRecord, outcome: Outcome, opened: "OpenRecord") -> None:
        writes = []
        for owner in _owners(record):
            update = Update()
            update.require_exists(DIRECTORY.partition)
            update.set("outcome", outcome)
            if opened.changes:
                update.set("changes", _stored(opened.changes))
            writes.append(change(self._table, DIRECTORY.key(owner, record.id), update))
        with best_effort("recording how an act ended"):
            write_together(self._client, writes)

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


class OpenRecord:
    """What an act that is under way changed, to be recorded when it has ended."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}


def _owners(record: AuditRecord) -> Sequence[str]:
    return [_ALL] if record.act.tenant is None else [_ALL, _owner(record.act.tenant)]


def _owner(tenant: str) -> str:
    return f"{_ALL}#{tenant}"


def _request(table: str, query: AuditQuery, values: Item) -> JsonObject:
    names = {"#owner": DIRECTORY.partition, "#entry": DIRECTORY.sort}
    filters = {"actor_key": query.actor, "action": query.action}
    wanted = {name: str(value) for name, value in filters.items() if value is not None}
    request: JsonObject = {
        "TableName": table,
        "KeyConditionExpression": "#owner = :owner AND #entry BETWEEN :first AND :last",
        "ExpressionAttributeNames": names | {f"#{name}": name for name in wanted},
        "ExpressionAttributeValues": to_item(values | {f":{name}": value for name, value in wanted.items()}),
        "ScanIndexForward": False,
        "ConsistentRead": True,
        "Limit": _PAGE,
    }
    if wanted:
        request["FilterExpression"] = " AND ".join(f"#{name} = :{name}" for name in wanted)
    return request


def _item(record: AuditRecord) -> Item:
    values: Item = {
        "at_ms": record.at_ms,
        "action": record.act.action,
        "target": record.act.target,
        "changes": _stored(record.act.changes),
        "actor_key": record.actor_key,
        "actor_tenant": record.actor_tenant,
        "actor_role": record.actor_role,
        "request_id": record.request_id,
        "outcome": record.outcome,
    }
    return values if record.act.tenant is None else values | {"tenant": record.act.tenant}


def _stored(changes: Mapping[str, Change]) -> dict[str, list[Any]]:
    return {name: [change.before, change.after] for name, change in changes.items()}


def _to_record(item: Item) -> AuditRecord:
    changes = {name: Change(*values) for name, values in item["changes"].items()}
    return AuditRecord(
        id=item[DIRECTORY.sort],
        at_ms=item["at_ms"],
        act=Act(Action(item["action"]), item["target"], item.get("tenant"), changes),
        actor_key=item["actor_key"],
        actor_tenant=item["actor_tenant"],
        actor_role=Role(item["actor_role"]),
        request_id=item["request_id"],
        outcome=item["outcome"],
    )
