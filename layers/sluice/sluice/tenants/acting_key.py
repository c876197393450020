"""The API key of who administers, as it is stored now: what was verified may have been held in memory for a while.

Within that while a rotated secret, a revoked key or a role that was taken away could make keys that outlive it.
"""

from dataclasses import replace

from sluice.errors import AuthenticationError, PermissionDeniedError
from sluice.tenants.audit import Actor
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey
from sluice.tenants.verification import ADMIN_ID


def current(actor: Actor, directory: Directory, now: float) -> Actor:
    """The actor with its API key as it is stored at `now`, in seconds since 1970.

    AuthenticationError if the key does not hold any more; PermissionDeniedError if it was signed in with a secret that
    is not the key's newest, or has lost its role. Logins, and the stack's admin key, are stored nowhere.
    """
    if actor.principal.is_login or actor.key_id == ADMIN_ID:
        return actor
    own = directory.key(actor.key_id)
    is_gone = own is None or own.revoked_at is not None or own.is_expired(now)
    if own is None or is_gone or directory.tenant(own.tenant_id) is None:
        raise AuthenticationError("Your API key holds no more: it was revoked, has expired, or its tenant was deleted.")
    check_secret(own, actor)
    if not own.role.includes(actor.role):
        raise PermissionDeniedError(f"Your API key has the role {own.role} now, and no longer {actor.role}.")
    return replace(actor, principal=replace(actor.principal, key=own))


def check_secret(own: ApiKey, actor: Actor) -> None:
    """PermissionDeniedError if the actor signed in with a secret that is not the newest of its `own` key."""
    principal = actor.principal
    if principal.has_old_secret or principal.key.secret_hash != own.secret_hash:
        raise PermissionDeniedError(
            f"Your API key {own.id!r} was rotated, and you signed in with a secret before its newest: "
            "keys and tenants are looked after with the newest alone.",
            code="old_secret",
        )
