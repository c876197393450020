"""Administration of tenants and API keys: making, changing and deleting them, each with its audit record.

An admin looks after all tenants and keys, an operator after its own tenant's keys; it gives nobody more than it has,
neither role nor limits. What is out of reach is not found.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from aws_lambda_powertools import Logger

from sluice.catalog.money import to_usd
from sluice.errors import ConflictError, InvalidRequestError, NotFoundError, PermissionDeniedError, SluiceError
from sluice.loading.dataclass import dataclass
from sluice.tenants.acting_key import check_secret, current
from sluice.tenants.api_key_token import KEY_ID_PATTERN, ApiKeyToken
from sluice.tenants.audit import Act, Action, Actor, differences
from sluice.tenants.audit_log import AuditLog
from sluice.tenants.directory import Directory, no_key, no_tenant
from sluice.tenants.shown import key_fields, tenant_fields
from sluice.tenants.tenant import TENANT_ID_PATTERN, ApiKey, Role, Tenant
from sluice.tenants.verification import ADMIN_ID

logger = Logger(child=True)

_TENANT_ID = re.compile(TENANT_ID_PATTERN, re.ASCII)
_KEY_ID = re.compile(KEY_ID_PATTERN, re.ASCII)
MOST_OVERLAP_S = 90 * 86_400
"""For how long a secret may be taken beside the one that it was exchanged for."""
# How often a change that met another is made to what that one left.
_ATTEMPTS = 5
# A key's revocation takes a small part of it.
_LEAST_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What a new API key is to be: `limits` by the names of an ApiKey's; without one it is the deployment's default.

    `user_limits` are by the names of SpendLimits. `expires_at` is None for no expiry.
    """

    tenant_id: str
    role: Role
    name: str
    limits: Mapping[str, int | None] = field(default_factory=dict)
    user_limits: Mapping[str, int] = field(default_factory=dict)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class DefaultLimits:
    """The limits of an API key that has none of its own."""

    requests_per_minute: int
    requests_per_day: int


@dataclass(frozen=True, slots=True)
class Deletion:
    """What deleting a tenant did: how many keys were revoked, and whether that were all."""

    keys_revoked: int
    is_finished: bool


class Administration:
    """Makes, changes and deletes tenants and API keys. `now` is in seconds since 1970.

    All methods raise StorageUnavailableError; then nothing was done, or it was and has its record. They raise
    AuthenticationError and PermissionDeniedError, as `current` does, if the actor's key is no longer what was verified.
    """

    def __init__(
        self, directory: Directory, log: AuditLog, defaults: DefaultLimits, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._log = log
        self._defaults = defaults
        self._now = now

    def create_tenant(self, tenant: Tenant, actor: Actor) -> Tenant:
        """Store a tenant, as made now; ConflictError if its id is taken."""
        actor = self._current(actor)
        if tenant.id == ADMIN_ID:
            raise ConflictError(f"The id {ADMIN_ID!r} is taken by the admin key's own tenant.", param="id")
        made = replace(tenant, created_at=self._now_s())
        act = Act(Action.TENANT_CREATED, made.id, made.id, differences({}, tenant_fields(made)))
        self._directory.create_tenant(made, self._log.writes(act, actor))
        return made

    def change_tenant(self, tenant_id: str, change: Callable[[Tenant], Tenant], actor: Actor) -> Tenant:
        """Change a tenant, as it is when it is written: what others change meanwhile stays.

        Raises NotFoundError, and ConflictError if others change it all the time.
        """
        actor = self._current(actor)
        for _ in range(_ATTEMPTS):
            before = self._tenant(tenant_id)
            after = change(before)
            changes = differences(tenant_fields(before), tenant_fields(after))
            if not changes:
                return before
            act = Act(Action.TENANT_CHANGED, tenant_id, tenant_id, changes)
            if self._directory.change_tenant(before, after, self._log.writes(act, actor)):
                return after
        raise _contended("tenant", tenant_id)

    def delete_tenant(self, tenant_id: str, actor: Actor, remaining_s: Callable[[], float]) -> Deletion:
        """Delete a tenant, whose keys belong to nobody then, and revoke them, for as long as there is time.

        Doing it again revokes what is left. NotFoundError if there never was such a tenant.
        """
        actor = self._current(actor)
        self._take_tenant_away(tenant_id, actor)
        revoked = 0
        for key in self._directory.all_keys(tenant_id):
            if key.revoked_at is not None:
                continue
            if remaining_s() < _LEAST_S:
                return Deletion(revoked, is_finished=False)
            self._revoke(key, actor)
            revoked += 1
        return Deletion(revoked, is_finished=True)

    def create_key(self, terms: KeyTerms, actor: Actor) -> tuple[ApiKey, ApiKeyToken]:
        """Make a key: as it is stored, and the token that nobody sees again.

        NotFoundError without such a tenant, PermissionDeniedError for more than the actor has.
        """
        return self._create_key(terms, self._current(actor))

    def create_keys(
        self, terms: Sequence[KeyTerms], actor: Actor
    ) -> tuple[list[tuple[ApiKey, ApiKeyToken]], list[str]]:
        """Make keys, which may do the same: those that were made, and the names of those that were not.

        Raises as `create_key` if none was made. Who asked gets what was made, as nobody else can show it again.
        """
        actor = self._current(actor)
        made: list[tuple[ApiKey, ApiKeyToken]] = []
        for place, each in enumerate(terms):
            try:
                made.append(self._create_key(each, actor))
            except SluiceError:
                if not made:
                    raise
                logger.warning("making keys broke off", made=len(made), left=len(terms) - place, exc_info=True)
                return made, [left.name for left in terms[place:]]
        return made, []

    def change_key(self, key_id: str, change: Callable[[ApiKey], ApiKey], actor: Actor) -> ApiKey:
        """Change a key, as it is when it is written: what others change meanwhile stays.

        Raises NotFoundError, PermissionDeniedError for more than the actor has, and ConflictError for a revoked key, or
        if others change it all the time.
        """
        actor = self._current(actor)
        for _ in range(_ATTEMPTS):
            before = self._changeable_key(key_id, actor)
            after = change(before)
            changes = differences(key_fields(before), key_fields(after))
            if not changes:
                return before
            if "expires_at" in changes:
                self._check_expiry(after)
            self._check_grant(before, after, actor)
            act = Act(Action.KEY_CHANGED, key_id, before.tenant_id, changes)
            if self._directory.change_key(before, after, self._log.writes(act, actor)):
                return after
        raise _contended("API key", key_id)

    def rotate_key(self, key_id: str, old_until: int | None, actor: Actor) -> tuple[ApiKey, ApiKeyToken]:
        """Give a key another secret, which nobody sees again; the one it had is taken until `old_until`, if at all.

        While a secret before that one is still taken, it is the one that goes on being taken: a rotation whose answer
        was lost is sent again, and clients have the secret that they had before both.
        What the key owns, what it has used and what it may do stay. Raises as `change_key`, ConflictError for an
        expired key, and PermissionDeniedError for one that may do more than the actor: who has the secret may do all
        of it.
        """
        if old_until is not None and not 0 < old_until - self._now() <= MOST_OVERLAP_S:
            days = MOST_OVERLAP_S // 86_400
            raise InvalidRequestError(
                f"old_secret_until: must be in the future, within {days} days.", param="old_secret_until"
            )
        actor = self._current(actor)
        for _ in range(_ATTEMPTS):
            before = self._changeable_key(key_id, actor)
            self._check_rotation(before, actor)
            token = ApiKeyToken(before.id, ApiKeyToken.generate().secret)
            after = replace(
                before,
                secret_hash=token.secret_hash,
                old_secret_hash="" if old_until is None else self._secret_in_use(before),
                old_secret_until=old_until,
            )
            act = Act(Action.KEY_ROTATED, key_id, before.tenant_id, differences(key_fields(before), key_fields(after)))
            if self._directory.change_key(before, after, self._log.writes(act, actor)):
                return after, token
        raise _contended("API key", key_id)

    def revoke_key(self, key_id: str, actor: Actor) -> ApiKey:
        """Revoke a key. Doing it again changes nothing and is no error: the first answer may have been lost.

        NotFoundError if there never was such a key, PermissionDeniedError if it may do more than the actor.
        """
        actor = self._current(actor)
        return self._revoke(self._key(key_id, actor), actor)

    def _current(self, actor: Actor) -> Actor:
        return current(actor, self._directory, self._now())

    def _create_key(self, terms: KeyTerms, actor: Actor) -> tuple[ApiKey, ApiKeyToken]:
        if actor.role is not Role.ADMIN and terms.tenant_id != actor.tenant:
            raise no_tenant(terms.tenant_id)
        token, limits = ApiKeyToken.generate(), dict[str, Any](terms.limits)
        key = ApiKey(
            id=token.id,
            tenant_id=terms.tenant_id,
            role=terms.role,
            name=terms.name,
            secret_hash=token.secret_hash,
            expires_at=terms.expires_at,
            created_at=self._now_s(),
            user_limits=terms.user_limits,
            **limits,
        )
        self._check_expiry(key)
        self._check_grant(None, key, actor)
        act = Act(Action.KEY_CREATED, key.id, key.tenant_id, differences({}, key_fields(key)))
        self._directory.create_key(key, self._log.writes(act, actor))
        return key, token

    def _take_tenant_away(self, tenant_id: str, actor: Actor) -> None:
        for _ in range(_ATTEMPTS):
            if _TENANT_ID.fullmatch(tenant_id) and self._directory.was_deleted(tenant_id):
                return
            tenant = self._tenant(tenant_id)
            act = Act(Action.TENANT_DELETED, tenant_id, tenant_id, differences(tenant_fields(tenant), {}))
            if self._directory.delete_tenant(tenant, self._now_s(), self._log.writes(act, actor)):
                return
        raise _contended("tenant", tenant_id)

    def _revoke(self, key: ApiKey, actor: Actor) -> ApiKey:
        act = Act(Action.KEY_REVOKED, key.id, key.tenant_id)
        return self._directory.revoke_key(key.id, now=self._now_s(), also=self._log.writes(act, actor))

    def _tenant(self, tenant_id: str) -> Tenant:
        tenant = self._directory.stored_tenant(tenant_id) if _TENANT_ID.fullmatch(tenant_id) else None
        if tenant is None:
            raise no_tenant(tenant_id)
        return tenant

    def _key(self, key_id: str, actor: Actor) -> ApiKey:
        """A key within the actor's reach."""
        if not _KEY_ID.fullmatch(key_id):
            raise NotFoundError("There is no API key with this id.", param="id")
        key = self._directory.key(key_id)
        if key is None or (actor.role is not Role.ADMIN and key.tenant_id != actor.tenant):
            raise no_key(key_id)
        if not actor.role.includes(key.role):
            raise PermissionDeniedError(f"The API key {key_id!r} has the role {key.role}; yours is {actor.role}.")
        if key.id == actor.key_id:
            # It may have been rotated since it was read as the actor's.
            check_secret(key, actor)
        return key

    def _changeable_key(self, key_id: str, actor: Actor) -> ApiKey:
        """A key within the actor's reach that was not revoked."""
        key = self._key(key_id, actor)
        if key.revoked_at is not None:
            raise ConflictError(f"The API key {key_id!r} was revoked, and stays so.", param="id")
        if self._directory.tenant(key.tenant_id) is None:
            raise no_key(key_id)
        return key

    def _check_expiry(self, key: ApiKey) -> None:
        if key.is_expired(self._now()):
            raise InvalidRequestError("expires_at: must be in the future.", param="expires_at")

    def _check_rotation(self, key: ApiKey, actor: Actor) -> None:
        """ConflictError for an expired key; PermissionDeniedError for one that may do more than the actor."""
        if key.is_expired(self._now()):
            raise ConflictError(f"The API key {key.id!r} has expired: give it a later expires_at, then rotate it.")
        try:
            self._check_grant(None, key, actor)
        except PermissionDeniedError as error:
            # Without its `param`, which names a field of the key, and none of the request.
            raise PermissionDeniedError(f"The API key {key.id!r} may do more than yours. {error.message}") from None

    def _secret_in_use(self, key: ApiKey) -> str:
        """The hash of the secret that a key's clients have for sure: while there are two, the older one."""
        return key.old_secret_hash if key.takes_old_secret(self._now()) else key.secret_hash

    def _check_grant(self, before: ApiKey | None, after: ApiKey, actor: Actor) -> None:
        """PermissionDeniedError if `after` may do more than the actor, in what it has of it anew."""
        if not actor.role.includes(after.role):
            raise PermissionDeniedError(f"role: {after.role} is more than {actor.role}, your own.", param="role")
        if actor.role is Role.ADMIN:
            return
        for name in ("requests_per_minute", "requests_per_day"):
            own, wanted = self._limit(actor.principal.key, name), self._limit(after, name)
            if wanted > own and (before is None or wanted > self._limit(before, name)):
                reason = f"limits.{name}: {wanted} is more than {own}, your own."
                raise PermissionDeniedError(reason, param=f"limits.{name}")
        _check_spend_grant(before, after, actor.principal.key)

    def _limit(self, key: ApiKey, name: str) -> int:
        own: int | None = getattr(key, name)
        default: int = getattr(self._defaults, name)
        return default if own is None else own

    def _now_s(self) -> int:
        return int(self._now())


def _check_spend_grant(before: ApiKey | None, after: ApiKey, own: ApiKey) -> None:
    """PermissionDeniedError if `after` may spend more than one's `own` key, in what it has of it anew."""
    for name in _SPEND_LIMITS:
        most: int | None = getattr(own, name)
        wanted: int | None = getattr(after, name)
        if most is None or (wanted is not None and wanted <= most):
            continue
        had: int | None = getattr(before, name) if before else 0
        if had is not None and (wanted is None or wanted > had):
            shown, said = _SPEND_LIMITS[name]
            reason = f"limits.{shown}: {said(wanted)} is more than {said(most)}, your own."
            raise PermissionDeniedError(reason, param=f"limits.{shown}")


def _dollars(nanousd: int | None) -> str:
    return "none" if nanousd is None else f"${to_usd(nanousd):f}"


def _tokens(tokens: int | None) -> str:
    return "none" if tokens is None else str(tokens)


# What may be spent, by the API's names and in its units.
_SPEND_LIMITS: Mapping[str, tuple[str, Callable[[int | None], str]]] = {
    "budget_nanousd": ("budget_usd_per_month", _dollars),
    "tokens_per_minute": ("tokens_per_minute", _tokens),
    "tokens_per_day": ("tokens_per_day", _tokens),
}


def _contended(kind: str, entry_id: str) -> ConflictError:
    return ConflictError(f"The {kind} {entry_id!r} is being changed by others; look at it and try again.", param="id")
