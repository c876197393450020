"""Embeddings, as the official SDK asks for them and through the whole of the gateway."""

import struct
from base64 import b64decode
from typing import Any

import openai
import pytest

from sluice.providers import huggingface
from tests.chat_server import ChatServer, serving
from tests.conftest import Aws
from tests.credentials import gateway
from tests.embeddings import VECTORS, answer, embedder, post, row, two_keys, usage
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of


def test_the_sdk_gets_the_vectors_of_texts_in_order_as_numbers_and_by_itself_as_base64(
    chat: ChatServer, fake: FakeProvider
) -> None:
    texts = ["one", "another", "☃" * 5]
    wanted = [vector_of(text, 8) for text in texts]
    asks: list[dict[str, Any]] = [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}]
    for asked in asks:
        found = chat.openai().embeddings.create(model="e", input=texts, user="u-1", **asked)
        vectors: list[Any] = [each.embedding for each in found.data]
        if asked == {"encoding_format": "base64"}:
            vectors = [list(struct.unpack("<8f", b64decode(each))) for each in vectors]
        assert vectors == wanted
        assert [each.index for each in found.data] == [0, 1, 2]
        assert (found.object, found.model, found.usage.prompt_tokens) == ("list", "embed", 2 + 3 + 3)
        assert fake.last_body() == {"model": "embed", "input": texts, "encoding_format": "base64", "user": "u-1"}
    assert chat.openai().embeddings.create(model="embed", input="one").data[0].embedding == wanted[0]


@pytest.mark.parametrize("settings", [{"ignores_base64": True}, {"refuses_base64": True}])
def test_a_provider_that_has_no_base64_is_understood(
    chat: ChatServer, fake: FakeProvider, settings: dict[str, bool]
) -> None:
    fake.configure(embeddings=settings)
    for _ in range(2):
        found = chat.openai().embeddings.create(model="embed", input=["one"])
        assert found.data[0].embedding == vector_of("one", 8)
    if "refuses_base64" in settings:
        formats = [request["body"].get("encoding_format") for request in fake.requests()]
        assert formats == ["base64", None, None]


def test_shorter_vectors_are_asked_of_the_model_that_has_them(aws: Aws, fake: FakeProvider) -> None:
    fixed = embedder(vectors={"dimensions": 8})
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embedder(), "fixed": fixed}))
    with serving(aws) as chat:
        found = chat.openai().embeddings.create(model="embed", input="one", dimensions=4)
        assert found.data[0].embedding == vector_of("one", 4)
        assert fake.last_body()["dimensions"] == 4
        assert chat.openai().embeddings.create(model="fixed", input="one", dimensions=8).data
        assert "dimensions" not in fake.last_body()
        for name, dimensions, can in (("embed", 9, "1 to 8"), ("fixed", 4, "8 only")):
            refused = post(chat, model=name, input="one", dimensions=dimensions)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")
            assert can in refused.json()["error"]["message"]
    assert len(fake.requests()) == 2


def test_shortened_vectors_of_a_model_that_leaves_their_length_have_the_length_1(aws: Aws, fake: FakeProvider) -> None:
    vectors = {**VECTORS, "leaves_length": True}
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embedder(vectors=vectors)}))
    with serving(aws) as chat:
        whole = chat.openai().embeddings.create(model="embed", input="one").data[0].embedding
        assert whole == vector_of("one", 8)
        short = chat.openai().embeddings.create(model="embed", input="one", dimensions=4).data[0].embedding
        assert sum(number**2 for number in short) == pytest.approx(1)
        assert short[0] / short[1] == pytest.approx(whole[0] / whole[1])


def test_an_embedding_is_counted_charged_and_recorded_as_any_request(chat: ChatServer, fake: FakeProvider) -> None:
    key = chat.tenant("rich", budget_usd_per_month=1)
    headers = {"x-sluice-user": "ada", "x-sluice-task": "search"}
    found = post(chat, key, headers, input=["four", "five5"])
    assert found.status_code == 200
    assert found.headers["x-sluice-deployment"] == "fake-1#embed"
    assert found.headers["x-sluice-cost-usd"] == "0.000005"
    assert found.headers["x-ratelimit-limit-requests"]
    assert found.json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    counted = chat.counted()
    assert counted["deployment"] == {
        "requests_per_minute": 1,
        "requests_per_day": 1,
        "tokens_per_minute": 5,
        "tokens_per_day": 5,
    }
    assert counted["tenant"] == {"nanousd_per_month": 5_000}
    [sums] = usage(chat)
    assert ".embedding#gateway#embed#fake-1#search" in sums["hour_route"]
    assert (sums["requests"], sums["prompt_tokens"], sums["completion_tokens"]) == ("1", "5", "0")
    assert (sums["cost_nanousd"], sums["errors"]) == ("5000", "0")
    [record] = chat.aws.items("REQUEST_LOG_TABLE")
    assert "four" not in str(record)
    assert "embed" in str(record)


def test_an_embedding_with_an_idempotency_key_is_paid_for_once(chat: ChatServer, fake: FakeProvider) -> None:
    first, second = (post(chat, headers={"idempotency-key": "k-1"}, input="one") for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert len(fake.requests()) == 1


def test_a_key_without_requests_or_dollars_left_is_told_and_nobody_is_asked(
    chat: ChatServer, fake: FakeProvider
) -> None:
    chat.tenant("poor", budget_usd_per_month=10)
    short = chat.key("poor", limits={"budget_usd_per_month": 0.000001})
    refused = post(chat, short, input="a text of some words")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    once = chat.key("poor", limits={"requests_per_minute": 1})
    assert [post(chat, once, input="one").status_code for _ in range(2)] == [200, 429]
    assert len(fake.requests()) == 1
    assert all(total >= 0 for scope in chat.counted().values() for total in scope.values())


def test_a_model_without_a_price_is_not_for_who_has_a_budget(aws: Aws, fake: FakeProvider) -> None:
    free = {name: value for name, value in embedder().items() if name != "price"}
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": free}))
    with serving(aws) as chat:
        assert post(chat, input="one").status_code == 200
        refused = post(chat, chat.tenant("poor", budget_usd_per_month=1), input="one")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_without_price")


def test_a_failing_deployment_is_followed_by_another_of_the_same_model_and_by_no_other(
    aws: Aws, fake: FakeProvider
) -> None:
    aws.set_credentials(
        gateway(fake, "fake-1", models={"embed": embedder(), "other": embedder()}),
        gateway(fake, "fake-2", models={"embed": embedder()}),
    )
    with serving(aws) as chat:
        fake.add_fault("500", api_key="key-fake-1")
        found = post(chat, input="one")
        assert found.headers["x-sluice-deployment"] == "fake-2#embed"
        fake.add_fault("401", times=None, model="embed")
        refused = post(chat, input="one")
        assert refused.status_code == 503
        assert "other" not in refused.json()["error"]["message"]
    assert {request["body"]["model"] for request in fake.requests()} == {"embed"}


GOOD = vector_of("one", 8)


WRONG: dict[str, list[Any]] = {
    "too few": [row(0, GOOD)],
    "too many": [row(0, GOOD), row(1, GOOD), row(2, GOOD)],
    "shuffled": [row(1, GOOD), row(0, GOOD)],
    "twice": [row(0, GOOD), row(0, GOOD)],
    "index of a text": [row("0", GOOD), row("1", GOOD)],
    "index is true": [row(False, GOOD), row(True, GOOD)],
    "NaN": [row(0, GOOD), row(1, [float("nan"), *GOOD[1:]])],
    "infinite": [row(0, GOOD), row(1, [float("inf"), *GOOD[1:]])],
    "more than 32 bits hold": [row(0, GOOD), row(1, [1e300, *GOOD[1:]])],
    "digits": [row(0, GOOD), row(1, [10**400, *GOOD[1:]])],
    "null": [row(0, GOOD), row(1, [None, *GOOD[1:]])],
    "text": [row(0, GOOD), row(1, ["1.0", *GOOD[1:]])],
    "truth": [row(0, GOOD), row(1, [True, *GOOD[1:]])],
    "ragged": [row(0, GOOD), row(1, GOOD[:-1])],
    "all short": [row(0, GOOD[:-1]), row(1, GOOD[:-1])],
    "empty": [row(0, []), row(1, [])],
    "none": [row(0, None), row(1, None)],
    "object": [row(0, GOOD), row(1, {"0": 1.0})],
    "no base64": [row(0, GOOD), row(1, "????")],
    "half a number": [row(0, GOOD), row(1, "AAAA")],
    "base64 of NaN": [row(0, GOOD), row(1, "AADAfwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
    "base64 of too few": [row(0, GOOD), row(1, "AACAPw==")],
    "no rows": ["x", "y"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_vectors_that_cannot_be_right_are_their_provider_s_failure(aws: Aws, fake: FakeProvider, wrong: str) -> None:
    two_keys(aws, fake)
    with serving(aws) as chat:
        fake.add_raw(answer(WRONG[wrong], usage={"prompt_tokens": 4, "total_tokens": 4}), api_key="key-fake-1")
        found = post(chat, input=["one", "another"])
        assert found.status_code == 200, found.text
        assert found.headers["x-sluice-deployment"] == "fake-2#embed"
        assert [each["embedding"] for each in found.json()["data"]] == [vector_of("one", 8), vector_of("another", 8)]
        # Who answered with something may have billed it.
        assert sum(int(each["errors"]) for each in usage(chat)) == 1
        fake.add_raw(answer(WRONG[wrong]), times=None)
        lost = post(chat, input=["one", "another"], headers={"x-sluice-user": "x"})
        assert lost.status_code in {502, 503}
        assert "Protocol" in lost.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [b"[1, 2", b"{}", b'{"data": null}', b'{"data": {"0": 1}}', b'"text"', b"[]", b'{"error": {"message": "no"}}'],
)
def test_an_answer_that_is_none_is_its_provider_s_failure(aws: Aws, fake: FakeProvider, body: bytes) -> None:
    two_keys(aws, fake)
    with serving(aws) as chat:
        fake.add_raw(body, api_key="key-fake-1")
        found = post(chat, input="one")
        assert (found.status_code, found.headers.get("x-sluice-deployment")) == (200, "fake-2#embed")


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0}, {"prompt_tokens": -3}, {"total_tokens": 10**12}])
def test_tokens_that_are_not_counted_or_cannot_be_are_counted_as_estimated(
    chat: ChatServer, fake: FakeProvider, usage: Any
) -> None:
    fake.add_raw(answer([row(0, GOOD)], usage=usage))
    found = post(chat, input="one")
    assert 1 <= found.json()["usage"]["prompt_tokens"] < 50
    assert chat.counted()["deployment"]["tokens_per_minute"] == found.json()["usage"]["prompt_tokens"]


def test_hugging_face_is_asked_for_features_of_its_model(
    aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "ROUTER_URL", fake.openai_url)
    aws.set_credentials({"provider": "huggingface", "alias": "hf-1", "api_key": "key-1"})
    fake.configure(embeddings={"dimensions": 768, "is_bare": True, "most_inputs": 32})
    with serving(aws) as chat:
        texts = [f"text {number}" for number in range(40)]
        found = chat.openai().embeddings.create(model="all-mpnet-base-v2", input=texts, user="u-1")
        assert [each.embedding for each in found.data] == [vector_of(text, 768) for text in texts]
        request = fake.requests()[0]
        name = "sentence-transformers/all-mpnet-base-v2"
        assert request["path"] == f"/hf-inference/models/{name}/pipeline/feature-extraction"
        assert request["body"].keys() - {"model", "input"} == {"inputs"}


def test_a_hugging_face_endpoint_speaks_openai_s_protocol(aws: Aws, fake: FakeProvider) -> None:
    credential = {"provider": "huggingface", "alias": "hf-1", "api_key": "key-1", "base_url": fake.huggingface_url}
    aws.set_credentials(credential)
    fake.configure(embeddings={"dimensions": 768})
    with serving(aws) as chat:
        assert chat.openai().embeddings.create(model="all-mpnet-base-v2", input="one").data[0].embedding
        assert fake.requests()[0]["path"] == "/hf/v1/embeddings"


def test_the_sdk_s_error_says_what_a_provider_refused_without_quoting_the_texts(
    chat: ChatServer, fake: FakeProvider
) -> None:
    fake.add_fault("400", message="This text is wrong: my private words, all of them")
    with pytest.raises(openai.BadRequestError) as refused:
        chat.openai().embeddings.create(model="embed", input="my private words, all of them")
    assert "This text is wrong" in refused.value.message
    assert "private" not in refused.value.message
