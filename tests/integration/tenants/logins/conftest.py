"""An issuer of logins, and a function that takes them."""

from collections.abc import Iterator

import pytest

from sluice.api.usage import ROUTES as USAGE_ROUTES
from sluice.tenants.login.signing_keys import SigningKeys
from sluice.tenants.login.verification import LoginVerifier
from tests.conftest import Aws
from tests.logins import Clock
from tests.rest_function import RestFunction
from tests.token_issuer import (
    AUDIENCE,
    TokenIssuer,
)


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with TokenIssuer() as running:
        yield running


@pytest.fixture(autouse=True)
def variables(aws: Aws, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack is told of the issuer."""
    said = {
        "ISSUER": issuer.url,
        "AUDIENCE": f"{AUDIENCE},other",
        "TENANT_CLAIM": "org",
        "ROLE_CLAIM": "realm_access.roles",
        "ROLES": "teachers=operator,platform=admin",
    }
    for name, value in said.items():
        monkeypatch.setenv(f"JWT_{name}", value)


@pytest.fixture
def usage(aws: Aws) -> RestFunction:
    """A function that any caller may ask, and that reads nothing else of who asks."""
    function = RestFunction(USAGE_ROUTES)
    function.tenant("school")
    return function


@pytest.fixture
def clock(usage: RestFunction, issuer: TokenIssuer) -> Clock:
    """The clock by which keys and tenants grow old, in the function `usage`."""
    found, app = Clock(), usage.app
    verifier = app.login_verifier
    settings = app.settings.jwt
    assert settings is not None
    keys = SigningKeys(verifier._keys._fetch, found)
    app.__dict__["login_verifier"] = LoginVerifier(settings, keys, app.directory, found)
    return found
