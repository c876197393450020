"""Verification of logins: from a JSON Web Token to who it is of."""

import re
import time
from collections.abc import Callable
from typing import Any

import jwt

from sluice.errors import InvalidTokenError
from sluice.settings import JwtSettings
from sluice.storage.ttl_cache import TtlCache
from sluice.tenants.directory import Directory
from sluice.tenants.login.claims import Login, login_of
from sluice.tenants.login.signing_keys import ALGORITHMS, SigningKeys
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import TENANT_ID_PATTERN, ApiKey, Tenant
from sluice.tenants.verification import HELD_S, UNKNOWN_HELD_S

# All headers of a request together, as API Gateway takes them
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html).
MOST_CHARACTERS = 10_240
LEEWAY_S = 30.0
"""How far the issuer's clock may be from ours."""

_HELD_TENANTS = 1_000
_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TENANT_ID = re.compile(TENANT_ID_PATTERN, re.ASCII)
_REQUIRED = ("exp", "iss", "aud", "sub")
# Of PyJWT's errors, the first that an error is one of; their own messages may quote the token.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired: log in again."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidIssuerError, "The token is of another issuer."),
    (jwt.InvalidAudienceError, "The token is for another application: its audience is not the one that is taken here."),
    (jwt.MissingRequiredClaimError, f"The token lacks one of the claims {', '.join(_REQUIRED)}."),
    (jwt.InvalidSignatureError, "The token's signature is wrong."),
    (jwt.InvalidKeyError, "The key that the token is signed with is too short to be believed."),
)


class LoginVerifier:
    """Verifies tokens of one issuer against its keys, and finds their tenants. Threads may share it."""

    def __init__(
        self,
        settings: JwtSettings,
        keys: SigningKeys,
        directory: Directory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, and measures how long a tenant is held."""
        self._settings = settings
        self._keys = keys
        self._directory = directory
        self._known: TtlCache[Tenant] = TtlCache(lifetime_s=HELD_S, most=_HELD_TENANTS, clock=clock)
        self._unknown: TtlCache[bool] = TtlCache(lifetime_s=UNKNOWN_HELD_S, most=_HELD_TENANTS, clock=clock)

    def verify(self, token: str) -> Principal:
        """Who the token is of.

        InvalidTokenError, which never quotes it, if it is not taken; IssuerUnavailableError and
        StorageUnavailableError if that can't be found out.
        """
        login = login_of(self._claims(token), self._settings)
        tenant = self._tenant(login.tenant_id)
        return Principal(_key(login), tenant, is_login=True, user=login.user)

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that is genuine, of the issuer, for this application, and valid now."""
        if len(token) > MOST_CHARACTERS:
            raise InvalidTokenError(f"The token has more than {MOST_CHARACTERS} characters.")
        if _JWS.fullmatch(token) is None:
            raise InvalidTokenError("The token is not a signed JSON Web Token.")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
                raise InvalidTokenError(f"The token has to be signed with one of {', '.join(ALGORITHMS)}.")
            key = self._keys.find(header.get("kid"), algorithm)
            if key is None:
                raise InvalidTokenError("The token is signed with a key that its issuer does not publish.")
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._settings.audiences,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": list(_REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            reason = next((text for kind, text in _REASONS if isinstance(error, kind)), None)
            raise InvalidTokenError(reason or "The token is malformed.") from None

    def _tenant(self, tenant_id: str) -> Tenant:
        found = self._known.get(tenant_id)
        if found is None and not self._unknown.get(tenant_id):
            fetched_at = self._known.now()
            found = self._directory.tenant(tenant_id) if _TENANT_ID.fullmatch(tenant_id) else None
            if found is None:
                self._unknown.put(tenant_id, True, fetched_at=fetched_at)
            else:
                self._known.put(tenant_id, found, fetched_at=fetched_at)
        if found is None:
            raise InvalidTokenError("The token's tenant does not exist here, or was deleted.")
        return found


def _key(login: Login) -> ApiKey:
    """The login as a key that is stored nowhere: its limits are those of a key that has none of its own."""
    return ApiKey(login.id, login.tenant_id, login.role, "login")
