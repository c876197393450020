"""Embeddings that Sluice makes by itself, through the whole of the gateway: no provider is there at all."""

import math
import struct
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from sluice.embeddings import files
from tests.chat_server import ChatServer, eventually, serving
from tests.conftest import Aws
from tests.fakes.client import FakeProvider

MODEL = "potion-base-8M"


@pytest.fixture
def chat(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A stack with the model's layer and no credentials."""
    monkeypatch.setenv("LOCAL_EMBEDDINGS", "true")
    monkeypatch.setenv("MAX_RETRIES", "0")
    aws.set_credentials()
    with serving(aws) as server:
        yield server


def vectors(chat: ChatServer, *texts: str, **more: Any) -> list[list[float]]:
    found = chat.openai().embeddings.create(model=MODEL, input=list(texts), **more)
    return [each.embedding for each in found.data]


def usage(chat: ChatServer) -> list[dict[str, Any]]:
    return [
        {name: next(iter(value.values())) for name, value in item.items()} for item in chat.aws.items("USAGE_TABLE")
    ]


def test_vectors_are_made_and_counted_and_cost_nothing(chat: ChatServer) -> None:
    found = chat.openai().embeddings.with_raw_response.create(model="potion", input=["a cat", "a kitten", "tax law"])
    body = found.parse()
    assert (body.model, body.usage.prompt_tokens) == (MODEL, 6)
    cat, kitten, law = (each.embedding for each in body.data)
    assert [len(each) for each in (cat, kitten, law)] == [256] * 3
    assert math.sumprod(cat, cat) == pytest.approx(1)
    assert math.sumprod(cat, kitten) > 0.5 > math.sumprod(cat, law)
    assert found.headers["x-sluice-deployment"] == "builtin#potion-base-8M"
    assert float(found.headers["x-sluice-cost-usd"]) == 0
    eventually(lambda: bool(usage(chat)))
    [counted] = usage(chat)
    assert (counted["prompt_tokens"], counted["requests"], counted["cost_nanousd"]) == ("6", "1", "0")


def test_both_forms_of_a_vector_are_the_same_numbers(chat: ChatServer) -> None:
    [numbers] = vectors(chat, "Why is the sky blue?", encoding_format="float")
    [written] = vectors(chat, "Why is the sky blue?", encoding_format="base64")
    assert list(struct.unpack("<256f", b64decode(str(written)))) == numbers


def test_the_model_is_listed_as_what_makes_embeddings(chat: ChatServer) -> None:
    listed = httpx.get(chat.base_url + "/models", headers={"authorization": f"Bearer {chat.api_key}"}).json()["data"]
    [found] = [each for each in listed if each["id"] == MODEL]
    assert (found["dimensions"], found["owned_by"], found["tier"]) == (256, "builtin", None)
    assert "auto" not in {each["id"] for each in listed}


def test_it_is_not_there_where_the_stack_has_no_layer(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_EMBEDDINGS", "false")
    chat.restart()
    with pytest.raises(openai.NotFoundError):
        vectors(chat, "one")


def test_texts_without_a_vector_are_refused_by_their_places_and_nothing_is_counted_as_asked(chat: ChatServer) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        vectors(chat, "good", "👍", "\u200b")
    error: Any = raised.value.body
    assert (error["code"], error["param"]) == ("no_known_words", "input")
    assert "at positions 1, 2," in error["message"]


def test_the_places_are_those_of_the_request_also_in_a_later_batch(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.aws.set_credentials({"provider": "builtin", "alias": "b", "models": {MODEL: {}}})
    chat.restart()
    # Two calls: three hundred thousand tokens are the most of one.
    with pytest.raises(openai.BadRequestError, match="at positions 2,"):
        vectors(chat, "word " * 160_000, "word " * 160_000, "👍")


def test_other_dimensions_are_refused_with_what_there_is(chat: ChatServer) -> None:
    for dimensions in (512, 128, 1):
        with pytest.raises(openai.BadRequestError, match="256 only"):
            vectors(chat, "one", dimensions=dimensions)
    assert len(vectors(chat, "one", dimensions=256)[0]) == 256


def test_it_does_not_chat(chat: ChatServer) -> None:
    refused = chat.post({"model": MODEL, "messages": [{"role": "user", "content": "Hello."}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "wrong_kind_of_model")


def test_a_tenant_that_may_use_other_models_only_may_not_use_it(chat: ChatServer) -> None:
    key = chat.tenant("small", allowed_models=["text-embedding-3-small"])
    with pytest.raises(openai.PermissionDeniedError):
        chat.openai(key).embeddings.create(model=MODEL, input="one")


def test_a_tenant_with_a_budget_may_use_what_costs_nothing(chat: ChatServer) -> None:
    key = chat.tenant("poor", budget_usd_per_month=0.000001)
    for _ in range(3):
        assert chat.openai(key).embeddings.create(model=MODEL, input="one").data


def test_limits_of_a_credential_hold(chat: ChatServer) -> None:
    limits = {"limits": {"requests_per_day": 2}}
    chat.aws.set_credentials({"provider": "builtin", "alias": "b", "models": {MODEL: limits}})
    chat.restart()
    vectors(chat, "one")
    vectors(chat, "two")
    with pytest.raises(openai.RateLimitError):
        vectors(chat, "three")


def test_an_idempotency_key_is_answered_once(chat: ChatServer) -> None:
    sent = {"authorization": f"Bearer {chat.api_key}", "idempotency-key": "once"}
    body = {"model": MODEL, "input": "one"}
    first, again = (httpx.post(chat.base_url + "/embeddings", headers=sent, json=body) for _ in range(2))
    assert first.json() == again.json()
    eventually(lambda: [each["requests"] for each in usage(chat)] == ["1"])


def test_a_layer_that_is_not_there_after_all_is_a_provider_that_fails(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PACKAGE", "no_such_layer")
    with pytest.raises(openai.InternalServerError) as raised:
        vectors(chat, "one")
    assert raised.value.status_code == 503
    monkeypatch.undo()


def test_providers_that_are_there_are_asked_as_before(chat: ChatServer, fake: FakeProvider) -> None:
    other = {"vectors": {"dimensions": 8}, "price": "free"}
    chat.aws.set_credentials(
        {"provider": "gateway", "alias": "g", "api_key": "k", "base_url": fake.openai_url, "models": {"embed": other}}
    )
    chat.restart()
    assert len(chat.openai().embeddings.create(model="embed", input="one").data[0].embedding) == 8
    assert len(vectors(chat, "one")[0]) == 256
