"""Audit records: who did what to whom, when, and what it changed. Pure, but for drawing an id."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Literal

from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

# A longer value is recorded by its digest: an item holds 400 KB, and both values of all that changed.
_MOST_VALUE_BYTES = 16 * 1024
_ID_BYTES = 8

type Outcome = Literal["done", "begun", "failed"]
"""`begun` is what stays of an act that broke off: it may have happened, in whole or in part."""


class Action(StrEnum):
    """What was done."""

    TENANT_CREATED = "tenant.created"
    TENANT_CHANGED = "tenant.changed"
    TENANT_DELETED = "tenant.deleted"
    CONFIGURATION_CHANGED = "ai_configuration.changed"
    PREFERENCES_CHANGED = "ai_preferences.changed"
    INTEGRATION_CREATED = "integration.created"
    INTEGRATION_CHANGED = "integration.changed"
    INTEGRATION_DELETED = "integration.deleted"
    KEY_CREATED = "key.created"
    KEY_CHANGED = "key.changed"
    KEY_REVOKED = "key.revoked"
    KEY_ROTATED = "key.rotated"
    DEPLOYMENT_RESET = "deployment.reset"
    CACHE_CLEARED = "cache.cleared"
    BUDGET_RAISED = "budget.raised"
    BUDGET_RESTARTED = "budget.restarted"
    TASK_VERSION_STORED = "task_version.stored"
    TASK_TRAFFIC_CHANGED = "task_traffic.changed"
    CONVERSATION_READ = "conversation.read"
    CONVERSATION_DELETED = "conversation.deleted"
    USER_DELETED = "user.deleted"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_ROTATED = "webhook.rotated"
    INSIGHTS_MUTED = "insights.muted"
    INSIGHTS_RATED = "insights.rated"
    INGEST_SOURCE_CREATED = "ingest_source.created"
    INGEST_SOURCE_CHANGED = "ingest_source.changed"
    INGEST_SOURCE_DELETED = "ingest_source.deleted"
    INGEST_SOURCE_ROTATED = "ingest_source.rotated"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an API key, its tenant and its role at that moment, and the request that it sent."""

    principal: Principal
    request_id: str

    @property
    def key_id(self) -> str:
        """The API key's id."""
        return self.principal.key.id

    @property
    def tenant(self) -> str:
        """The id of the API key's tenant."""
        return self.principal.tenant.id

    @property
    def role(self) -> Role:
        """What the API key may do."""
        return self.principal.role


@dataclass(frozen=True, slots=True)
class Change:
    """A field's value before and after an act; None is what had, or has, none."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to whom: `tenant` is whose thing it is, None if it is shared by all.

    `target` is the id of what it is done to; the action says what kind of thing that is.
    """

    action: Action
    target: str
    tenant: str | None
    changes: Mapping[str, Change] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An act as it is kept. Ids sort by time; `at_ms` is in milliseconds since 1970."""

    id: str
    at_ms: int
    act: Act
    actor_key: str
    actor_tenant: str
    actor_role: Role
    request_id: str
    outcome: Outcome = "done"


def record_of(act: Act, actor: Actor, at_ms: int, outcome: Outcome = "done") -> AuditRecord:
    """The record of an act at `at_ms`, in milliseconds since 1970."""
    return AuditRecord(
        id=f"{at_ms:013d}-{secrets.token_hex(_ID_BYTES)}",
        at_ms=at_ms,
        act=act,
        actor_key=actor.key_id,
        actor_tenant=actor.tenant,
        actor_role=actor.role,
        request_id=actor.request_id,
        outcome=outcome,
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    """The fields whose values are not the same; one that is missing is None."""
    names = dict.fromkeys((*before, *after))
    found = {name: Change(before.get(name), after.get(name)) for name in names}
    return {
        name: Change(_bounded(change.before), _bounded(change.after))
        for name, change in found.items()
        if change.before != change.after
    }


def _bounded(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True).encode()
    if len(text) <= _MOST_VALUE_BYTES:
        return value
    return {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
