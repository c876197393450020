"""The store of integrations: what they are in the Directory table, what is secret of them in Parameter Store.

owner           entry                   holds
tenant#<id>     integration#<id>        an integration, without its secrets

Each change counts the tenant's `integrations` up in the same transaction: whoever has read the tenant knows whether
what it read of them before is what there is. Secrets are written under a new name before the integration names it, and
the old ones are deleted after that: whatever breaks off between, no integration names what is not there, or what
somebody else wrote.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from typing import Any

from sluice.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    SluiceError,
    StorageUnavailableError,
)
from sluice.integrations.integration import ID_PATTERN, Integration, endings, has_cycle
from sluice.providers.urls import shown_url
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, TypedItem
from sluice.storage.parameters import MOST_TEXT_BYTES, ParameterStore
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation
from sluice.storage.update import Update
from sluice.telemetry.best_effort import best_effort
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.directory import Directory, no_tenant
from sluice.tenants.owned_entries import OwnedEntries
from sluice.tenants.versions import check_version

MOST_OF_A_TENANT = 50
_ATTEMPTS = 5
_ID_BYTES = 12
_PREFIX = "integration#"
_ID = re.compile(ID_PATTERN, re.ASCII)
_MOST_SHOWN = 64


class IntegrationStore:
    """Reads and writes the integrations of tenants. Threads may share it. `now` is in seconds since 1970.

    All methods raise StorageUnavailableError. `secrets_path` is what the names of secrets begin with.
    """

    def __init__(
        self,
        directory: Directory,
        client: DynamoDB,
        parameters: ParameterStore,
        log: AuditLog,
        *,
        table: str,
        secrets_path: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._entries = OwnedEntries(table, client)
        self._parameters = parameters
        self._log = log
        self._table = table
        self._path = secrets_path
        self._now = now

    def all(self, tenant: str) -> list[Integration]:
        """A tenant's integrations, the first made first."""
        found = [_to_integration(item) for item in self._entries.all(_owner(tenant), _PREFIX)]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def get(self, tenant: str, integration_id: str) -> Integration:
        """One integration of a tenant. Raises NotFoundError."""
        if not _ID.fullmatch(integration_id):
            raise _no_integration(integration_id[:_MOST_SHOWN])
        item = self._entries.get(_owner(tenant), f"{_PREFIX}{integration_id}")
        if item is None:
            raise _no_integration(integration_id)
        return _to_integration(item)

    def secrets_of(self, integrations: Sequence[Integration]) -> dict[str, Mapping[str, str]]:
        """The secrets of integrations by their ids; of those whose secrets are gone there are none."""
        names = {each.id: self._name(each) for each in integrations if each.secret}
        texts = self._parameters.get(list(names.values()))
        return {each: json.loads(texts[name]) for each, name in names.items() if name in texts}

    def create(self, wanted: Integration, credentials: Mapping[str, str], actor: Actor) -> Integration:
        """Store a new integration.

        Raises NotFoundError without such a tenant, ConflictError for one too many, InvalidRequestError for a fallback
        that can't be.
        """
        now = int(self._now())
        made = replace(
            wanted,
            id=f"int_{secrets.token_hex(_ID_BYTES)}",
            secret=_new_secret(credentials),
            endings=endings(credentials),
            created_at=now,
            updated_at=now,
            updated_by=actor.key_id,
        )
        act = Act(Action.INTEGRATION_CREATED, made.id, made.tenant, differences({}, _audited(made)))

        def writes(others: Sequence[Integration]) -> list[dict[str, Any]]:
            if len(others) >= MOST_OF_A_TENANT:
                raise ConflictError(f"A tenant has at most {MOST_OF_A_TENANT} integrations.")
            _check_fallback(made, others)
            return [creation(self._table, _key(made.tenant, made.id), _item(made))]

        if self._directory.stored_tenant(made.tenant) is None:
            raise no_tenant(made.tenant)
        writes(self.all(made.tenant))  # before anything secret is kept
        with self._keeping(made, credentials):
            self._write(made.tenant, writes, act, actor)
        return made

    def change(
        self,
        before: Integration,
        alter: Callable[[Integration], Integration],
        credentials: Mapping[str, str] | None,
        actor: Actor,
        *,
        if_match: str = "",
    ) -> Integration:
        """Change an integration, and its secrets if there are new ones.

        Raises NotFoundError, PreconditionFailedError, ConflictError and, for a fallback that can't be,
        InvalidRequestError.
        """
        for _ in range(_ATTEMPTS):
            check_version(if_match, before.version)
            after = replace(
                alter(before),
                version=before.version + 1,
                updated_at=int(self._now()),
                updated_by=actor.key_id,
            )
            if credentials:
                after = replace(after, secret=_new_secret(credentials), endings=endings(credentials))
            act = Act(
                Action.INTEGRATION_CHANGED, after.id, after.tenant, differences(_audited(before), _audited(after))
            )
            with self._keeping(after, credentials or {}):
                is_changed = self._replace(before, after, act, actor)
                if not is_changed and credentials:
                    self._forget_secret(after)
            if is_changed:
                if credentials and before.secret:
                    self._forget_secret(before)
                return after
            before = self.get(before.tenant, before.id)
        raise ConflictError("The integration is being changed by others; look at it and try again.", param="id")

    def delete(self, integration: Integration, actor: Actor) -> None:
        """Delete an integration and its secrets. Raises NotFoundError; ConflictError while another falls back to it."""
        act = Act(
            Action.INTEGRATION_DELETED, integration.id, integration.tenant, differences(_audited(integration), {})
        )
        found: list[Integration] = []

        def writes(others: Sequence[Integration]) -> list[dict[str, Any]]:
            found[:] = [each for each in others if each.id == integration.id]
            if not found:
                raise _no_integration(integration.id)
            users = [each.id for each in others if each.fallback_id == integration.id]
            if users:
                raise ConflictError(f"The integration {users[0]!r} falls back to this one.", param="id")
            return [self._entries.deletion(_owner(integration.tenant), f"{_PREFIX}{integration.id}")]

        self._write(integration.tenant, writes, act, actor)
        for each in found:
            if each.secret:
                self._forget_secret(each)

    def forget(self, tenant: str) -> None:
        """Delete the integrations of a tenant that was deleted, and their secrets."""
        for each in self.all(tenant):
            if each.secret:
                self._parameters.delete(self._name(each))
            self._entries.forget(_owner(tenant), f"{_PREFIX}{each.id}")

    def _replace(self, before: Integration, after: Integration, act: Act, actor: Actor) -> bool:
        def writes(others: Sequence[Integration]) -> list[dict[str, Any]] | None:
            current = next((each for each in others if each.id == before.id), None)
            if current is None or current.version != before.version:
                return None
            _check_fallback(after, others)
            update = Update()
            update.require("version", "=", before.version)
            for name, value in _item(after).items():
                update.set(name, value)
            for name in _item(before).keys() - _item(after).keys():
                update.remove(name)
            return [change(self._table, _key(after.tenant, after.id), update)]

        return self._write(after.tenant, writes, act, actor)

    def _write(
        self,
        tenant_id: str,
        writes: Callable[[Sequence[Integration]], list[dict[str, Any]] | None],
        act: Act,
        actor: Actor,
    ) -> bool:
        """Write what `writes` makes of the tenant's integrations, as they are when it is written; False if nothing."""
        for _ in range(_ATTEMPTS):
            tenant = self._directory.stored_tenant(tenant_id)
            if tenant is None:
                raise no_tenant(tenant_id)
            wanted = writes(self.all(tenant_id))
            if wanted is None:
                return False
            after = replace(tenant, integrations=tenant.integrations + 1)
            # The tenant's revision was read before its integrations: nobody has changed any in between.
            if self._directory.change_tenant(tenant, after, [*wanted, *self._log.writes(act, actor)]):
                return True
        raise ConflictError("The tenant is being changed by others; look at it and try again.")

    @contextmanager
    def _keeping(self, integration: Integration, credentials: Mapping[str, str]) -> Iterator[None]:
        """Keep credentials before the integration names them; nothing is kept if it does not come to name them."""
        if not credentials:
            yield
            return
        text = json.dumps(dict(credentials), separators=(",", ":"))
        if len(text.encode()) > MOST_TEXT_BYTES:
            raise InvalidRequestError("credentials: are more than 4 KB.", param="credentials")
        self._parameters.put(self._name(integration), text)
        try:
            yield
        except StorageUnavailableError:
            raise  # it may be named
        except SluiceError:
            self._forget_secret(integration)
            raise

    def _forget_secret(self, integration: Integration) -> None:
        with best_effort("deleting a secret that no integration names any more"):
            self._parameters.delete(self._name(integration))

    def _name(self, integration: Integration) -> str:
        return f"{self._path}/{integration.tenant}/{integration.id}/{integration.secret}"


def _new_secret(credentials: Mapping[str, str]) -> str:
    return secrets.token_hex(_ID_BYTES) if credentials else ""


def _no_integration(integration_id: str) -> NotFoundError:
    return NotFoundError(f"There is no integration with the id {integration_id!r}.", param="id")


def _check_fallback(integration: Integration, others: Sequence[Integration]) -> None:
    """Refuse a fallback that there is not, that is of another kind, or that leads back."""
    if integration.fallback_id is None:
        return
    param = "fallback_integration_id"
    fallback = next((each for each in others if each.id == integration.fallback_id), None)
    if fallback is None or fallback.type != "ai_model":
        raise InvalidRequestError(f"{param}: the tenant has no such integration of type ai_model.", param=param)
    links = {each.id: each.fallback_id for each in others} | {integration.id: integration.fallback_id}
    if has_cycle(links, integration.id):
        raise InvalidRequestError(f"{param}: the fallbacks would lead back to this integration.", param=param)


def _audited(integration: Integration) -> dict[str, Any]:
    """What a record of the audit log shows of an integration: nothing secret."""
    shown = {name: value for name, value in _item(integration).items() if name not in _UNTOLD}
    if integration.base_url is not None:
        shown["base_url"] = shown_url(integration.base_url)
    return {**shown, "credentials": integration.secret or None}


_UNTOLD = frozenset({"id", "tenant", "secret", "endings", "version", "created_at", "updated_at", "updated_by"})


def _item(integration: Integration) -> Item:
    return {name: value for name, value in asdict(integration).items() if value is not None}


def _to_integration(item: Item) -> Integration:
    # What a newer version writes is left out.
    kept = {name: value for name, value in item.items() if name in _FIELDS}
    return Integration(**{"provider": None, **kept})


_FIELDS = frozenset(each.name for each in fields(Integration))


def _key(tenant: str, integration_id: str) -> TypedItem:
    return DIRECTORY.key(_owner(tenant), f"{_PREFIX}{integration_id}")


def _owner(tenant: str) -> str:
    return f"tenant#{tenant}"
