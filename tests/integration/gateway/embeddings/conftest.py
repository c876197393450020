"""A server with a model that makes embeddings."""

from collections.abc import Iterator

import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.embeddings import embedder
from tests.fakes.client import FakeProvider


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """All deployments are tried once, so that no test waits between rounds."""
    monkeypatch.setenv("MAX_RETRIES", "0")


@pytest.fixture
def chat(aws: Aws, fake: FakeProvider) -> Iterator[ChatServer]:
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": embedder(aliases=["e"])}))
    with serving(aws) as server:
        yield server
