"""Visibility of usage and caches: whose a principal may see. What is out of reach is not found."""

import re
from collections.abc import Iterator

from sluice.loading.dataclass import dataclass
from sluice.tenants.api_key_token import KEY_ID_PATTERN
from sluice.tenants.directory import Directory, no_key, no_tenant
from sluice.tenants.login.claims import is_login_id
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import Role

_KEY_ID = re.compile(KEY_ID_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose usage is asked for: a `caller` (an API key or a login), a `user` of that caller's, or of any caller's."""

    tenant: str
    caller: str | None
    user: str | None

    @property
    def is_key(self) -> bool:
        """Whether it is a caller, which exists whether it was used or not."""
        return self.user is None


def subject(name: str, principal: Principal, tenant: str | None, directory: Directory) -> Subject:
    """Who `name` is to `principal`: the id of an API key or a login, or a user that requests or a login named.

    A caller reaches itself and its own users, an operator all of its tenant, an admin all of the `tenant` it names and
    any API key. NotFoundError for a tenant out of reach.
    """
    own = principal.tenant.id
    if principal.role is not Role.ADMIN and tenant not in {None, own}:
        raise no_tenant(tenant)
    if name == principal.key.id:
        return Subject(own, name, None)
    if principal.role is Role.CALLER:
        return Subject(own, principal.key.id, name)
    within = tenant or (own if principal.role is not Role.ADMIN else None)
    if is_login_id(name):
        # It is no tenant's: the same person may have used several.
        return Subject(within or own, name, None)
    key = directory.key(name) if _KEY_ID.fullmatch(name) else None
    if key is not None and within in {None, key.tenant_id}:
        return Subject(key.tenant_id, key.id, None)
    return Subject(within or own, None, name)


def reached(tenant: str, principal: Principal) -> str:
    """`tenant`, if it is the principal's own or the principal is an admin; else NotFoundError."""
    if principal.role is not Role.ADMIN and tenant != principal.tenant.id:
        raise no_tenant(tenant)
    return tenant


def tenants(principal: Principal, tenant: str | None, directory: Directory) -> Iterator[str]:
    """The ids of tenants whose cache `principal` may see and clear: its own; an admin's are the one it names, or all.

    NotFoundError for a tenant out of reach.
    """
    own = principal.tenant.id
    if tenant in {None, own}:
        yield own
        if principal.role is Role.ADMIN and tenant is None:
            yield from (each.id for each in directory.all_tenants() if each.id != own)
    elif principal.role is Role.ADMIN and directory.tenant(str(tenant)) is not None:
        yield str(tenant)
    else:
        raise no_tenant(tenant)


def usage_reach(
    principal: Principal, tenant: str | None, key: str | None, directory: Directory
) -> tuple[Iterator[str], str | None]:
    """Whose usage `principal` may see: tenants, an admin's all or the one it names, and the API key, if it is but one.

    NotFoundError for a tenant or a key out of reach. A deleted tenant's is there for an admin who names it.
    """
    own = principal.tenant.id
    if principal.role is not Role.ADMIN and tenant not in {None, own}:
        raise no_tenant(tenant)
    if principal.role is Role.CALLER:
        if key not in {None, principal.key.id}:
            raise no_key(str(key))
        return iter((own,)), principal.key.id
    if principal.role is not Role.ADMIN or tenant is not None:
        return iter((tenant or own,)), key
    return tenants(principal, None, directory), key
