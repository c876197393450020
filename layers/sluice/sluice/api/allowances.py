"""What is left for a caller, and for the keys of a manager's tenant: GET /v1/budget."""

from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from sluice.api.route import Call, Routes
from sluice.chat import MAX_LABEL_CHARACTERS
from sluice.gateway.allowances import Allowance
from sluice.tenants.api_key_token import KEY_ID_PATTERN
from sluice.tenants.directory import no_key
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role
from sluice.tenants.verification import ADMIN_ID

ROUTES = Routes("Usage")


class AllowanceQuery(BaseModel):
    """The query of GET /v1/budget: also a `user` whom the key's requests name; a login is its own.

    For managers: a `key` in place of the own one, and at most `limit` keys, those whose ids follow `after`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    user: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS)] | None = None
    key: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    after: Annotated[str, Field(pattern=f"^{KEY_ID_PATTERN}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ShownAllowances(TypedDict):
    """What is left for a key, for a user of it, and for its tenant as a whole: each refuses for itself.

    Operators see each key of the tenant; if it `has_more`, the last one's id as `after` asks for the next.
    """

    object: Literal["budget.overview"]
    tenant: Allowance
    key: Allowance
    user: Allowance | None
    keys: list[Allowance]
    has_more: bool


@ROUTES.get("/v1/budget", role=Role.CALLER, errors={404})
def show_allowances(call: Call[None, AllowanceQuery]) -> ShownAllowances:
    """Show what is left of limits and budgets, and when they are free again.

    Of the key that asks, of a user whom it names, and of its tenant; for managers and operators of each key of the
    tenant, too.
    """
    query, allowances = call.query, call.app.allowances
    principal = _principal(call)
    owners = [allowances.of_tenant(principal.tenant), allowances.of_key(principal.key)]
    user = principal.user_of(query.user)
    if user is not None:
        owners.append(allowances.of_user(principal, user))
    first_key, has_more = len(owners), False
    # The first admin key's tenant is in no directory, and has no other.
    if call.principal.role.includes(Role.MANAGER) and principal.tenant.id != ADMIN_ID:
        page = call.app.directory.keys(principal.tenant.id, after=query.after, limit=query.limit)
        owners += [allowances.of_key(key) for key in page.entries]
        has_more = page.has_more
    tenant, key, *rest = left = allowances.left(owners)
    return {
        "object": "budget.overview",
        "tenant": tenant,
        "key": key,
        "user": rest[0] if user is not None else None,
        "keys": left[first_key:],
        "has_more": has_more,
    }


def _principal(call: Call[None, AllowanceQuery]) -> Principal:
    """Whose allowances are shown: who asks, or the key that an operator names."""
    own, key_id = call.principal, call.query.key
    if key_id is None or key_id == own.key.id:
        return own
    key = call.app.directory.key(key_id) if own.role is not Role.CALLER else None
    if key is None or (own.role is not Role.ADMIN and key.tenant_id != own.tenant.id):
        raise no_key(key_id)
    tenant = own.tenant if key.tenant_id == own.tenant.id else call.app.directory.tenant(key.tenant_id)
    if tenant is None:
        raise no_key(key_id)
    return Principal(key, tenant)
