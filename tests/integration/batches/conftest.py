"""Files and batches, with a fake provider behind the gateway."""

from collections.abc import Iterator

import pytest

from tests.batches import Batches, serving_batches
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider


@pytest.fixture
def batches(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Batches]:
    """The functions with one credential for one model, `small`, whose limits are wide."""
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    with serving_batches(aws, monkeypatch) as functions:
        yield functions
