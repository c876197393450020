"""The whole stack, deployed: MiniStack, the real template, the front door, a fake provider and the real local model."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.fakes import FakeProcess
from tests.token_issuer import AUDIENCE, TokenIssuer
from tools import browser
from tools.processes import free_port
from tools.stack import RunningStack, Settings, running_stack

FAKE_MODEL = "fake-model"
PRICED_MODEL = "priced-model"
# What openai-python's own tests ask for.
CLIENTS_MODELS = ["gpt-6-astra", "gpt-3.5-turbo-instruct"]
# That of the example in the description.
EMBEDDING_MODEL = "text-embedding-3-small"
# Resolved by the browser alone: to this machine, as an attacker's name server would (DNS rebinding).
ATTACKER = "attacker.example"


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
        "models": {
            FAKE_MODEL: {"tier": "fast", "aliases": CLIENTS_MODELS},
            # So dear that a few answers use up a budget; nobody gets it who does not name it.
            PRICED_MODEL: {"tier": "fast", "serves": [], "price": {"prompt_usd": 50_000, "completion_usd": 0}},
            EMBEDDING_MODEL: {"vectors": {"dimensions": 8, "shortens": True}},
        },
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser; the tests that ask for it are skipped with CHROMIUM=off."""
    if os.environ.get("CHROMIUM") == browser.OFF:
        pytest.skip("CHROMIUM=off")
    path = browser.find()
    if path is None:
        pytest.fail(browser.MISSING)
    # Chromium's sandbox does not work for root.
    arguments = [f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()
