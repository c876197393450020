"""Findings that were shown or told of, what was thought of them, and what is muted: in the Usage table.

tenant_day                  hour_route                      holds
insights.found#<tenant>     ins_2026112500_<digest>         a finding of Sluice's own figures, for 400 days
insights.found#<tenant>     insd_2026112500_<digest>        that something was found in what a dashboard sent, 30 days
insights.topic#<tenant>     <digest>                        until when findings of a kind in a series are muted, and how
                                                            many keys found them useful or not

notice      sending: somebody is telling of it, or died over it; sent: it was told of. Either is not told of again
v.<key>     of a topic: whether an API key found it useful. It is in one item with the counts, each key in them once

No tenant's id has a dot, so that these are nobody's usage.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from sluice.errors import ConflictError, NotFoundError
from sluice.insights.identity import is_finding_id, is_of_own_figures
from sluice.insights.topic import Topic
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.storage.transaction import change, write_beside_transactions, write_together
from sluice.storage.update import Update
from sluice.tenants.audit import Act, Action, Actor, Change
from sluice.tenants.audit_log import AuditLog

_FOUND, _TOPIC = "insights.found", "insights.topic"
_OWN_KEPT_S, _SENT_KEPT_S = 400 * 86_400, 30 * 86_400
_VERDICT = "v."
_ATTEMPTS = 5

type Notice = Literal["none", "sending", "sent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinding:
    """A finding to be kept: `content` is what is shown of it later, as JSON, "" where it is not Sluice's to keep."""

    id: str
    topic: str
    series: str
    kind: str
    title: str
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFinding:
    """A finding as it is kept. Times are in seconds since 1970."""

    id: str
    topic: str
    series: str
    kind: str
    title: str
    found_at: int
    content: str = ""
    notice: Notice = "none"
    noticed_at: int | None = None


class FindingStore:
    """Findings of all tenants. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, log: AuditLog, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._log = log
        self._clock = clock

    def record(self, tenant: str, findings: Sequence[NewFinding]) -> dict[str, Topic]:
        """Keep findings that are not kept already, and return what is thought of their topics."""
        names = {each.id: each for each in findings}
        topics = {each.topic for each in findings}
        keys = [_found_key(tenant, name) for name in names] + [_topic_key(tenant, topic) for topic in topics]
        there = [from_item(item) for item in self._client.read_all(self._table, keys, consistently=True)]
        known = {item[USAGE.sort]: item for item in there}
        for name, each in names.items():
            if name not in known:
                self._keep(tenant, each)
        return {topic: _topic(known.get(topic, {})) for topic in topics}

    def topics(self, tenant: str, topics: Iterable[str]) -> dict[str, Topic]:
        """What is thought of some topics."""
        wanted = list(dict.fromkeys(topics))
        keys = [_topic_key(tenant, topic) for topic in wanted]
        items = [from_item(item) for item in self._client.read_all(self._table, keys, consistently=True)]
        found = {item[USAGE.sort]: _topic(item) for item in items}
        return {topic: found.get(topic, Topic()) for topic in wanted}

    def get(self, tenant: str, name: str) -> KeptFinding:
        """A finding of a tenant. Raises NotFoundError."""
        return _kept(self._item(tenant, name))

    def page(self, tenant: str, *, before: str | None, limit: int) -> list[KeptFinding]:
        """At most `limit` findings of a tenant's own figures before `before`, those of the last buckets first."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#partition": USAGE.partition, "#sort": USAGE.sort},
            "ExpressionAttributeValues": to_item(
                {":partition": f"{_FOUND}#{tenant}", ":first": "ins_", ":last": before or "ins_~"}
            ),
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        found = map(from_item, self._client.query(request))
        now_s = self._clock()
        # DynamoDB deletes what has expired in its own time.
        wanted = (each for each in found if each[USAGE.sort] != before and each[USAGE.ttl] > now_s)
        return [_kept(item) for item in islice(wanted, limit)]

    def claim_notice(self, tenant: str, name: str) -> bool:
        """Whether the caller, and nobody else ever, is to tell of a finding that is kept."""
        update = Update()
        update.require_exists("found_at")
        update.require_absent("notice")
        update.set("notice", "sending")
        update.set("noticed_at", int(self._clock()))
        return self._write(tenant, name, update)

    def finish_notice(self, tenant: str, name: str) -> None:
        """It was told of."""
        update = Update()
        update.require("notice", "=", "sending")
        update.set("notice", "sent")
        self._write(tenant, name, update)

    def release_notice(self, tenant: str, name: str) -> None:
        """Nobody was told, for certain: it may be told of later."""
        update = Update()
        update.require("notice", "=", "sending")
        update.remove("notice")
        update.remove("noticed_at")
        self._write(tenant, name, update)

    def rate(self, tenant: str, name: str, actor: Actor, *, is_useful: bool) -> tuple[KeptFinding, Topic]:
        """Note whether an API key finds findings like one useful, in place of what it said before of any of them.

        Raises NotFoundError.
        """
        kept, verdict = self.get(tenant, name), f"{_VERDICT}{actor.key_id}"
        for _ in range(_ATTEMPTS):
            item = self._topic_item(tenant, kept.topic)
            before = None if verdict not in item else bool(item[verdict])
            if before is is_useful:
                break
            update = Update()
            if before is None:
                update.require_absent(verdict)
            else:
                update.require(verdict, "=", int(before))
                update.add("useful" if before else "not_useful", -1)
            update.add("useful" if is_useful else "not_useful", 1)
            update.set(verdict, int(is_useful))
            update.set("series", kept.series)
            update.set(USAGE.ttl, int(self._clock()) + _OWN_KEPT_S)
            changes = {"is_useful": Change(before, is_useful), "series": Change(None, kept.series)}
            act = Act(Action.INSIGHTS_RATED, name, tenant, changes)
            written = change(self._table, _topic_key(tenant, kept.topic), update)
            if write_together(self._client, [written, *self._log.writes(act, actor)]):
                break
        else:
            raise ConflictError("Feedback on this insight is being changed by others; try again.")
        return kept, _topic(self._topic_item(tenant, kept.topic))

    def mute(self, tenant: str, name: str, until_s: int, actor: Actor) -> tuple[KeptFinding, Topic]:
        """Mute all findings like one, until a moment. Raises NotFoundError."""
        kept = self.get(tenant, name)
        before = _topic(self._topic_item(tenant, kept.topic))
        update = Update()
        update.set("muted_until", until_s)
        update.set("series", kept.series)
        # As long as anything may be muted, and what was thought of it counts.
        update.set(USAGE.ttl, int(self._clock()) + _OWN_KEPT_S)
        changes = {"muted_until": Change(before.muted_until or None, until_s or None)}
        act = Act(Action.INSIGHTS_MUTED, name, tenant, {**changes, "series": Change(None, kept.series)})
        written = change(self._table, _topic_key(tenant, kept.topic), update)
        if not write_together(self._client, [written, *self._log.writes(act, actor)]):
            raise ConflictError("This insight is being muted by others; try again.")
        return kept, _topic(self._topic_item(tenant, kept.topic))

    def _keep(self, tenant: str, finding: NewFinding) -> None:
        now_s = int(self._clock())
        update = Update()
        update.require_absent("found_at")
        for name, value in _fields(finding).items():
            update.set(name, value)
        update.set("found_at", now_s)
        update.set(USAGE.ttl, now_s + (_OWN_KEPT_S if is_of_own_figures(finding.id) else _SENT_KEPT_S))
        self._write(tenant, finding.id, update)

    def _item(self, tenant: str, name: str) -> Item:
        item = None
        if is_finding_id(name):
            request = {"TableName": self._table, "Key": _found_key(tenant, name), "ConsistentRead": True}
            item = self._client.call("GetItem", request).get("Item")
        found = None if item is None else from_item(item)
        if found is None or found[USAGE.ttl] <= self._clock():
            raise NotFoundError(f"There is no insight {name[:64]!r}.", param="id")
        return found

    def _topic_item(self, tenant: str, topic: str) -> Item:
        request = {"TableName": self._table, "Key": _topic_key(tenant, topic), "ConsistentRead": True}
        return from_item(self._client.call("GetItem", request).get("Item") or {})

    def _write(self, tenant: str, name: str, update: Update) -> bool:
        request = {"TableName": self._table, "Key": _found_key(tenant, name), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", request)
        except ConditionFailedError:
            return False
        return True


def _fields(finding: NewFinding) -> Mapping[str, str]:
    return {
        "topic": finding.topic,
        "series": finding.series,
        "kind": finding.kind,
        "title": finding.title,
        "content": finding.content,
    }


def _kept(item: Mapping[str, Any]) -> KeptFinding:
    return KeptFinding(
        id=item[USAGE.sort],
        topic=item["topic"],
        series=item["series"],
        kind=item["kind"],
        title=item["title"],
        found_at=item["found_at"],
        content=item["content"],
        notice=item.get("notice", "none"),
        noticed_at=item.get("noticed_at"),
    )


def _topic(item: Mapping[str, Any]) -> Topic:
    return Topic(
        muted_until=item.get("muted_until", 0), useful=item.get("useful", 0), not_useful=item.get("not_useful", 0)
    )


def _found_key(tenant: str, name: str) -> TypedItem:
    return USAGE.key(f"{_FOUND}#{tenant}", name)


def _topic_key(tenant: str, topic: str) -> TypedItem:
    return USAGE.key(f"{_TOPIC}#{tenant}", topic)
