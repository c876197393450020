"""Who is calling: from the Authorization header to an API key, its tenant and its role."""

from functools import cache, partial

from sluice.errors import AuthenticationError
from sluice.settings import settings
from sluice.storage.secrets import read_secret
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.directory import Directory
from sluice.tenants.principal import Principal
from sluice.tenants.verification import KeyVerifier


def authenticate(authorization_header: str | None, verifier: KeyVerifier | None = None) -> Principal:
    """Who sent `Authorization: Bearer sl-<id>-<secret>`, by this process's verifier unless another is given.

    AuthenticationError if the key is missing, malformed, unknown, expired or revoked; StorageUnavailableError if that
    can't be found out.
    """
    scheme, _, token = (authorization_header or "").strip().partition(" ")
    is_bearer = scheme.lower() == "bearer"
    if not scheme or (is_bearer and not token):
        raise AuthenticationError("The API key is missing. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    presented = ApiKeyToken.parse(token.strip()) if is_bearer else None
    if presented is None:
        raise AuthenticationError("The API key is malformed. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    verified = (verifier or key_verifier()).verify(presented)
    return Principal(verified.key, verified.tenant)


@cache
def key_verifier() -> KeyVerifier:
    """The verifier of this process."""
    configured = settings()
    return KeyVerifier(Directory(configured.directory_table), partial(read_secret, configured.admin_key_secret))
