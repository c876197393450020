"""The principal of a request: the API key, or the login, that it was sent with, and its tenant."""

from sluice.errors import PermissionDeniedError
from sluice.loading.dataclass import dataclass
from sluice.tenants.tenant import ApiKey, Role, SpendLimits, Tenant


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from.

    A login has no key in the directory: `key` is then made of its token, with an id that is the same for each token of
    one person. `user` is who a login says that it is, None where requests name their users. `has_old_secret`: the key
    was rotated, and the request was sent with the secret before.
    """

    key: ApiKey
    tenant: Tenant
    is_login: bool = False
    user: str | None = None
    has_old_secret: bool = False

    @property
    def role(self) -> Role:
        """What the API key or the login may do."""
        return self.key.role

    @property
    def caller_id(self) -> str:
        """Whose limits a request counts against."""
        return self.key.id

    def user_of(self, named: str | None) -> str | None:
        """The user that a request is for, which may have `named` one: a login speaks for itself alone."""
        return named if self.user is None else self.user

    @property
    def user_spend_limits(self) -> SpendLimits:
        """What each user may spend whom it names: as the API key says, else as the tenant does."""
        return SpendLimits(**self.key.user_limits).over(SpendLimits(**self.tenant.user_limits))


def require_role(principal: Principal, *roles: Role) -> None:
    """PermissionDeniedError unless the principal's role is one of `roles` or includes one of them.

    A role includes those before it: an operator may do what a manager may, an admin everything.
    """
    if not any(principal.role.includes(role) for role in roles):
        needed = " or ".join(roles)
        whose = "the login" if principal.is_login else "the API key"
        raise PermissionDeniedError(f"This needs the role {needed}; {whose} has the role {principal.role}.")
