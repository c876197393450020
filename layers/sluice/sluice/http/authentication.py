"""Who is calling: from the Authorization header to an API key, its tenant and its role."""

from dataclasses import dataclass
from functools import cache, partial

from sluice.errors import AuthenticationError, PermissionDeniedError
from sluice.settings import settings
from sluice.storage.secrets import read_secret
from sluice.tenants.directory import Directory
from sluice.tenants.presented import PresentedKey
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import KeyVerifier


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


def authenticate(authorization_header: str | None, verifier: KeyVerifier | None = None) -> Principal:
    """Who sent `Authorization: Bearer sl-<id>-<secret>`, by this process's verifier unless another is given.

    AuthenticationError if the key is missing, malformed, unknown, expired or revoked; StorageUnavailableError if that
    can't be found out.
    """
    scheme, _, token = (authorization_header or "").strip().partition(" ")
    is_bearer = scheme.lower() == "bearer"
    if not scheme or (is_bearer and not token):
        raise AuthenticationError("The API key is missing. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    presented = PresentedKey.parse(token.strip()) if is_bearer else None
    if presented is None:
        raise AuthenticationError("The API key is malformed. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    verified = (verifier or key_verifier()).verify(presented)
    return Principal(verified.key, verified.tenant)


def require_role(principal: Principal, *roles: Role) -> None:
    """PermissionDeniedError unless the principal's role is one of `roles` or includes one of them.

    A role includes those before it: an operator may do what a caller may, an admin everything.
    """
    if not any(principal.role.includes(role) for role in roles):
        needed = " or ".join(roles)
        raise PermissionDeniedError(f"This needs the role {needed}; the API key has the role {principal.role}.")


@cache
def key_verifier() -> KeyVerifier:
    """The verifier of this process."""
    configured = settings()
    return KeyVerifier(Directory(configured.directory_table), partial(read_secret, configured.admin_key_secret))
