"""Preferences of a tenant for what Sluice does with its data: documents of a type each, in the Directory table.

owner           entry                   holds
tenant#<id>     preferences#<type>      what was chosen, its version, when and by whom

What is not in a document is as is usual. A document is changed in one transaction with its audit record.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sluice.errors import ConflictError
from sluice.storage.client import DynamoDB
from sluice.storage.tables import DIRECTORY
from sluice.storage.transaction import change, creation, write_together
from sluice.storage.update import Update
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.choices import Choice
from sluice.tenants.owned_entries import OwnedEntries
from sluice.tenants.versions import check_version

PREFERENCE_TYPES = ("agent_config", "dashboard_ai", "embedding_config", "qa_agent")
_ATTEMPTS = 5
_VERSION = "version"


class Preferences:
    """Reads and changes preferences. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, log: AuditLog, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._entries = OwnedEntries(table, client)
        self._log = log
        self._now = now

    def get(self, tenant: str, kind: str) -> Choice:
        """What a tenant chose of a type: version 0 if nothing ever was."""
        item = self._entries.get(_owner(tenant), _entry(kind))
        if item is None:
            return Choice()
        return Choice(
            values=item["values"],
            version=item[_VERSION],
            changed_at=item["changed_at"],
            changed_by=item["changed_by"],
        )

    def forget(self, tenant: str, kinds: Iterable[str]) -> None:
        """Delete the preferences of a tenant that was deleted."""
        for kind in kinds:
            self._entries.forget(_owner(tenant), _entry(kind))

    def change(
        self,
        tenant: str,
        kind: str,
        change_values: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        actor: Actor,
        *,
        if_match: str = "",
    ) -> Choice:
        """Change what a tenant chose of a type, as it is when it is written.

        Raises PreconditionFailedError if it is not what `if_match` names, and ConflictError if others change it all the
        time.
        """
        for _ in range(_ATTEMPTS):
            old = self.get(tenant, kind)
            check_version(if_match, old.version)
            values = change_values(old.values)
            if values == old.values:
                return old
            choice = Choice(
                values=values, version=old.version + 1, changed_at=int(self._now()), changed_by=actor.key_id
            )
            act = Act(Action.PREFERENCES_CHANGED, kind, tenant, differences(old.values, values))
            if write_together(self._client, [self._write(tenant, kind, old, choice), *self._log.writes(act, actor)]):
                return choice
        raise ConflictError("These preferences are being changed by others; look at them and try again.")

    def _write(self, tenant: str, kind: str, old: Choice, choice: Choice) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "values": dict(choice.values),
            _VERSION: choice.version,
            "changed_at": choice.changed_at,
            "changed_by": choice.changed_by,
        }
        if not old.version:
            return creation(self._table, _key(tenant, kind), fields)
        update = Update()
        update.require(_VERSION, "=", old.version)
        for name, value in fields.items():
            update.set(name, value)
        return change(self._table, _key(tenant, kind), update)


def _key(tenant: str, kind: str) -> dict[str, dict[str, str]]:
    return DIRECTORY.key(_owner(tenant), _entry(kind))


def _owner(tenant: str) -> str:
    return f"tenant#{tenant}"


def _entry(kind: str) -> str:
    return f"preferences#{kind}"
