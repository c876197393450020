"""Configuration of a tenant by its own people: choices, who made them and when.

They are kept in the tenant's record: so they are read with the tenant, and hold wherever a request comes in.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sluice.errors import ConflictError
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.choices import Category, Choice, choice_of, with_choice
from sluice.tenants.directory import Directory, no_tenant
from sluice.tenants.tenant import Tenant
from sluice.tenants.versions import check_version

_ATTEMPTS = 5

type ChangeValues = Callable[[Tenant, Mapping[str, Any]], Mapping[str, Any]]
"""Makes new values of those there are; what it refuses depends on the tenant as an admin made it."""


class Configuration:
    """Reads and changes the choices of tenants. Threads may share it. `now` is in seconds since 1970.

    All methods raise NotFoundError without such a tenant, and StorageUnavailableError.
    """

    def __init__(self, directory: Directory, log: AuditLog, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._log = log
        self._now = now

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant as an admin made it, with its choices."""
        found = self._directory.stored_tenant(tenant_id)
        if found is None:
            raise no_tenant(tenant_id)
        return found

    def change(
        self, tenant_id: str, category: Category, change: ChangeValues, actor: Actor, *, if_match: str = ""
    ) -> Tenant:
        """Change what a tenant chose of a category, as it is when it is written, and return the tenant.

        Raises PreconditionFailedError if it is not what `if_match` names, and ConflictError if others change it all the
        time.
        """
        for _ in range(_ATTEMPTS):
            before = self.tenant(tenant_id)
            old = choice_of(before, category)
            check_version(if_match, old.version)
            values = change(before, old.values)
            if values == old.values:
                return before
            choice = Choice(
                values=values, version=old.version + 1, changed_at=int(self._now()), changed_by=actor.key_id
            )
            after = with_choice(before, category, choice)
            changes = differences(old.values, values)
            act = Act(Action.CONFIGURATION_CHANGED, category, tenant_id, changes)
            if self._directory.change_tenant(before, after, self._log.writes(act, actor)):
                return after
        raise ConflictError(f"The tenant {tenant_id!r} is being changed by others; look at it and try again.")
