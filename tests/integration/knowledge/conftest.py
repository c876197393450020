"""Stores with a fake provider behind them."""

from collections.abc import Iterator

import pytest

from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.stores import Knowledge, embeds, stores_environment


@pytest.fixture
def knowledge(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Knowledge]:
    """Stores of the tenant acme, and the model `embed` of 256 dimensions."""
    embeds(aws, fake)
    with stores_environment(monkeypatch):
        yield Knowledge()
