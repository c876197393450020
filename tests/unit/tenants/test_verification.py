"""Which secrets an API key is verified by."""

from dataclasses import replace
from typing import cast

import pytest

from sluice.errors import AuthenticationError
from sluice.tenants.api_key_token import ApiKeyToken
from sluice.tenants.directory import Directory
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.tenants.verification import KeyVerifier

NEW, OLD = ApiKeyToken("k1", "n" * 43), ApiKeyToken("k1", "o" * 43)
ROTATED = ApiKey(
    "k1", "acme", Role.MANAGER, "n", NEW.secret_hash, old_secret_hash=OLD.secret_hash, old_secret_until=100
)


class OneKey:
    """A directory of one key."""

    def __init__(self, stored: ApiKey) -> None:
        self.stored = stored

    def key(self, _: str) -> ApiKey:
        """The key."""
        return self.stored

    def tenant(self, tenant_id: str) -> Tenant:
        """Its tenant."""
        return Tenant(tenant_id, tenant_id)


def verifier(stored: ApiKey, now: float = 0) -> KeyVerifier:
    return KeyVerifier(cast("Directory", OneKey(stored)), None, now=lambda: now)


@pytest.mark.parametrize("stored", [replace(ROTATED, old_secret_hash=""), replace(ROTATED, old_secret_until=None)])
def test_where_no_old_secret_is_taken_an_empty_one_is_wrong_too(stored: ApiKey) -> None:
    for presented in (ApiKeyToken("k1", ""), OLD):
        with pytest.raises(AuthenticationError):
            verifier(stored).verify(presented)
