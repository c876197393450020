"""Verification of API keys, with what was found kept in memory for a while."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sluice.errors import AuthenticationError, StorageUnavailableError
from sluice.loading.dataclass import dataclass
from sluice.storage.ttl_cache import TtlCache
from sluice.tenants.api_key_token import ApiKeyToken, hash_secret
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Role, Tenant

# What is revoked, changed or deleted must be so within 60 s everywhere: this, and what a slow DynamoDB adds.
HELD_S = 50
_HELD_KEYS = 10_000
# Long enough to blunt a client that repeats itself, short enough that nobody waits for a new key.
UNKNOWN_HELD_S = 5
_HELD_UNKNOWN = 1_000

ADMIN_ID = "admin"
ADMIN_TENANT = Tenant(id=ADMIN_ID, name="Administration")

# Compared against where there is no key, so that an unknown id takes as long as a wrong secret.
_NO_SECRET_HASH = hash_secret("")


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """An API key and the tenant it belongs to. `has_old_secret`: it was verified by the secret before its newest."""

    key: ApiKey
    tenant: Tenant
    has_old_secret: bool = False


class KeyVerifier:
    """Verifies API keys against a Directory table and the admin key's secret.

    `read_admin_secret` returns the JSON `{"id": "admin", "secret": "<letters and digits>"}`; it is None where the admin
    key is not taken, so that what answers prompts need not be able to read it. `clock` is monotonic and measures how
    long something is held; `now` is in seconds since 1970 and decides what has expired.
    """

    def __init__(
        self,
        directory: Directory,
        read_admin_secret: Callable[[], str] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._read_admin_secret = read_admin_secret
        self._now = now
        # Apart, so that guessing at keys does not push out those that are in use.
        self._known: TtlCache[VerifiedKey] = TtlCache(lifetime_s=HELD_S, most=_HELD_KEYS, clock=clock)
        self._unknown: TtlCache[bool] = TtlCache(lifetime_s=UNKNOWN_HELD_S, most=_HELD_UNKNOWN, clock=clock)
        self._read_again: TtlCache[bool] = TtlCache(lifetime_s=UNKNOWN_HELD_S, most=_HELD_UNKNOWN, clock=clock)

    def verify(self, presented: ApiKeyToken) -> VerifiedKey:
        """The key and its tenant.

        AuthenticationError if the key is unknown, expired or revoked: only who has the right secret learns which.
        StorageUnavailableError if that can't be found out.
        """
        found = self._find(presented.id)
        is_right = self._is_right(presented, found)
        if not is_right and found is not None and (again := self._again(presented.id)) is not None:
            found, is_right = again, self._is_right(presented, again)
        if found is None or not is_right:
            raise AuthenticationError("This API key is unknown. Check that it was copied whole.")
        valid = self._valid(found)
        return valid if presented.matches(valid.key.secret_hash) else replace(valid, has_old_secret=True)

    def known(self, tenant_id: str, key_id: str) -> VerifiedKey:
        """A key that was verified when it asked for what is done now. Raises as `verify`."""
        found = self._find(key_id)
        if found is None or found.tenant.id != tenant_id:
            raise AuthenticationError("The API key that asked for this is gone.")
        return self._valid(found)

    def _is_right(self, presented: ApiKeyToken, found: VerifiedKey | None) -> bool:
        """Whether a secret is the key's, or the one before it while that is taken; as long in each case."""
        key = found.key if found else None
        is_new = presented.matches(key.secret_hash if key else _NO_SECRET_HASH)
        is_old = presented.matches((key and key.old_secret_hash) or _NO_SECRET_HASH)
        return key is not None and (is_new or (key.takes_old_secret(self._now()) and is_old))

    def _again(self, key_id: str) -> VerifiedKey | None:
        """A key as it is now, if it may have another secret than the one that is held; None if it was read just now."""
        if key_id == ADMIN_ID or self._read_again.get(key_id):
            return None
        fetched_at = self._known.now()
        self._read_again.put(key_id, True, fetched_at=fetched_at)
        found = self._stored(key_id)
        if found is not None:
            self._known.put(key_id, found, fetched_at=fetched_at)
        return found

    def _valid(self, found: VerifiedKey) -> VerifiedKey:
        key = found.key
        if key.revoked_at is not None:
            raise AuthenticationError(f"This API key was revoked at {_utc(key.revoked_at)}.")
        if key.expires_at is not None and key.is_expired(self._now()):
            raise AuthenticationError(f"This API key expired at {_utc(key.expires_at)}.")
        return found

    def _find(self, key_id: str) -> VerifiedKey | None:
        if key_id == ADMIN_ID:
            if self._read_admin_secret is None:
                raise AuthenticationError("The admin key is not taken here: send a tenant's key, which it can make.")
            # Whoever reads the secret holds it already; held twice, an exchanged admin key would live twice as long.
            return _admin(self._read_admin_secret)
        found = self._known.get(key_id)
        if found is not None or self._unknown.get(key_id):
            return found
        fetched_at = self._known.now()
        found = self._stored(key_id)
        if found is None:
            self._unknown.put(key_id, True, fetched_at=fetched_at)
        else:
            self._known.put(key_id, found, fetched_at=fetched_at)
        return found

    def _stored(self, key_id: str) -> VerifiedKey | None:
        key = self._directory.key(key_id)
        if key is None:
            return None
        tenant = self._directory.tenant(key.tenant_id)
        # A deleted tenant's keys are nobody's, before each of them is revoked.
        return None if tenant is None else VerifiedKey(key, tenant)


def _admin(read_secret: Callable[[], str]) -> VerifiedKey:
    try:
        secret = json.loads(read_secret())["secret"]
        key = ApiKey(ADMIN_ID, ADMIN_ID, Role.ADMIN, ADMIN_TENANT.name, hash_secret(secret))
    except (ValueError, TypeError, KeyError, AttributeError):
        # Without the cause: a message about malformed JSON may show some of it.
        raise StorageUnavailableError("The admin key's secret is not JSON with a text 'secret'.") from None
    return VerifiedKey(key, ADMIN_TENANT)


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
