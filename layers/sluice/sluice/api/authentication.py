"""Authentication of requests: from a header to an API key, its tenant and its role."""

from sluice.errors import AuthenticationError
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.principal import Principal
from sluice.tenants.verification import KeyVerifier


def authenticate(authorization: str | None, verifier: KeyVerifier, api_key: str | None = None) -> Principal:
    """The principal who sent `Authorization: Bearer sl-<id>-<secret>`, or without it `x-api-key: sl-<id>-<secret>`.

    AuthenticationError if the key is missing, malformed, unknown, expired or revoked; StorageUnavailableError if that
    can't be found out.
    """
    if api_key and not (authorization or "").strip():
        authorization = f"Bearer {api_key}"
    scheme, _, token = (authorization or "").strip().partition(" ")
    is_bearer = scheme.lower() == "bearer"
    if not scheme or (is_bearer and not token):
        raise AuthenticationError("The API key is missing. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    presented = ApiKeyToken.parse(token.strip()) if is_bearer else None
    if presented is None:
        raise AuthenticationError("The API key is malformed. Send it as 'Authorization: Bearer sl-<id>-<secret>'.")
    verified = verifier.verify(presented)
    return Principal(verified.key, verified.tenant)
