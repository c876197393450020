"""What visits to the console need: where it is, keys, and a tenant that has something to show."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import FAKE_MODEL
from tests.e2e.console.visit import Visit
from tools.stack import RunningStack

HOSTILE = "<img src=x onerror=alert(1)> & Co"
FORMULA = "=cmd|'/C calc'!A0"


@pytest.fixture(scope="session")
def url(stack: RunningStack) -> str:
    """Where the console is."""
    return stack.stack.base_url.removesuffix("/v1")


class Api:
    """The API, asked with the admin's key."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60)

    def make(self, path: str, **body: Any) -> Any:
        """Make something."""
        answer = self._client.post(path, json=body)
        assert answer.status_code in {201, 409}, answer.text
        return answer.json()

    def ask(self, key: str, question: str) -> str:
        """Ask the fake provider; the request's id."""
        body = {"model": FAKE_MODEL, "messages": [{"role": "user", "content": question}]}
        answer = self._client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
        return answer.headers["x-sluice-request-id"]


@pytest.fixture(scope="session")
def api(stack: RunningStack, url: str) -> Api:
    """The API, with a tenant that has something to show."""
    api = Api(url, stack.stack.admin_key)
    api.make("/v1/tenants", id="hostile", name=HOSTILE)
    return api


@pytest.fixture(scope="session")
def keys(api: Api) -> dict[str, str]:
    """Keys of that tenant, by what they are called; one has been used."""
    roles = {"manager": "manager", "lab": "caller", FORMULA: "caller"}
    made = {name: api.make("/v1/keys", tenant="hostile", name=name, role=role) for name, role in roles.items()}
    tokens = {name: key["api_key"] for name, key in made.items()}
    api.ask(tokens["lab"], "Why is the sky blue?")
    return tokens


@pytest.fixture
def admin(chromium: Browser, stack: RunningStack, url: str, keys: dict[str, str]) -> Iterator[Visit]:
    """A visit of an admin's, who has signed in."""
    with Visit(chromium, url) as visit:
        visit.sign_in(stack.stack.admin_key)
        yield visit
        assert visit.problems == []
