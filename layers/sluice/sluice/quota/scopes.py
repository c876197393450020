"""What scopes are called: whose limits an item counts. Pure."""

import hashlib

_DIGEST_BYTES = 12


def deployment_scope(deployment: str) -> str:
    """A deployment, by its id."""
    return f"deployment#{deployment}"


def tenant_scope(tenant: str) -> str:
    """A tenant's budget."""
    return f"tenant#{tenant}"


def key_scope(tenant: str, key: str) -> str:
    """An API key."""
    return f"caller#{tenant}#{key}"


def user_scope(tenant: str, key: str, user: str) -> str:
    """A user that an application names, who is somebody else below each of its keys.

    The name is the application's own, so it is kept as a digest: it may be of any length, and somebody's address.
    """
    return f"{key_scope(tenant, key)}#user#{_digest(user)}"


def key_spend_scope(tenant: str, key: str) -> str:
    """The dollars and tokens of an API key.

    Apart from its requests: these are counted before it is known what they cost, and also where they cost nothing.
    """
    return f"spend#{tenant}#{key}"


def user_spend_scope(tenant: str, key: str, user: str) -> str:
    """The dollars and tokens of a user of an API key."""
    return f"{key_spend_scope(tenant, key)}#user#{_digest(user)}"


def is_of_user(scope: str) -> bool:
    """Whether a scope is a user's, of whom there may be thousands."""
    return scope.startswith(("caller#", "spend#")) and "#user#" in scope


def _digest(user: str) -> str:
    return hashlib.blake2b(user.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
