"""Ingestion into stores with a fake provider behind them."""

from collections.abc import Iterator

import pytest

from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.ingestion import Ingestion, ingestion_environment
from tests.stores import Knowledge, embeds, stores_environment


@pytest.fixture
def ingestion(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingestion]:
    """The tenant acme with a store, and an operator."""
    embeds(aws, fake)
    with stores_environment(monkeypatch), ingestion_environment(monkeypatch):
        yield Ingestion(Knowledge())
