"""Stores with a fake provider behind them, and their API on a socket."""

from collections.abc import Iterator

import pytest

from functions.files.app import ROUTES as FILE_ROUTES
from functions.vector_stores.app import ROUTES
from sluice.api.asgi import AsgiApp
from sluice.composition import App
from tests.chat_server import listening
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.served_stores import Served
from tests.stores import Knowledge, embeds, stores_environment


@pytest.fixture
def knowledge(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Knowledge]:
    """Stores of the tenant acme, and the model `embed` of 256 dimensions."""
    embeds(aws, fake)
    with stores_environment(monkeypatch):
        yield Knowledge()


@pytest.fixture
def served(knowledge: Knowledge) -> Iterator[Served]:
    """The API on a free port of this machine."""
    app = AsgiApp((*ROUTES, *FILE_ROUTES), App.from_environment())
    with listening(app) as root_url:
        yield Served(knowledge, root_url)


@pytest.fixture
def store(served: Served) -> str:
    """A store."""
    return served.stores.create(name="Handbook").id
