"""What the claims of a verified token say: tenant, user and role, as the deployment's settings map them. Pure."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sluice.chat import MAX_LABEL_CHARACTERS
from sluice.errors import InvalidTokenError
from sluice.loading.dataclass import dataclass
from sluice.settings import JwtSettings
from sluice.tenants.tenant import Role

LOGIN_ID_PREFIX = "jwt"
LOGIN_ID_PATTERN = f"{LOGIN_ID_PREFIX}[a-z2-7]{{26}}"
"""What the id of a login is. It is one that a key could have, and none has: those are shorter."""

_ID_CHARACTERS = 26
_LOGIN_ID = re.compile(LOGIN_ID_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Login:
    """Who a token says that it is. `id` stands for the person wherever an API key's id would stand for the key."""

    id: str
    tenant_id: str
    user: str | None
    role: Role


def login_of(claims: Mapping[str, Any], settings: JwtSettings) -> Login:
    """Read the claims of a verified token. InvalidTokenError if they say too little, or what can't be."""
    return Login(
        id=login_id(_text(claims, "iss"), _text(claims, "sub")),
        tenant_id=_tenant_id(claims, settings),
        user=_user(claims, settings.user_claim) if settings.user_claim else None,
        role=_role(claims, settings),
    )


def is_login_id(caller: str) -> bool:
    """Whether an id is that of a login, and of no API key."""
    return _LOGIN_ID.fullmatch(caller) is not None


def login_id(issuer: str, subject: str) -> str:
    """The id of a login: a digest of what tells people apart for ever, which OpenID Connect says are these two.

    Source: "OpenID Connect Core 1.0", section 5.7. Names and addresses may change hands.
    """
    digest = hashlib.sha256(json.dumps([issuer, subject]).encode()).digest()
    return f"{LOGIN_ID_PREFIX}{base64.b32encode(digest).decode().lower()[:_ID_CHARACTERS]}"


def _tenant_id(claims: Mapping[str, Any], settings: JwtSettings) -> str:
    said = _texts(claims, settings.tenant_claim) if settings.tenant_claim else ()
    if not said:
        if settings.default_tenant:
            return settings.default_tenant
        raise InvalidTokenError(f"The token lacks the claim {settings.tenant_claim!r}, which says whose it is.")
    # Of groups, just those may count that stand for a tenant.
    meant = {settings.tenants.get(value, "") for value in said} - {""} if settings.tenants else {*said}
    if len(meant) != 1:
        reason = "more than one tenant" if meant else "no tenant that there is here"
        raise InvalidTokenError(f"The token's claim {settings.tenant_claim!r} names {reason}.")
    return meant.pop()


def _user(claims: Mapping[str, Any], name: str) -> str:
    user = _text(claims, name)
    if len(user) > MAX_LABEL_CHARACTERS:
        raise InvalidTokenError(f"The token's claim {name!r} has more than {MAX_LABEL_CHARACTERS} characters.")
    return user


def _role(claims: Mapping[str, Any], settings: JwtSettings) -> Role:
    said = _texts(claims, settings.role_claim) if settings.role_claim else ()
    found = [Role(settings.roles[value]) for value in said if value in settings.roles]
    return max(found, key=tuple(Role).index, default=Role.CALLER)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _claim(claims, name)
    if value is None or value == "":
        raise InvalidTokenError(f"The token lacks the claim {name!r}.")
    if not isinstance(value, str):
        raise InvalidTokenError(f"The token's claim {name!r} is no text.")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values of a claim that is one text or a list of them; none if it is not there."""
    value = _claim(claims, name)
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values):
        raise InvalidTokenError(f"The token's claim {name!r} is neither a text nor a list of texts.")
    return tuple(each for each in values if each)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path such as realm_access.roles; None if it is not there.

    The whole name comes first: names that are URLs have dots.
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
