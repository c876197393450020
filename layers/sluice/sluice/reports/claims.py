"""What is to be done once: alerts of a window, reports of a day. In the Usage table.

tenant_day              hour_route                              holds
reports.daily#<tenant>  2026-11-25                              a day's report; the tenant * is the whole stack
reports.alerts          2026-11#tenant#acme#budget_usd_...      the alert of one limit in one window
insights.runs#<tenant>  2026-11-25                              that a day's figures were looked at for insights

claimed_until   until when (s) whoever does it has time; then others may
level           what was done: 1 of a report, the percentage of an alert; what is not done has none, or a lower one

No tenant's id has a dot, so that these are nobody's usage. It is done at least once: whoever claims it and dies leaves
it to who comes after `claimed_until`. What is done twice by that is the same both times: a report is written to the
same place, and an alert has the same id.
"""

from datetime import date

from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import USAGE
from sluice.storage.update import Update, Value

_ALERTS = "reports.alerts"
_KEPT_S = 400 * 86_400
DONE = 1
"""The level of a report that is made."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something to be done once."""

    partition: str
    sort: str

    @classmethod
    def report(cls, tenant: str, day: date) -> "Thing":
        """A tenant's report of a day."""
        return cls(_reports(tenant), day.isoformat())

    @classmethod
    def alert(cls, of: str, limit: str, window: str) -> "Thing":
        """The alert of a limit in one of its windows."""
        return cls(_ALERTS, f"{window}#{of}#{limit}")


class Claims:
    """Claims in one table. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB) -> None:
        self._table = table
        self._client = client

    def claim(self, thing: Thing, level: int, now_s: float, time_s: int) -> bool:
        """Whether the caller, and nobody else within `time_s`, is to do it."""
        update = Update()
        update.require_absent_or("level", "<", level)
        update.require_absent_or("claimed_until", "<", int(now_s))
        update.set("claimed_until", int(now_s) + time_s)
        update.set("expires_at", int(now_s) + _KEPT_S)
        return self._write(thing, update)

    def level(self, thing: Thing) -> int:
        """What was done of it; 0 if nothing was, or nobody claimed it."""
        request = {"TableName": self._table, "Key": USAGE.key(thing.partition, thing.sort), "ConsistentRead": True}
        item = self._client.call("GetItem", request).get("Item")
        return 0 if item is None else int(from_item(item).get("level", 0))

    def finish(self, thing: Thing, level: int, **values: Value) -> None:
        """It is done, and these values are kept with it."""
        update = Update()
        update.set("level", level)
        update.remove("claimed_until")
        for name, value in values.items():
            update.set(name, value)
        self._write(thing, update)

    def reports(self, tenant: str, *, before: date | None = None, since: date | None = None, limit: int) -> list[Item]:
        """At most `limit` days of a tenant that reports are made of or being made, the last first."""
        first = since.isoformat() if since else "0"
        last = before.isoformat() if before else "9"
        request = {
            "TableName": self._table,
            # The day that `before` names sorts after this, as does the text without its last letter's successors.
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#partition": USAGE.partition, "#sort": USAGE.sort},
            "ExpressionAttributeValues": to_item({":partition": _reports(tenant), ":first": first, ":last": last}),
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": limit + 1,
        }
        answer = self._client.call("Query", request)
        found = [from_item(item) for item in answer["Items"]]
        return [item for item in found if before is None or item[USAGE.sort] != last][:limit]

    def _write(self, thing: Thing, update: Update) -> bool:
        key = USAGE.key(thing.partition, thing.sort)
        try:
            self._client.call("UpdateItem", {"TableName": self._table, "Key": key, **update.arguments()})
        except ConditionFailedError:
            return False
        return True


def day_of(item: Item) -> str:
    """The day of a report's item."""
    return str(item[USAGE.sort])


def _reports(tenant: str) -> str:
    return f"reports.daily#{tenant}"
