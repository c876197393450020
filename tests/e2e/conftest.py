"""The whole stack, deployed: MiniStack, the real template, the front door, a fake provider and the real local model."""

from collections.abc import Iterator

import pytest

from tests.fakes import FakeProcess
from tests.token_issuer import AUDIENCE, TokenIssuer
from tools.processes import free_port
from tools.stack import RunningStack, Settings, running_stack

FAKE_MODEL = "fake-model"
# That of the example in the description.
EMBEDDING_MODEL = "text-embedding-3-small"


@pytest.fixture(scope="session")
def fake_provider() -> Iterator[FakeProcess]:
    """A provider that answers what it is told to; the stack knows it as the model `fake-model`."""
    with FakeProcess() as provider:
        yield provider


@pytest.fixture(scope="session")
def issuer() -> Iterator[TokenIssuer]:
    """An issuer whose logins the stack takes, as the tenant `local`'s."""
    with TokenIssuer() as running:
        yield running


@pytest.fixture(scope="session")
def stack(
    fake_provider: FakeProcess, issuer: TokenIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """The stack, with keys to it in `stack.stack`."""
    credential = {
        "provider": "gateway",
        "alias": "fake-1",
        "api_key": "fake",
        "base_url": fake_provider.openai_url,
        "models": {FAKE_MODEL: {"tier": "fast"}, EMBEDDING_MODEL: {"vectors": {"dimensions": 8, "shortens": True}}},
    }
    logins = {
        "JwtIssuer": issuer.url,
        "JwtAudience": AUDIENCE,
        "JwtDefaultTenant": "local",
        "JwtRoleClaim": "realm_access.roles",
        "JwtRoles": "Head teachers=operator,platform=admin",
    }
    settings = Settings(port=free_port(), directory=tmp_path_factory.mktemp("stack"), parameters=logins)
    with running_stack(settings, [credential]) as running:
        yield running
