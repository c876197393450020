"""Who may do what; that a key holds is shown in tests/integration."""

from unittest.mock import Mock

import pytest

from sluice.api.authentication import authenticate
from sluice.errors import AuthenticationError, PermissionDeniedError
from sluice.tenants.principal import Principal, require_role
from sluice.tenants.tenant import ApiKey, Role, Tenant

KEY = "sl-abc-" + "x" * 43


def principal(role: Role) -> Principal:
    return Principal(ApiKey("k", "acme", role, "n"), Tenant("acme", "ACME"))


@pytest.mark.parametrize("header", [None, "", "   ", "Bearer", "Bearer ", "bearer   "])
def test_no_key_is_said_to_be_missing(header: str | None) -> None:
    with pytest.raises(AuthenticationError, match="missing"):
        authenticate(header, Mock())


@pytest.mark.parametrize("header", [KEY, f"Basic {KEY}", f"Bearer {KEY} x", "Bearer sk-abc", f"Bearer {KEY[:-20]}"])
def test_what_is_no_key_of_ours_is_said_to_be_malformed_and_not_repeated(header: str) -> None:
    with pytest.raises(AuthenticationError, match="malformed") as caught:
        authenticate(header, Mock())
    assert KEY[:20] not in caught.value.message
    assert "sk-abc" not in caught.value.message


def test_a_role_may_do_what_it_includes_and_nothing_else() -> None:
    require_role(principal(Role.ADMIN), Role.OPERATOR)
    require_role(principal(Role.OPERATOR), Role.CALLER)
    require_role(principal(Role.OPERATOR), Role.ADMIN, Role.OPERATOR)
    with pytest.raises(PermissionDeniedError, match="needs the role admin; the API key has the role operator"):
        require_role(principal(Role.OPERATOR), Role.ADMIN)
    with pytest.raises(PermissionDeniedError):
        require_role(principal(Role.CALLER), Role.OPERATOR, Role.ADMIN)


def test_a_principal_counts_against_its_own_key() -> None:
    assert principal(Role.CALLER).caller_id == "k"
