"""Webhook endpoints in the Directory table, each change with its audit record.

owner               entry       holds
webhooks#<tenant>   we_...      an endpoint, what its secret is derived from, and how the last delivery went
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any
from urllib.parse import urlsplit

from sluice.errors import ConflictError, NotFoundError
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_beside_transactions, write_together
from sluice.storage.update import Update
from sluice.tenants.audit import Act, Action, Actor, Change
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.owned_entries import OwnedEntries
from sluice.webhooks.endpoint import (
    MOST_ENDPOINTS,
    OVERLAP_S,
    EventType,
    LastDelivery,
    Outcome,
    WebhookEndpoint,
    hint_of,
    new_endpoint_id,
    new_salt,
)
from sluice.webhooks.signing import endpoint_secret

_FIELDS = tuple(each.name for each in fields(WebhookEndpoint))
_ID = re.compile(r"we_[0-9a-f]{32}", re.ASCII)


class EndpointStore:
    """The endpoints of all tenants. Threads may share it. `clock` gives seconds since 1970.

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

    def create(
        self, url: str, name: str, event_types: tuple[EventType, ...], actor: Actor
    ) -> tuple[WebhookEndpoint, str]:
        """Make an endpoint of the actor's tenant: as it is stored, and its secret, which nobody sees again.

        ConflictError if the tenant has as many as it may.
        """
        tenant, now = actor.tenant, int(self._clock())
        if len(self.all(tenant)) >= MOST_ENDPOINTS:
            raise ConflictError(f"There are {MOST_ENDPOINTS} webhook endpoints, as many as may be: delete one first.")
        endpoint_id, salt = new_endpoint_id(), new_salt()
        secret = endpoint_secret(self._root(), tenant, endpoint_id, salt)
        endpoint = WebhookEndpoint(
            id=endpoint_id,
            tenant=tenant,
            url=url,
            name=name,
            event_types=event_types,
            created_at=now,
            updated_at=now,
            salt=salt,
            hint=hint_of(secret),
        )
        act = Act(Action.WEBHOOK_CREATED, endpoint_id, tenant, _changes(endpoint, is_after=True))
        self._write(endpoint_id, creation(self._table, _key(endpoint), _to_item(endpoint)), act, actor)
        return endpoint, secret

    def all(self, tenant: str) -> list[WebhookEndpoint]:
        """The endpoints of a tenant, of which there are few."""
        found = [_from_item(item) for item in self._entries.all(_owner(tenant))]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def find(self, tenant: str, endpoint_id: str) -> WebhookEndpoint | None:
        """An endpoint of a tenant, None if there is none of this id."""
        if not _ID.fullmatch(endpoint_id):
            return None
        item = self._entries.get(_owner(tenant), endpoint_id)
        return None if item is None else _from_item(item)

    def get(self, tenant: str, endpoint_id: str) -> WebhookEndpoint:
        """An endpoint of a tenant. Raises NotFoundError."""
        found = self.find(tenant, endpoint_id)
        if found is None:
            raise _none(endpoint_id)
        return found

    def delete(self, endpoint_id: str, actor: Actor) -> None:
        """Delete an endpoint of the actor's tenant. Raises NotFoundError."""
        endpoint = self.get(actor.tenant, endpoint_id)
        deletion = self._entries.deletion(_owner(endpoint.tenant), endpoint_id)
        act = Act(Action.WEBHOOK_DELETED, endpoint_id, actor.tenant, _changes(endpoint, is_after=False))
        self._write(endpoint_id, deletion, act, actor)

    def forget(self, tenant: str) -> None:
        """Delete all endpoints of a tenant that was deleted. The same again changes nothing."""
        for endpoint in self.all(tenant):
            self._entries.forget(_owner(tenant), endpoint.id)

    def rotate(self, endpoint_id: str, actor: Actor, *, keeps_old: bool) -> tuple[WebhookEndpoint, str]:
        """Give an endpoint of the actor's tenant another secret. Raises NotFoundError.

        `keeps_old`: for a day, what is sent is signed with the former one as well. If there is a former one already, it
        stays that: who rotates again has not seen the answer, and the receiver knows no other.
        """
        before, now = self.get(actor.tenant, endpoint_id), int(self._clock())
        salt = new_salt()
        secret = endpoint_secret(self._root(), actor.tenant, endpoint_id, salt)
        after = replace(
            before,
            salt=salt,
            hint=hint_of(secret),
            updated_at=now,
            previous_salt=before.salts(now)[-1] if keeps_old else None,
            previous_until=now + OVERLAP_S if keeps_old else 0,
        )
        update = Update()
        for name in ("salt", "hint", "updated_at", "previous_until"):
            update.set(name, getattr(after, name))
        if after.previous_salt is None:
            update.remove("previous_salt")
        else:
            update.set("previous_salt", after.previous_salt)
        update.require("salt", "=", before.salt)
        act = Act(Action.WEBHOOK_ROTATED, endpoint_id, actor.tenant, {"keeps_old": Change(None, keeps_old)})
        self._write(endpoint_id, change(self._table, _key(before), update), act, actor)
        return after, secret

    def secrets(self, endpoint: WebhookEndpoint, now_s: float) -> list[str]:
        """What an endpoint is signed for with now, the newest first."""
        root = self._root()
        return [endpoint_secret(root, endpoint.tenant, endpoint.id, salt) for salt in endpoint.salts(now_s)]

    def note(self, endpoint: WebhookEndpoint, last: LastDelivery, *, disabled_at: int | None) -> None:
        """Note how a delivery went, and with `disabled_at` that the endpoint is to be sent nothing more."""
        update = Update()
        update.set("last_delivery", _known(asdict(last)))
        if disabled_at is not None:
            update.set("disabled_at", disabled_at)
        update.require_exists("url")
        asked = {"TableName": self._table, "Key": _key(endpoint), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", asked)
        except ConditionFailedError:
            return  # it was deleted meanwhile

    def _write(self, endpoint_id: str, write: Mapping[str, Any], act: Act, actor: Actor) -> None:
        if not write_together(self._client, [dict(write), *self._log.writes(act, actor)]):
            if self.find(actor.tenant, endpoint_id) is None:
                raise _none(endpoint_id)
            raise ConflictError("The webhook endpoint is being changed by others; look at it and try again.")


def _changes(endpoint: WebhookEndpoint, *, is_after: bool) -> dict[str, Change]:
    """What the audit log says of an endpoint: of its URL the host, since the rest may hold a secret."""
    shown = {
        "host": urlsplit(endpoint.url).netloc,
        "name": endpoint.name,
        "event_types": [str(each) for each in endpoint.event_types],
    }
    return {name: Change(None, value) if is_after else Change(value, None) for name, value in shown.items()}


def _owner(tenant: str) -> str:
    return f"webhooks#{tenant}"


def _key(endpoint: WebhookEndpoint) -> TypedItem:
    return DIRECTORY.key(_owner(endpoint.tenant), endpoint.id)


def _to_item(endpoint: WebhookEndpoint) -> Item:
    values = _known(asdict(endpoint))
    return values | {"event_types": [str(each) for each in endpoint.event_types]}


def _known(values: Mapping[str, Any]) -> Item:
    return {name: value for name, value in values.items() if value is not None}


def _from_item(item: Item) -> WebhookEndpoint:
    values = {name: item[name] for name in _FIELDS if name in item}
    last = item.get("last_delivery")
    values |= {
        "event_types": tuple(EventType(each) for each in item["event_types"]),
        "last_delivery": LastDelivery(**{"status": None, **last, "outcome": Outcome(last["outcome"])})
        if last
        else None,
    }
    return WebhookEndpoint(**values)


def _none(endpoint_id: str) -> NotFoundError:
    return NotFoundError(f"There is no webhook endpoint {endpoint_id[:64]!r}.", param="webhook_endpoint_id")
