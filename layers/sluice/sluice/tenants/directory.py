"""Tenants and API keys in the Directory table.

owner           entry             holds
key#<id>        key               an API key with the hash of its secret: what one GetItem finds
tenant#<id>     tenant            a tenant; of one that was deleted, when that was, so that nobody gets its id
tenant#<id>     key#<id>          an API key of the tenant, without the hash: what listing reads
tenants         tenant#<id>       a tenant, once more, for listing

What is written twice is written in one transaction, and with it whatever `also` has: the audit record. Each change
counts the `revision` up, and is made to the revision that was read and to no other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from itertools import islice

from sluice.chat import JsonObject
from sluice.errors import ConflictError, NotFoundError
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_together
from sluice.storage.update import Update
from sluice.tenants.choices import narrowed
from sluice.tenants.tenant import ApiKey, GuardModel, GuardModels, Role, Tenant

_TENANT_LIST = "tenants"
_TENANT = "tenant"
_KEY = "key"
_DELETED_AT = "deleted_at"
_REVOKED_AT = "revoked_at"
_REVISION = "revision"
_PAGE = 100
_SECRETS = frozenset({"secret_hash", "old_secret_hash"})

type Entry = Tenant | ApiKey

type Writes = Sequence[JsonObject]
"""Parts of a transaction."""


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

    def create_tenant(self, tenant: Tenant, also: Writes = ()) -> None:
        """Store a new tenant; ConflictError if there is one of that id, or was."""
        item = _without_none({**_fields(tenant), "guard_modes": dict(tenant.guard_modes)})
        if not self._write([*(creation(self._table, key, item) for key in _tenant_keys(tenant.id)), *also]):
            raise ConflictError(f"There is a tenant with the id {tenant.id!r} already, or was.", param="id")

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of that id as its requests are answered: with what it chose; None if it was deleted."""
        stored = self.stored_tenant(tenant_id)
        return None if stored is None else narrowed(stored)

    def stored_tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of that id as an admin made it: what is changed; None if it was deleted."""
        item = self._get(_tenant_owner(tenant_id), _TENANT)
        return None if item is None or _DELETED_AT in item else _to_tenant(item)

    def was_deleted(self, tenant_id: str) -> bool:
        """Whether there was a tenant of that id, and is none any more."""
        return _DELETED_AT in (self._get(_tenant_owner(tenant_id), _TENANT) or {})

    def change_tenant(self, before: Tenant, after: Tenant, also: Writes = ()) -> bool:
        """Make `before`, as it was read, `after`; False if it was changed or deleted in the meantime."""
        changed = [_revised(key, before, after, self._table, absent=_DELETED_AT) for key in _tenant_keys(before.id)]
        return self._write([*changed, *also])

    def delete_tenant(self, tenant: Tenant, now: int, also: Writes = ()) -> bool:
        """Delete a tenant, as it was read, as of `now`, in seconds since 1970: none of its keys belongs to any now.

        Returns False if it was changed or deleted in the meantime. The keys are there still: see `all_keys`.
        """
        kept, listed = _tenant_keys(tenant.id)
        gone = Update()
        gone.require_absent(_DELETED_AT)
        _require_revision(gone, tenant.revision)
        gone.set(_DELETED_AT, now)
        for name in _fields(tenant):
            if name != "id":
                gone.remove(name)
        deletion = {"Delete": {"TableName": self._table, "Key": listed}}
        return self._write([change(self._table, kept, gone), deletion, *also])

    def tenants(self, *, after: str | None, limit: int) -> Page[Tenant]:
        """At most `limit` tenants, those whose ids follow `after`, as admins made them."""
        items, has_more = self._query(_TENANT_LIST, prefix=_tenant_owner(""), after=after, limit=limit)
        return Page(tuple(_to_tenant(item) for item in items), has_more)

    def all_tenants(self) -> Iterator[Tenant]:
        """All tenants as their requests are answered: what admins made them, with what they chose."""
        for item in self._all(_TENANT_LIST, prefix=_tenant_owner("")):
            yield narrowed(_to_tenant(item))

    def create_key(self, key: ApiKey, also: Writes = ()) -> None:
        """Store a new key; NotFoundError if its tenant does not exist, ConflictError if its id is taken."""
        item = _without_none(_fields(key))
        listed = {name: value for name, value in item.items() if name not in _SECRETS}
        stored, shown = _key_keys(key)
        puts = [creation(self._table, stored, item), creation(self._table, shown, listed)]
        if not self._write([*puts, self._tenant_exists(key.tenant_id), *also]):
            if self.tenant(key.tenant_id) is None:
                raise no_tenant(key.tenant_id)
            raise ConflictError(f"There is an API key with the id {key.id!r} already.")

    def key(self, key_id: str) -> ApiKey | None:
        """The key of that id: one GetItem, and what was written before it is seen."""
        item = self._get(_key_owner(key_id), _KEY)
        return None if item is None else _to_key(item)

    def keys(self, tenant_id: str, *, after: str | None, limit: int) -> Page[ApiKey]:
        """At most `limit` keys of a tenant, those whose ids follow `after`; NotFoundError if it does not exist."""
        items, has_more = self._query(_tenant_owner(tenant_id), prefix=_key_owner(""), after=after, limit=limit)
        if not items and self.tenant(tenant_id) is None:
            raise no_tenant(tenant_id)
        return Page(tuple(_to_key(item) for item in items), has_more)

    def all_keys(self, tenant_id: str) -> Iterator[ApiKey]:
        """All keys of a tenant, also of one that was deleted, as they are taken."""
        return map(_to_key, self._all(_tenant_owner(tenant_id), prefix=_key_owner("")))

    def change_key(self, before: ApiKey, after: ApiKey, also: Writes = ()) -> bool:
        """Make `before`, as it was read, `after`; False if it was changed or revoked, or its tenant deleted, since."""
        stored, listed = _key_keys(before)
        changed = [
            _revised(stored, before, after, self._table, absent=_REVOKED_AT),
            _revised(listed, _without_secrets(before), _without_secrets(after), self._table, absent=_REVOKED_AT),
        ]
        return self._write([*changed, self._tenant_exists(before.tenant_id), *also])

    def revoke_key(self, key_id: str, *, now: int, also: Writes = ()) -> ApiKey:
        """Revoke a key as of `now`, in seconds since 1970, and return it; a revoked one keeps its time.

        NotFoundError if there is no such key.
        """
        key = self.key(key_id)
        if key is None:
            raise no_key(key_id)
        if key.revoked_at is not None:
            return key
        revoked = Update()
        revoked.require_exists(DIRECTORY.partition)
        revoked.require_absent(_REVOKED_AT)
        revoked.set(_REVOKED_AT, now)
        revoked.add(_REVISION, 1)
        if not self._write([*(change(self._table, each, revoked) for each in _key_keys(key)), *also]):
            # Somebody else revoked it in the meantime, and that stands.
            return self.key(key_id) or key
        return replace(key, revoked_at=now)

    def _get(self, owner: str, entry: str) -> Item | None:
        request = {"TableName": self._table, "Key": DIRECTORY.key(owner, entry), "ConsistentRead": True}
        answer = self._client.call("GetItem", request)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _all(self, owner: str, *, prefix: str) -> Iterator[Item]:
        """All items of `owner` under `prefix`, in order, read as they are taken."""
        after, has_more = None, True
        while has_more:
            items, has_more = self._query(owner, prefix=prefix, after=after, limit=_PAGE)
            yield from items
            after = items[-1]["id"] if items else None

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

    def _tenant_exists(self, tenant_id: str) -> JsonObject:
        """The part of a transaction that is only carried out while there is the tenant."""
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _tenant_keys(tenant_id)[0],
                "ConditionExpression": "attribute_exists(#owner) AND attribute_not_exists(#deleted_at)",
                "ExpressionAttributeNames": {"#owner": DIRECTORY.partition, "#deleted_at": _DELETED_AT},
            }
        }

    def _write(self, writes: Writes) -> bool:
        return write_together(self._client, writes)


def no_tenant(tenant_id: str | None) -> NotFoundError:
    """There is no such tenant, or not for who asks."""
    return NotFoundError(f"There is no tenant with the id {tenant_id!r}.", param="tenant")


def no_key(key_id: str) -> NotFoundError:
    """There is no such API key, or not for who asks."""
    return NotFoundError(f"There is no API key with the id {key_id!r}.", param="id")


def _revised(key: TypedItem, before: Entry, after: Entry, table: str, *, absent: str) -> JsonObject:
    """The part of a transaction that makes `before` `after` in one of its places, while it has no `absent`."""
    update = Update()
    update.require_exists(DIRECTORY.partition)
    update.require_absent(absent)
    _require_revision(update, before.revision)
    update.set(_REVISION, before.revision + 1)
    old, new = _fields(before), _fields(after)
    for name, value in new.items():
        if name == _REVISION or value == old[name]:
            continue
        if value is None:
            update.remove(name)
        else:
            update.set(name, value)
    return change(table, key, update)


def _require_revision(update: Update, revision: int) -> None:
    # What an older version wrote has none.
    if revision:
        update.require(_REVISION, "=", revision)
    else:
        update.require_absent_or(_REVISION, "=", 0)


def _tenant_keys(tenant_id: str) -> tuple[TypedItem, TypedItem]:
    """Where a tenant is, and where it is listed."""
    owner = _tenant_owner(tenant_id)
    return DIRECTORY.key(owner, _TENANT), DIRECTORY.key(_TENANT_LIST, owner)


def _key_keys(key: ApiKey) -> tuple[TypedItem, TypedItem]:
    """Where an API key is, and where it is listed."""
    owner = _key_owner(key.id)
    return DIRECTORY.key(owner, _KEY), DIRECTORY.key(_tenant_owner(key.tenant_id), owner)


def _tenant_owner(tenant_id: str) -> str:
    return f"tenant#{tenant_id}"


def _key_owner(key_id: str) -> str:
    return f"key#{key_id}"


def _fields(entry: Entry) -> Item:
    found = {each.name: getattr(entry, each.name) for each in fields(entry)}
    if isinstance(entry, Tenant):
        sides = {side: model for side, model in asdict(entry.guard_models).items() if model is not None}
        found["guard_models"] = sides or None
        found["choices"] = dict(entry.choices) or None
        found["integrations"] = entry.integrations or None
    else:
        found["old_secret_hash"] = entry.old_secret_hash or None
    return found


def _without_none(values: Item) -> Item:
    return {name: value for name, value in values.items() if value is not None}


def _without_secrets(key: ApiKey) -> ApiKey:
    """A key as it is listed."""
    return replace(key, secret_hash="", old_secret_hash="")


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
        guard_models=_to_guard_models(item.get("guard_models", {})),
        smart_model_max_percent=item.get("smart_model_max_percent"),
        guard_mode=item.get("guard_mode"),
        is_routing_enabled=item.get("is_routing_enabled"),
        default_max_tokens=item.get("default_max_tokens"),
        default_temperature=item.get("default_temperature"),
        conversation_messages=item.get("conversation_messages"),
        conversation_tokens=item.get("conversation_tokens"),
        revision=item.get("revision", 0),
        user_limits=item.get("user_limits", {}),
        time_zone=item.get("time_zone"),
        choices=item.get("choices", {}),
        integrations=item.get("integrations", 0),
    )


def _to_guard_models(item: Item) -> GuardModels:
    sides = {
        side: GuardModel(each["model"], float(each["threshold"]), each["when_unavailable"])
        for side, each in item.items()
    }
    return GuardModels(sides.get("prompt"), sides.get("answer"))


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
        revision=item.get("revision", 0),
        budget_nanousd=item.get("budget_nanousd"),
        tokens_per_minute=item.get("tokens_per_minute"),
        tokens_per_day=item.get("tokens_per_day"),
        user_limits=item.get("user_limits", {}),
        old_secret_hash=item.get("old_secret_hash", ""),
        old_secret_until=item.get("old_secret_until"),
    )
