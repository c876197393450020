"""Embeddings of more texts than a provider takes at once."""

from sluice.api.embeddings import ROUTES
from tests.chat_server import eventually, serving
from tests.conftest import Aws
from tests.credentials import gateway
from tests.embeddings import VECTORS, embedder, post, usage
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of
from tests.rest_function import RestFunction


def test_large_input_is_asked_in_batches_and_comes_back_in_order(aws: Aws, fake: FakeProvider) -> None:
    vectors = {**VECTORS, "most_inputs": 100}
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embedder(vectors=vectors, limits={})}))
    with serving(aws) as chat:
        key = chat.tenant("rich", budget_usd_per_month=1)
        texts = [f"text {number}" for number in range(2_048)]
        fake.configure(latency_s=0.01)
        found = chat.openai(key).embeddings.create(model="embed", input=texts)
        assert [each.embedding for each in found.data] == [vector_of(text, 8) for text in texts]
        asked = [request["body"]["input"] for request in fake.requests()]
        assert sorted(map(len, asked)) == [48, *[100] * 20]
        assert sorted(text for each in asked for text in each) == sorted(texts)
        tokens = found.usage.prompt_tokens
        assert tokens == fake.state()["tokens"]
        assert chat.counted()["tenant"] == {"nanousd_per_month": tokens * 1_000}
        [sums] = usage(chat)
        assert (sums["requests"], sums["prompt_tokens"]) == ("1", str(tokens))


def test_a_batch_that_fails_is_asked_again_alone(aws: Aws, fake: FakeProvider) -> None:
    vectors = {**VECTORS, "most_inputs": 2}
    aws.set_credentials(
        gateway(fake, "fake-1", models={"embed": embedder(vectors=vectors)}),
        gateway(fake, "fake-2", models={"embed": embedder(vectors=vectors)}),
    )
    with serving(aws) as chat:
        fake.add_fault("503", times=1)
        texts = ["a", "b", "c", "d", "e", "f", "g"]
        found = post(chat, input=texts)
        assert [each["embedding"] for each in found.json()["data"]] == [vector_of(text, 8) for text in texts]
        asked = [tuple(request["body"]["input"]) for request in fake.requests()]
        assert len(asked) == 5
        assert sum(asked.count(each) == 2 for each in set(asked)) == 1


def test_when_a_batch_fails_for_good_what_the_others_used_is_counted_and_no_more_is_asked(
    aws: Aws, fake: FakeProvider
) -> None:
    vectors = {**VECTORS, "most_inputs": 1}
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embedder(vectors=vectors)}))
    with serving(aws) as chat:
        key = chat.tenant("rich", budget_usd_per_month=1)
        fake.add_fault("400", times=1)
        refused = post(chat, key, input=[f"text {number}" for number in range(90)])
        assert refused.status_code == 400
        assert len(fake.requests()) < 50
        tokens = fake.state()["tokens"]
        counted = chat.counted()
        assert counted.get("tenant", {}).get("nanousd_per_month", 0) == tokens * 1_000
        assert sum(int(each["prompt_tokens"]) for each in usage(chat)) == tokens
        assert sum(int(each["requests"]) for each in usage(chat)) == 1


def test_a_budget_that_is_too_small_for_the_last_batch_is_too_small_for_the_first(aws: Aws, fake: FakeProvider) -> None:
    vectors = {**VECTORS, "most_inputs": 1}
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embedder(vectors=vectors)}))
    with serving(aws) as chat:
        key = chat.tenant("poor", budget_usd_per_month=0.0001)
        refused = post(chat, key, input=["a text of some words"] * 30)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert not fake.requests()
        assert not chat.counted().get("tenant")
        # A refusal is believed for a second.
        eventually(lambda: post(chat, key, input="a text of some words").status_code == 200)


def test_an_answer_that_a_buffered_function_cannot_give_is_refused_before_it_is_paid_for(
    aws: Aws, fake: FakeProvider
) -> None:
    wide = embedder(vectors={"dimensions": 4_096})
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": wide}))
    fake.configure(embeddings={"dimensions": 4_096})
    function = RestFunction(ROUTES)
    function.api_key = function.tenant("acme")
    asked = {"model": "embed", "input": ["text"] * 100}
    refused = function.send("POST /v1/embeddings", asked)
    assert (refused.status, refused.error["code"]) == (400, "answer_too_large")
    assert not fake.requests()
    assert function.send("POST /v1/embeddings", {**asked, "encoding_format": "base64"}).status == 200


def test_more_calls_than_a_limit_ever_has_are_refused_before_the_first(aws: Aws, fake: FakeProvider) -> None:
    limits = {"requests_per_minute": 5, "tokens_per_minute": 100_000}
    embed = embedder(vectors={**VECTORS, "most_inputs": 1}, limits=limits)
    aws.set_credentials(gateway(fake, "fake-1", models={"embed": embed}))
    with serving(aws) as chat:
        refused = post(chat, input=[f"text {number}" for number in range(6)])
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "request_exceeds_limit")
        assert fake.requests() == []
        assert post(chat, input=[f"text {number}" for number in range(5)]).status_code == 200
