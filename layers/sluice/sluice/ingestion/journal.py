"""What came in from sources, and what became of it, in the table of ingestion.

collection              entry                       holds
deliveries#<source>     <digest>                    that these bytes came, for a week
counts#<source>         2026-11-26                  how many events and documents came to what end in a day of UTC
counts#<source>         total                       the same of all days before they were told apart
problems#<source>       <when>-<digest>-<kind>      what was not taken as it came, for a month

Counts are of what was done: what the queue hands out twice is counted twice.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import islice

from sluice.ingestion.source import Source
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import INGESTION
from sluice.storage.update import Update

REMEMBERED_S = 7 * 86_400
"""How long a delivery is known again."""
_PROBLEM_S = 30 * 86_400
_TOTAL = "total"
_LAST_EVENT = "last_event_at"
_COUNT = "n."


class ProblemKind(StrEnum):
    """What was not taken as it came."""

    NOT_UNDERSTOOD = "not_understood"
    """No JSON, or none of the form that the source documents."""
    TRIMMED = "trimmed"
    """Longer than what is kept: the rest of it was taken."""
    REFUSED = "refused"
    """The vector store does not take it, or is gone."""
    STALE = "stale"
    """Signed well, and from too long ago or from the future."""
    DEAD_LETTERED = "dead_lettered"
    """Failed again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An event that was not taken as it came; `reason` quotes nothing of it. `at_ms` is when it came."""

    kind: ProblemKind
    at_ms: int
    event: str
    delivery: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many came to what end, by name, and when the last event came, in seconds since 1970."""

    by_name: Mapping[str, int]
    last_event_at: int | None


class Journal:
    """Deliveries, counts and problems of sources. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def is_known(self, source: Source, digest: str) -> bool:
        """Whether these bytes came before."""
        asked = {"TableName": self._table, "Key": _delivery(source.id, digest), "ConsistentRead": True}
        item = self._client.call("GetItem", asked).get("Item")
        # DynamoDB deletes what has expired in its own time.
        return item is not None and int(from_item(item)[INGESTION.ttl]) > self._clock()

    def remember(self, source: Source, digest: str) -> None:
        """Note that these bytes came, and are in the queue."""
        values = {INGESTION.ttl: int(self._clock()) + REMEMBERED_S}
        self._client.call("PutItem", {"TableName": self._table, "Item": _delivery(source.id, digest) | to_item(values)})

    def forget(self, source_id: str, digest: str) -> None:
        """Have these bytes taken once more when they come again."""
        self._client.call("DeleteItem", {"TableName": self._table, "Key": _delivery(source_id, digest)})

    def count(self, source: Source, names: Iterable[str], *, is_event: bool = False) -> None:
        """Count one more of each name; `is_event`: the source has sent it now."""
        update, sums = Update(), dict[str, int]()
        for name in names:
            sums[name] = sums.get(name, 0) + 1
        for name, number in sums.items():
            update.add(f"{_COUNT}{name}", number)
        if is_event:
            update.set(_LAST_EVENT, int(self._clock()))
        if sums or is_event:
            key = INGESTION.key(_counts(source), datetime.fromtimestamp(self._clock(), UTC).date().isoformat())
            self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})

    def counts(self, source: Source) -> Counts:
        """What was counted of a source."""
        by_name, last_event_at = Counter[str](), None
        for item in self._counted(source, "0"):
            by_name.update(_by_name(item))
            last_event_at = max((at for at in (last_event_at, item.get(_LAST_EVENT)) if at is not None), default=None)
        return Counts(by_name=by_name, last_event_at=last_event_at)

    def days(self, source: Source, first: date) -> dict[date, dict[str, int]]:
        """What was counted of a source by day of UTC, from `first` on; days without anything are left out."""
        items = self._counted(source, first.isoformat())
        return {
            date.fromisoformat(item[INGESTION.sort]): _by_name(item) for item in items if item[INGESTION.sort] != _TOTAL
        }

    def _counted(self, source: Source, first: str) -> Iterator[Item]:
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#collection = :collection AND #entry >= :first",
            "ExpressionAttributeNames": {"#collection": INGESTION.partition, "#entry": INGESTION.sort},
            "ExpressionAttributeValues": to_item({":collection": _counts(source), ":first": first}),
        }
        return map(from_item, self._client.query(request))

    def note(self, source: Source, problem: Problem) -> None:
        """Keep a problem; the same one again takes its place."""
        values = {
            "reason": problem.reason,
            "event": problem.event,
            "name": problem.name,
            INGESTION.ttl: int(self._clock()) + _PROBLEM_S,
        }
        self._client.call("PutItem", {"TableName": self._table, "Item": _problem(source.id, problem) | to_item(values)})

    def clear(self, source: Source, problem: Problem) -> None:
        """Take back a problem."""
        self._client.call("DeleteItem", {"TableName": self._table, "Key": _problem(source.id, problem)})

    def problems(self, source: Source, most: int) -> list[Problem]:
        """The latest problems of a source, the newest first."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#collection = :collection",
            "ExpressionAttributeNames": {"#collection": INGESTION.partition},
            "ExpressionAttributeValues": to_item({":collection": f"problems#{source.id}"}),
            "ScanIndexForward": False,
            "Limit": most,
        }
        found = []
        for item in map(from_item, islice(self._client.query(request), most)):
            at_ms, delivery, kind = item[INGESTION.sort].split("-", 2)
            found.append(
                Problem(
                    kind=ProblemKind(kind),
                    at_ms=int(at_ms),
                    event=item["event"],
                    delivery=delivery,
                    name=item["name"],
                    reason=item["reason"],
                )
            )
        return found


def _counts(source: Source) -> str:
    return f"counts#{source.id}"


def _by_name(item: Item) -> dict[str, int]:
    return {name.removeprefix(_COUNT): int(value) for name, value in item.items() if name.startswith(_COUNT)}


def _delivery(source_id: str, digest: str) -> dict[str, dict[str, object]]:
    return INGESTION.key(f"deliveries#{source_id}", digest)


def _problem(source_id: str, problem: Problem) -> dict[str, dict[str, object]]:
    entry = f"{problem.at_ms:014d}-{problem.delivery[:32]}-{problem.kind}"
    return INGESTION.key(f"problems#{source_id}", entry)
