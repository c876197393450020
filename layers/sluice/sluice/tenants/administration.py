"""Administration of tenants and API keys: making them, and revoking keys."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sluice.errors import ConflictError, InvalidRequestError, NotFoundError
from sluice.tenants.api_key_token import KEY_ID_PATTERN, ApiKeyToken
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import ADMIN_ID

_KEY_ID = re.compile(KEY_ID_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What a new API key is to be. None is the deployment's default limit, and no expiry."""

    tenant_id: str
    role: Role
    name: str
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    expires_at: int | None = None


class Administration:
    """Makes tenants and API keys, and revokes keys. `now` is in seconds since 1970."""

    def __init__(self, directory: Directory, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def create_tenant(self, tenant: Tenant) -> Tenant:
        """Store a tenant, as made now; ConflictError if its id is taken."""
        if tenant.id == ADMIN_ID:
            raise ConflictError(f"The id {ADMIN_ID!r} is taken by the admin key's own tenant.", param="id")
        made = replace(tenant, created_at=int(self._now()))
        self._directory.create_tenant(made)
        return made

    def create_key(self, terms: KeyTerms) -> tuple[ApiKey, ApiKeyToken]:
        """Make a key: as it is stored, and the token that nobody sees again; NotFoundError without such a tenant."""
        now = int(self._now())
        if terms.expires_at is not None and terms.expires_at <= now:
            raise InvalidRequestError("expires_at: must be in the future.", param="expires_at")
        token = ApiKeyToken.generate()
        key = ApiKey(
            id=token.id,
            tenant_id=terms.tenant_id,
            role=terms.role,
            name=terms.name,
            secret_hash=token.secret_hash,
            requests_per_minute=terms.requests_per_minute,
            requests_per_day=terms.requests_per_day,
            expires_at=terms.expires_at,
            created_at=now,
        )
        self._directory.create_key(key)
        return key, token

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key. Doing it again changes nothing and is no error: the first answer may have been lost.

        NotFoundError if there never was such a key.
        """
        if not _KEY_ID.fullmatch(key_id):
            raise NotFoundError("There is no API key with this id.", param="id")
        return self._directory.revoke_key(key_id, now=int(self._now()))
