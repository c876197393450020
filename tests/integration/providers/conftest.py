"""One fake provider for all tests of a module: starting it takes longer than most of them."""

from collections.abc import Iterator

import pytest

from tests.fakes import FakeProvider


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake
