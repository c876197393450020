"""A chat server with a fake provider behind it."""

from collections.abc import Iterator

import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.tasks import Tasks, serving_tasks

FAST = {"tier": "fast", "price": {"prompt_usd": 1.0, "completion_usd": 2.0}}


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    """A fake provider that answers at once."""
    with FakeProvider(answer="Hello there.") as provider:
        yield provider


@pytest.fixture
def tasks(aws: Aws, fake: FakeProvider) -> Iterator[Tasks]:
    """The function tasks with one credential, `fake-1`, for two models, `fast` and `smart`."""
    with serving_tasks(aws, fake) as function:
        yield function


@pytest.fixture
def chat(aws: Aws, fake: FakeProvider) -> Iterator[ChatServer]:
    """The chat API with one credential, `fake-1`, for one model, `small`."""
    aws.set_credentials(
        {
            "provider": "gateway",
            "alias": "fake-1",
            "api_key": "key-1",
            "base_url": fake.openai_url,
            "models": {
                "small": {
                    **FAST,
                    "limits": {
                        "requests_per_minute": 100,
                        "requests_per_day": 10_000,
                        "tokens_per_minute": 100_000,
                        "tokens_per_day": 1_000_000,
                    },
                }
            },
        }
    )
    with serving(aws) as server:
        yield server
