"""Models and fields that some providers have and others do not."""

from typing import Any

import openai
import pytest

from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def two(aws: Aws, fake: FakeProvider) -> Any:
    """Groq and another provider, both with the model `shared`, which Groq prefers to answer."""
    fields: dict[str, Any] = {"models": {"shared": {"tier": "fast"}}}
    aws.set_credentials(
        {"provider": "groq", "alias": "groq-1", "api_key": "g", "base_url": fake.groq_url, **fields},
        {"provider": "gateway", "alias": "other-1", "api_key": "o", "base_url": fake.openai_url, **fields},
    )
    with serving(aws) as server:
        yield server


def test_a_model_that_one_credential_does_not_have_is_asked_of_the_next_and_not_again(
    two: ChatServer, fake: FakeProvider
) -> None:
    fake.add_fault("404", api_key="g", times=None)
    for attempts in ("2", "1"):
        answer = two.openai().chat.completions.with_raw_response.create(
            model="shared", messages=HELLO, extra_headers={"cache-control": "no-cache"}
        )
        assert answer.headers["x-sluice-deployment"] == "other-1#shared"
        assert answer.headers["x-sluice-attempts"] == attempts
    assert sum(request["api_key"] == "g" for request in fake.requests()) == 1


def test_a_model_that_no_credential_has_is_a_404_that_costs_no_tokens(two: ChatServer, fake: FakeProvider) -> None:
    fake.add_fault("404", times=None)
    with pytest.raises(openai.NotFoundError, match="groq-1#shared"):
        two.openai().chat.completions.create(model="shared", messages=HELLO)
    assert all("tokens_per_minute" not in taken for taken in two.counted().values())


def test_a_field_that_a_provider_cannot_take_goes_to_one_that_can(two: ChatServer, fake: FakeProvider) -> None:
    answer = two.openai().chat.completions.with_raw_response.create(model="shared", messages=HELLO, logprobs=True)
    assert answer.headers["x-sluice-deployment"] == "other-1#shared"
    assert answer.headers["x-sluice-attempts"] == "1"


def test_a_field_that_no_provider_can_take_is_named(aws: Aws, fake: FakeProvider) -> None:
    aws.set_credentials(
        {
            "provider": "groq",
            "alias": "groq-1",
            "api_key": "g",
            "base_url": fake.groq_url,
            "models": {"shared": {"tier": "fast"}},
        }
    )
    with serving(aws) as server, pytest.raises(openai.BadRequestError) as refused:
        server.openai().chat.completions.create(model="shared", messages=HELLO, logprobs=True)
    assert refused.value.param == "logprobs"
    assert fake.requests() == []
