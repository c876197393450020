"""Usage records: sums per hour, tenant, caller, user, provider and model.

tenant_day      acme#2026-11-21
hour_route     <API key>#<user>#14#groq#llama-3.1-8b-instant

A caller is a tenant's API key, a user whom the caller names in `metadata.sluice_user`: the caller comes first, so that
what one of them used on a day is one Query of just that.

A record is sent once and never again: a time-out may leave a request uncounted, but none is counted twice. What must
not be missed, quotas and budgets, is the ledger's.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sluice.chat import Usage
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import TypedItem
from sluice.storage.tables import USAGE
from sluice.storage.update import Update

_KEPT = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One request. `cost_nanousd` in billionths of a dollar; a cache hit and an error cost and use nothing.

    `infra_nanousd` is an estimate of what AWS bills for it.
    """

    tenant: str
    caller: str
    provider: str
    model: str
    usage: Usage
    cost_nanousd: int
    response_time_ms: int
    is_cache_hit: bool = False
    is_error: bool = False
    user: str = ""
    infra_nanousd: int = 0


def usage_key(record: UsageRecord, now: datetime) -> TypedItem:
    """The key of the hour's sum that a request at `now` belongs to, in UTC."""
    now = _utc(now)
    route = f"{prefix(record.caller, record.user)}{now:%H}#{record.provider}#{record.model}"
    return USAGE.key(partition(record.tenant, now.date()), route)


def partition(tenant: str, day: date) -> str:
    """Where a tenant's sums of a day are."""
    return f"{tenant}#{day:%Y-%m-%d}"


def prefix(caller: str, user: str | None = None) -> str:
    """What the sort keys of a caller's sums begin with, or of one user's of it; "" is what names no user."""
    return f"{_quoted(caller)}#" if user is None else f"{_quoted(caller)}#{_quoted(user)}#"


def unquoted(part: str) -> str:
    """A caller or user as it was, from a part of a sort key."""
    return part.replace("%23", "#").replace("%25", "%")


class UsageRecords:
    """Adds requests to the sums of one table. Threads may share it."""

    def __init__(self, table: str, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._client = client or dynamodb()

    def add(self, record: UsageRecord, now: datetime) -> None:
        """Add one request to its hour's sum. Raises StorageUnavailableError."""
        hour = _utc(now).replace(minute=0, second=0, microsecond=0)
        update = Update()
        update.add("requests", 1)
        update.add("prompt_tokens", record.usage.prompt_tokens)
        update.add("completion_tokens", record.usage.completion_tokens)
        update.add("cost_nanousd", record.cost_nanousd)
        update.add("response_time_ms", record.response_time_ms)
        update.add("cache_hits", int(record.is_cache_hit))
        update.add("errors", int(record.is_error))
        update.add("infra_nanousd", record.infra_nanousd)
        update.set("expires_at", int((hour + _KEPT).timestamp()))
        request = {"TableName": self._table, "Key": usage_key(record, now), **update.arguments()}
        self._client.call("UpdateItem", request, attempts=1)


def _quoted(part: str) -> str:
    # A user is what a caller makes of it, and must not look like somebody else's.
    return part.replace("%", "%25").replace("#", "%23")


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now must know its time zone")
    return now.astimezone(UTC)
