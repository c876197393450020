"""Records of requests as items of the request log. Pure.

tenant_shard    acme#5, of 8 shards: which one is in the request's id
request         req_0193..., sorted by when the request began

What has no value is left out of an item, so that most take one write unit. Why the key is this one:
docs/decisions/0041-a-record-of-each-request-is-kept-for-a-week.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sluice.request_log.record import Attempted, GuardModelUse, Judgement, RequestOutcome, RequestRecord
from sluice.request_log.request_id import random_part
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import REQUEST_LOG

SHARDS = 8
KEPT_S = 7 * 86_400
_KEY = ("request_id", "tenant")
_DEFAULTS = {each.name: each.default for each in fields(RequestRecord) if each.name not in _KEY}


def record_key(tenant: str, request_id: str) -> TypedItem:
    """The key of a request's record."""
    return REQUEST_LOG.key(partition(tenant, random_part(request_id) % SHARDS), request_id)


def partition(tenant: str, shard: int) -> str:
    """Where the records of one shard of a tenant are."""
    return f"{tenant}#{shard}"


def to_record_item(record: RequestRecord, now_s: float) -> TypedItem:
    """A record as it is stored at `now_s`, in seconds since 1970, to be deleted a week later."""
    values = {name: getattr(record, name) for name, default in _DEFAULTS.items() if getattr(record, name) != default}
    if record.attempts:
        values["attempts"] = [_attempt_item(each) for each in record.attempts]
    if record.guard_models:
        values["guard_models"] = [_guard_item(each) for each in record.guard_models]
    values["outcome"] = str(record.outcome)
    values["expires_at"] = int(now_s) + KEPT_S
    return record_key(record.tenant, record.request_id) | to_item(values)


def from_record_item(typed: Mapping[str, Any]) -> RequestRecord:
    """A record as it was stored. What a later version added is left out."""
    item = from_item(typed)
    known: Item = {name: value for name, value in item.items() if name in _DEFAULTS}
    known["attempts"] = tuple(
        Attempted(each["deployment"], each["result"], each.get("time_ms", 0), each.get("status", 0))
        for each in item.get("attempts", ())
    )
    known["guard_models"] = tuple(_to_guard_model(each) for each in item.get("guard_models", ()))
    known["guard_rules"] = tuple(item.get("guard_rules", ()))
    known["outcome"] = RequestOutcome(item["outcome"])
    tenant = item[REQUEST_LOG.partition].rpartition("#")[0]
    return RequestRecord(request_id=item[REQUEST_LOG.sort], tenant=tenant, **known)


def _attempt_item(attempt: Attempted) -> Item:
    given = {"deployment": attempt.deployment, "result": attempt.result}
    return given | {name: value for name in ("time_ms", "status") if (value := getattr(attempt, name))}


def _guard_item(use: GuardModelUse) -> Item:
    return {name: value for name, value in asdict(use).items() if value not in ("", 0)}


def _to_guard_model(item: Item) -> GuardModelUse:
    known = {each.name for each in fields(GuardModelUse)}
    given = {name: value for name, value in item.items() if name in known}
    return GuardModelUse(**{**given, "judgement": Judgement(item["judgement"])})
