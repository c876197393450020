"""One fake provider for all tests of a module: starting it takes longer than most of them."""

from collections.abc import Iterator

import pytest

from tests.adapters import ADAPTERS
from tests.fakes import FakeProvider


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(shared_fake: FakeProvider) -> FakeProvider:
    """That, as it is when nobody has told it anything."""
    shared_fake.reset()
    return shared_fake


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda tells a function of its role, for adapters that are asked by it."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", f"fake-{name.lower().replace('_', '-')}")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """The name of an adapter: each in turn."""
    name: str = request.param
    return name
