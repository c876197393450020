"""The principal of a request: the API key that it was sent with, and the key's tenant."""

from dataclasses import dataclass

from sluice.errors import PermissionDeniedError
from sluice.tenants.tenant import ApiKey, Role, Tenant


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from."""

    key: ApiKey
    tenant: Tenant

    @property
    def role(self) -> Role:
        """What the API key may do."""
        return self.key.role

    @property
    def caller_id(self) -> str:
        """Whose limits a request counts against."""
        return self.key.id


def require_role(principal: Principal, *roles: Role) -> None:
    """PermissionDeniedError unless the principal's role is one of `roles` or includes one of them.

    A role includes those before it: an operator may do what a caller may, an admin everything.
    """
    if not any(principal.role.includes(role) for role in roles):
        needed = " or ".join(roles)
        raise PermissionDeniedError(f"This needs the role {needed}; the API key has the role {principal.role}.")
