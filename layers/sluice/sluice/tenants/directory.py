"""Tenants and API keys in the Directory table.

owner           entry             holds
key#<id>        key               an API key with the hash of its secret: what one GetItem finds
tenant#<id>     tenant            a tenant
tenant#<id>     key#<id>          an API key of the tenant, without the hash: what listing reads
tenants         tenant#<id>       a tenant, once more, for listing

What is written twice is written in one transaction. Tenants are never deleted.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice

from sluice.chat import JsonObject
from sluice.errors import ConflictError, NotFoundError, StorageUnavailableError
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import CONDITION_FAILED, TransactionCancelledError
from sluice.storage.item_types import Item, from_item, to_item, to_typed
from sluice.storage.tables import DIRECTORY
from sluice.tenants.tenant import ApiKey, Role, Tenant

_TENANT_LIST = "tenants"
_TENANT = "tenant"
_KEY = "key"

# Two transactions that touch one item at the same time: DynamoDB lets one win and tells the other to come back.
_CONFLICT_RETRIES = 4
_CONFLICT_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Page[Entry]:
    """Some of a list, by ascending id; `has_more` says that the list goes on after the last one."""

    entries: tuple[Entry, ...]
    has_more: bool


class Directory:
    """Reads and writes one Directory table. All methods raise StorageUnavailableError when DynamoDB does not answer."""

    def __init__(self, table: str, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._client = client or dynamodb()

    def create_tenant(self, tenant: Tenant) -> None:
        """Store a new tenant; ConflictError if there is one of that id."""
        item = _without_none({**_fields(tenant), "guard_modes": dict(tenant.guard_modes)})
        places = [(_tenant_owner(tenant.id), _TENANT), (_TENANT_LIST, _tenant_owner(tenant.id))]
        if not self._write([self._put(owner, entry, item) for owner, entry in places]):
            raise ConflictError(f"There is a tenant with the id {tenant.id!r} already.", param="id")

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of that id."""
        item = self._get(_tenant_owner(tenant_id), _TENANT)
        return None if item is None else _to_tenant(item)

    def tenants(self, *, after: str | None, limit: int) -> Page[Tenant]:
        """At most `limit` tenants, those whose ids follow `after`."""
        items, has_more = self._query(_TENANT_LIST, prefix=_tenant_owner(""), after=after, limit=limit)
        return Page(tuple(_to_tenant(item) for item in items), has_more)

    def create_key(self, key: ApiKey) -> None:
        """Store a new key; NotFoundError if its tenant does not exist, ConflictError if its id is taken."""
        if self.tenant(key.tenant_id) is None:
            raise _no_tenant(key.tenant_id)
        item = _without_none(_fields(key))
        listed = {name: value for name, value in item.items() if name != "secret_hash"}
        written = self._write(
            [
                self._put(_key_owner(key.id), _KEY, item),
                self._put(_tenant_owner(key.tenant_id), _key_owner(key.id), listed),
            ]
        )
        if not written:
            raise ConflictError(f"There is an API key with the id {key.id!r} already.")

    def key(self, key_id: str) -> ApiKey | None:
        """The key of that id: one GetItem, and what was written before it is seen."""
        item = self._get(_key_owner(key_id), _KEY)
        return None if item is None else _to_key(item)

    def keys(self, tenant_id: str, *, after: str | None, limit: int) -> Page[ApiKey]:
        """At most `limit` keys of a tenant, those whose ids follow `after`; NotFoundError if it does not exist."""
        items, has_more = self._query(_tenant_owner(tenant_id), prefix=_key_owner(""), after=after, limit=limit)
        if not items and self.tenant(tenant_id) is None:
            raise _no_tenant(tenant_id)
        return Page(tuple(_to_key(item) for item in items), has_more)

    def revoke_key(self, key_id: str, *, now: int) -> ApiKey:
        """Revoke a key as of `now`, in seconds since 1970, and return it; a revoked one keeps its time.

        NotFoundError if there is no such key.
        """
        key = self.key(key_id)
        if key is None:
            raise NotFoundError(f"There is no API key with the id {key_id!r}.", param="id")
        if key.revoked_at is not None:
            return key
        places = [(_key_owner(key.id), _KEY), (_tenant_owner(key.tenant_id), _key_owner(key.id))]
        if not self._write([self._revoke(owner, entry, now) for owner, entry in places]):
            # Somebody else revoked it in the meantime, and that stands.
            return self.key(key_id) or key
        return replace(key, revoked_at=now)

    def _get(self, owner: str, entry: str) -> Item | None:
        request = {"TableName": self._table, "Key": DIRECTORY.key(owner, entry), "ConsistentRead": True}
        answer = self._client.call("GetItem", request)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _query(self, owner: str, *, prefix: str, after: str | None, limit: int) -> tuple[list[Item], bool]:
        """At most `limit` items of `owner` under `prefix`, in order, and whether there are more."""
        condition = "#owner = :owner AND begins_with(#entry, :prefix)"
        values = {":owner": owner, ":prefix": prefix}
        if after is not None:
            # A sort key takes one condition: from the first possible successor of `after` to the end of the prefix.
            condition = "#owner = :owner AND #entry BETWEEN :first AND :last"
            values = {":owner": owner, ":first": f"{prefix}{after}\0", ":last": f"{prefix}\U0010ffff"}
        request = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#owner": DIRECTORY.partition, "#entry": DIRECTORY.sort},
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
            # One more tells whether there are more.
            "Limit": limit + 1,
        }
        found = [from_item(item) for item in islice(self._client.query(request), limit + 1)]
        return found[:limit], len(found) > limit

    def _put(self, owner: str, entry: str, values: Item) -> JsonObject:
        return {
            "Put": {
                "TableName": self._table,
                "Item": DIRECTORY.key(owner, entry) | to_item(values),
                "ConditionExpression": "attribute_not_exists(#owner)",
                "ExpressionAttributeNames": {"#owner": DIRECTORY.partition},
            }
        }

    def _revoke(self, owner: str, entry: str, now: int) -> JsonObject:
        return {
            "Update": {
                "TableName": self._table,
                "Key": DIRECTORY.key(owner, entry),
                "UpdateExpression": "SET #revoked_at = :now",
                "ConditionExpression": "attribute_exists(#owner) AND attribute_not_exists(#revoked_at)",
                "ExpressionAttributeNames": {"#owner": DIRECTORY.partition, "#revoked_at": "revoked_at"},
                "ExpressionAttributeValues": {":now": to_typed(now)},
            }
        }

    def _write(self, writes: Sequence[JsonObject]) -> bool:
        """Write all or nothing; False if a condition does not hold."""
        for attempt in range(_CONFLICT_RETRIES + 1):
            if attempt:
                time.sleep(_CONFLICT_PAUSE_S * 2**attempt)
            try:
                self._client.call("TransactWriteItems", {"TransactItems": writes})
            except TransactionCancelledError as error:
                if CONDITION_FAILED in error.codes:
                    return False
            else:
                return True
        raise StorageUnavailableError("Writing the directory failed: others are writing the same entry, try again.")


def _no_tenant(tenant_id: str) -> NotFoundError:
    return NotFoundError(f"There is no tenant with the id {tenant_id!r}.", param="tenant")


def _tenant_owner(tenant_id: str) -> str:
    return f"tenant#{tenant_id}"


def _key_owner(key_id: str) -> str:
    return f"key#{key_id}"


def _fields(entry: Tenant | ApiKey) -> Item:
    return {each.name: getattr(entry, each.name) for each in fields(entry)}


def _without_none(values: Item) -> Item:
    return {name: value for name, value in values.items() if value is not None}


def _to_tenant(item: Item) -> Tenant:
    allowed_models = item.get("allowed_models")
    return Tenant(
        id=item["id"],
        name=item["name"],
        budget_nanousd=item.get("budget_nanousd"),
        guard_modes=item["guard_modes"],
        allowed_models=None if allowed_models is None else tuple(allowed_models),
        cache_ttl_s=item.get("cache_ttl_s"),
        created_at=item["created_at"],
        cache_policy=item.get("cache_policy"),
        fallbacks={model: tuple(names) for model, names in item.get("fallbacks", {}).items()},
    )


def _to_key(item: Item) -> ApiKey:
    return ApiKey(
        id=item["id"],
        tenant_id=item["tenant_id"],
        role=Role(item["role"]),
        name=item["name"],
        secret_hash=item.get("secret_hash", ""),
        requests_per_minute=item.get("requests_per_minute"),
        requests_per_day=item.get("requests_per_day"),
        expires_at=item.get("expires_at"),
        revoked_at=item.get("revoked_at"),
        created_at=item["created_at"],
    )
