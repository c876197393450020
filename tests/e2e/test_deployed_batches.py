"""Batches on the deployed stack, by OpenAI's client: its queues invoke the functions by themselves."""

import json
import time
from typing import Any, Final

import httpx
import openai
import pytest
from openai.types import Batch

from tests.e2e.conftest import FAKE_MODEL
from tools.stack import RunningStack

CHAT: Final = "/v1/chat/completions"


@pytest.fixture
def client(stack: RunningStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=stack.stack.base_url, api_key=stack.stack.api_key, max_retries=0)


def line(custom_id: str, **more: Any) -> bytes:
    asked = {"model": FAKE_MODEL, "messages": [{"role": "user", "content": f"Hello, {custom_id}."}], "max_tokens": 8}
    request = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {**asked, **more}}
    return json.dumps(request).encode() + b"\n"


def ended(client: openai.OpenAI, batch: Batch, within_s: float = 120) -> Batch:
    ends_at_s = time.monotonic() + within_s
    while batch.status not in {"completed", "failed", "expired", "cancelled"}:
        assert time.monotonic() < ends_at_s, f"the batch is still {batch.status}"
        time.sleep(2)
        batch = client.batches.retrieve(batch.id)
    return batch


def test_a_batch_is_answered_by_what_its_queues_invoke(client: openai.OpenAI) -> None:
    content = b"".join(line(f"q{number}") for number in range(12))
    file = client.files.create(file=("q.jsonl", content), purpose="batch")
    assert client.files.content(file.id).content == content
    batch = ended(
        client,
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"a": "b"}),
    )
    assert batch.status == "completed"
    assert batch.request_counts
    assert (batch.request_counts.total, batch.request_counts.completed) == (12, 12)
    assert batch.output_file_id
    answers = [json.loads(each) for each in client.files.content(batch.output_file_id).text.splitlines()]
    assert [each["custom_id"] for each in answers] == [f"q{number}" for number in range(12)]
    assert batch.id in [each.id for each in client.batches.list()]


def test_what_is_wrong_with_a_batch_is_told(client: openai.OpenAI) -> None:
    file = client.files.create(file=("q.jsonl", line("a") + line("b", model="nobody-s")), purpose="batch")
    batch = ended(client, client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h"))
    assert batch.status == "failed"
    assert batch.errors
    assert batch.errors.data
    assert [(each.line, each.code) for each in batch.errors.data] == [(2, "model_not_found")]


def test_a_large_file_comes_in_parts_and_is_read_where_it_lies(client: openai.OpenAI, stack: RunningStack) -> None:
    content = b"".join(line(f"q{number}", user="x" * 1_000) for number in range(5_000))
    assert len(content) > 5_000_000
    upload = client.uploads.upload_file_chunked(
        file=content,
        filename="q.jsonl",
        bytes=len(content),
        mime_type="application/jsonl",
        purpose="batch",
        part_size=3_000_000,
    )
    assert upload.file
    assert client.files.content(upload.file.id).content == content
    assert client.files.delete(upload.file.id).deleted
    # No page of the web reads it, whatever it knows.
    answer = httpx.get(
        f"{stack.stack.base_url}/files/{upload.file.id}/content",
        headers={"authorization": f"Bearer {stack.stack.api_key}"},
    )
    assert answer.status_code == 404
