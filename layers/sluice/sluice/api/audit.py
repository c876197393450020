"""The audit log, for admins and for operators of their tenant: GET /v1/audit."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.api.tenant_names import TenantId
from sluice.tenants.api_key_token import KEY_ID_PATTERN
from sluice.tenants.audit import Action, Outcome
from sluice.tenants.audit import AuditRecord as Record
from sluice.tenants.audit_log import AuditQuery
from sluice.tenants.tenant import Role
from sluice.tenants.visibility import reached

ROUTES = Routes("Tenants and keys")

# The last of what has thirteen digits.
_LAST_MS = 10**13 - 1


class AuditLogQuery(BaseModel):
    """The query of GET /v1/audit: at most `limit` records, the latest or those of `page`.

    `from` and `to` are ISO 8601 with a time zone, or seconds since 1970, both included.
    """

    # A misspelt filter must not silently be none.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tenant: TenantId | None = None
    first: AwareDatetime | None = Field(default=None, alias="from")
    last: AwareDatetime | None = Field(default=None, alias="to")
    actor: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    action: Action | None = None
    page: Annotated[str, Field(pattern=r"^[0-9]{13}-[0-9a-f]{16}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class AuditActor(TypedDict):
    """Who acted: an API key, with its tenant and its role at that moment."""

    key: str
    tenant: str
    role: Role


class AuditChange(TypedDict):
    """A field before and after; null is none. A very long value is shown as its digest."""

    before: Any
    after: Any


class AuditRecord(TypedDict):
    """What was done by whom. `outcome` is `begun` if it broke off: it may have happened, in whole or in part."""

    id: str
    object: Literal["audit.record"]
    created_at: Annotated[float, Field(description="Seconds since 1970.")]
    action: Action
    target: Annotated[str, Field(description="The id of what it was done to; `action` says what kind of thing it is.")]
    tenant: Annotated[str | None, Field(description="Whose that is; null if it is shared by all tenants.")]
    actor: AuditActor
    request_id: str
    outcome: Outcome
    changes: dict[str, AuditChange]


class AuditRecords(TypedDict):
    """A page of records, the latest first; `next_page`, if there may be more, is what asks for them."""

    object: Literal["list"]
    data: list[AuditRecord]
    has_more: bool
    next_page: str | None


@ROUTES.get("/v1/audit", role=Role.OPERATOR, errors={404})
def list_audit_records(call: Call[None, AuditLogQuery]) -> AuditRecords:
    """List what admins and operators did.

    Of an operator's own tenant; of all tenants, or the one named, for an admin. There may be fewer on a page than asked
    for, though others follow: `has_more` says so.
    """
    asked, principal = call.query, call.principal
    own = None if principal.role is Role.ADMIN else principal.tenant.id
    query = AuditQuery(
        tenant=own if asked.tenant is None else reached(asked.tenant, principal),
        first_ms=_ms(asked.first, 0),
        last_ms=_ms(asked.last, _LAST_MS),
        actor=asked.actor,
        action=asked.action,
    )
    found = call.app.audit_log.page(query, page=asked.page, limit=asked.limit)
    return {
        "object": "list",
        "data": [_shown(record) for record in found.records],
        "has_more": found.next_page is not None,
        "next_page": found.next_page,
    }


def _ms(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else min(max(int(moment.timestamp() * 1000), 0), _LAST_MS)


def _shown(record: Record) -> AuditRecord:
    act = record.act
    return {
        "id": record.id,
        "object": "audit.record",
        "created_at": record.at_ms / 1000,
        "action": act.action,
        "target": act.target,
        "tenant": act.tenant,
        "actor": {"key": record.actor_key, "tenant": record.actor_tenant, "role": record.actor_role},
        "request_id": record.request_id,
        "outcome": record.outcome,
        "changes": {name: {"before": each.before, "after": each.after} for name, each in act.changes.items()},
    }
