"""Authentication of requests: from a header to an API key or a login, its tenant and its role."""

from collections.abc import Callable

from sluice.errors import AuthenticationError
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.principal import Principal
from sluice.tenants.verification import KeyVerifier

type LoginCheck = Callable[[str], Principal]
"""Verifies a JSON Web Token: see LoginVerifier.verify."""

_DOTS_OF_A_JWT = 2


def authenticate(
    authorization: str | None,
    verifier: KeyVerifier,
    api_key: str | None = None,
    verify_login: LoginCheck | None = None,
) -> Principal:
    """The principal who sent `Authorization: Bearer sl-<id>-<secret>`, or without it `x-api-key: sl-<id>-<secret>`.

    With `verify_login`, a JSON Web Token may stand in place of the API key. AuthenticationError if what was sent is
    missing, malformed, unknown, expired or revoked; StorageUnavailableError or IssuerUnavailableError if that can't be
    found out.
    """
    if api_key and not (authorization or "").strip():
        authorization = f"Bearer {api_key}"
    scheme, _, token = (authorization or "").strip().partition(" ")
    is_bearer, token = scheme.lower() == "bearer", token.strip()
    if not scheme or (is_bearer and not token):
        raise AuthenticationError("The API key is missing. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    # No API key has a dot.
    if is_bearer and verify_login is not None and token.count(".") == _DOTS_OF_A_JWT:
        return verify_login(token)
    presented = ApiKeyToken.parse(token) if is_bearer else None
    if presented is None:
        raise AuthenticationError("The API key is malformed. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    verified = verifier.verify(presented)
    return Principal(verified.key, verified.tenant, has_old_secret=verified.has_old_secret)
