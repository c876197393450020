"""Usage records: sums per hour, tenant, caller, user, operation, provider, model, credential and task.

tenant_day      acme#2026-11-21
hour_route     <API key>#<user>#14.task#groq#llama-3.1-8b-instant#groq-1#concept_explanation

A caller is a tenant's API key, a user whom the caller names in `metadata.sluice_user`: the caller comes first, so that
what one of them used on a day is one Query of just that. Sums that are older than operations have none after the hour,
and end with the model.

A record is sent once and never again: a time-out may leave a request uncounted, but none is counted twice. What must
not be missed, quotas and budgets, is the ledger's.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from sluice.chat import Usage
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import TypedItem
from sluice.storage.tables import USAGE
from sluice.storage.update import Update
from sluice.usage.sums import SumKey

_KEPT = timedelta(days=400)
# DynamoDB's limit.
_MOST_SORT_KEY_BYTES = 1024
_CUT_QUOTE = re.compile(r"%.?\Z")

type Operation = Literal["chat", "task", "guard", "embedding"]
"""What a model was asked for."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One request, or a guard model's calls for one, which are no requests of their own.

    `cost_nanousd` is in billionths of a dollar; a cache hit and an error cost and use nothing. `infra_nanousd` is an
    estimate of what AWS bills for it. `task` is the one that was run, or that a chat says it is for; `credential` is
    the alias of the one that answered, "" if none did.
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
    operation: Operation = "chat"
    credential: str = ""
    task: str = ""
    requests: int = 1
    guard_calls: int = 0


def usage_key(record: UsageRecord, now: datetime) -> TypedItem:
    """The key of the hour's sum that a request at `now` belongs to, in UTC."""
    now = _utc(now)
    named = map(_quoted, (record.provider, record.model, record.credential))
    route = f"{prefix(record.caller, record.user)}{now:%H}.{record.operation}#{'#'.join(named)}#"
    left = _MOST_SORT_KEY_BYTES - len(route.encode(errors="surrogatepass"))
    return USAGE.key(partition(record.tenant, now.date()), route + _fitting(_quoted(record.task), left))


def sum_key(sort_key: str) -> SumKey:
    """What a sum is of, read back from its sort key."""
    caller, user, at, route = sort_key.split("#", 3)
    hour, _, operation = at.partition(".")
    if operation:
        provider, model, credential, task = map(unquoted, route.split("#"))
    else:
        provider, _, model = route.partition("#")
        credential = task = ""
    return SumKey(
        caller=unquoted(caller),
        user=unquoted(user),
        hour=int(hour),
        operation=operation,
        provider=provider,
        model=model,
        credential=credential,
        task=task,
    )


def partition(tenant: str, day: date) -> str:
    """Where a tenant's sums of a day are."""
    return f"{tenant}#{day:%Y-%m-%d}"


def prefix(caller: str, user: str | None = None) -> str:
    """What the sort keys of a caller's sums begin with, or of one user's of it; "" is what names no user."""
    return f"{_quoted(caller)}#" if user is None else f"{_quoted(caller)}#{_quoted(user)}#"


def unquoted(part: str) -> str:
    """A name as it was, from a part of a sort key."""
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
        update.add("requests", record.requests)
        update.add("prompt_tokens", record.usage.prompt_tokens)
        update.add("completion_tokens", record.usage.completion_tokens)
        update.add("cost_nanousd", record.cost_nanousd)
        # A request's own time is counted with it, its guard models' included.
        update.add("response_time_ms", 0 if record.guard_calls else record.response_time_ms)
        update.add("cache_hits", int(record.is_cache_hit))
        update.add("errors", int(record.is_error))
        update.add("infra_nanousd", record.infra_nanousd)
        if record.guard_calls:
            update.add("guard_calls", record.guard_calls)
            update.add("guard_ms", record.response_time_ms)
        update.set("expires_at", int((hour + _KEPT).timestamp()))
        request = {"TableName": self._table, "Key": usage_key(record, now), **update.arguments()}
        self._client.call("UpdateItem", request, attempts=1)


def _quoted(part: str) -> str:
    # A user is what a caller makes of it, and must not look like somebody else's.
    return part.replace("%", "%25").replace("#", "%23")


def _fitting(quoted: str, most_bytes: int) -> str:
    """As much of a quoted text as has so many bytes: of names, the longest are cut."""
    encoded = quoted.encode()
    if len(encoded) <= most_bytes:
        return quoted
    return _CUT_QUOTE.sub("", encoded[: max(0, most_bytes)].decode(errors="ignore"))


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now must know its time zone")
    return now.astimezone(UTC)
