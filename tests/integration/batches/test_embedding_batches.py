"""Batches whose lines ask for embeddings."""

from typing import Any

import pytest

from tests.batches import Batches
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of

EMBEDDINGS = "/v1/embeddings"


def served(aws: Aws, fake: FakeProvider, batches: Batches) -> None:
    """Let there be a model that makes embeddings, of 768 dimensions, beside one that chats."""
    embedder = {"vectors": {"dimensions": 768}, "context_window": 512, "price": {"prompt_usd": 1, "completion_usd": 0}}
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": embedder}))
    fake.configure(embeddings={"dimensions": 768})
    batches.restart()


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": EMBEDDINGS, "body": {"model": "embed", **body}}


def test_lines_are_answered_with_vectors_in_order_also_those_that_fit_no_item(
    aws: Aws, fake: FakeProvider, batches: Batches
) -> None:
    served(aws, fake, batches)
    many = [f"text {number}" for number in range(100)]
    lines = [line("one", input="one"), line("many", input=many, metadata={"sluice_user": "ada"})]
    batch = batches.run_until(batches.create(lines, endpoint=EMBEDDINGS)["id"])
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    one, several = (each["response"]["body"] for each in batches.content(batch["output_file_id"]))
    assert one["data"][0]["embedding"] == vector_of("one", 768)
    assert [each["embedding"] for each in several["data"]] == [vector_of(text, 768) for text in many]
    tokens = fake.state()["tokens"]
    assert batch["usage"]["total_tokens"] == tokens
    assert batch["sluice"]["cost_usd"] == f"{tokens / 1e6:f}".rstrip("0")


def test_what_is_wrong_with_a_line_is_said_before_any_is_asked(aws: Aws, fake: FakeProvider, batches: Batches) -> None:
    served(aws, fake, batches)
    lines = [
        line("good", input="one"),
        line("empty", input=""),
        line("chats", model="small", input="one"),
        line("long", input="word " * 5_000),
    ]
    batch = batches.run_until(batches.create(lines, endpoint=EMBEDDINGS)["id"])
    assert batch["status"] == "failed"
    codes = {each["line"]: each["code"] for each in batch["errors"]["data"]}
    assert codes == {2: "invalid_request", 3: "wrong_kind_of_model", 4: "context_length_exceeded"}
    assert not fake.requests()


def test_a_chat_s_line_cannot_ask_a_model_that_makes_embeddings(aws: Aws, fake: FakeProvider, batches: Batches) -> None:
    served(aws, fake, batches)
    chat = {"model": "embed", "messages": [{"role": "user", "content": "Hello."}]}
    lines = [{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat}]
    batch = batches.run_until(batches.create(lines)["id"])
    assert [each["code"] for each in batch["errors"]["data"]] == ["wrong_kind_of_model"]


def test_a_line_whose_answer_would_be_too_large_is_refused_before_any_is_asked(
    aws: Aws, fake: FakeProvider, batches: Batches
) -> None:
    served(aws, fake, batches)
    texts = [f"text {number}" for number in range(2_000)]
    lines = [line("floats", input=texts), line("base64", input=texts[:1_400], encoding_format="base64")]
    batch = batches.run_until(batches.create(lines, endpoint=EMBEDDINGS)["id"])
    assert {each["line"]: each["code"] for each in batch["errors"]["data"]} == {1: "answer_too_large"}
    assert not fake.requests()


def test_lines_are_answered_by_sluice_itself(aws: Aws, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_EMBEDDINGS", "true")
    aws.set_credentials()
    batches.restart()
    lines = [line("good", model="potion-base-8M", input=["one", "two"]), line("none", model="potion", input="👍")]
    batch = batches.run_until(batches.create(lines, endpoint=EMBEDDINGS)["id"])
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    [good] = batches.content(batch["output_file_id"])
    assert [len(each["embedding"]) for each in good["response"]["body"]["data"]] == [256, 256]
    [none] = batches.content(batch["error_file_id"])
    assert none["response"]["body"]["error"]["code"] == "no_known_words"
