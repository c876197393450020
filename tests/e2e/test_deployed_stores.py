"""Vector stores of the deployed stack, with its own model: what a caller attaches and what GitHub sends is found."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest

from tests.payloads import github_payload
from tools.stack import RunningStack

WITHIN_S = 120


@pytest.fixture
def caller(stack: RunningStack) -> openai.OpenAI:
    """With a key of its own: it asks again and again, and others share the stack's."""
    made = httpx.post(
        f"{stack.stack.base_url}/keys",
        headers={"authorization": f"Bearer {stack.stack.admin_key}"},
        json={"tenant": "local", "name": "stores", "limits": {"requests_per_minute": 10_000}},
        timeout=60,
    )
    key = made.raise_for_status().json()["api_key"]
    return openai.OpenAI(base_url=stack.stack.base_url, api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def store(caller: openai.OpenAI) -> Iterator[str]:
    made = caller.vector_stores.create(name="Handbook", extra_body={"embedding_model": "potion-base-8M"})
    yield made.id
    assert caller.vector_stores.delete(made.id).deleted


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < ends_at_s
        time.sleep(0.5)


def test_what_is_attached_and_what_github_sends_is_found(
    caller: openai.OpenAI, store: str, stack: RunningStack
) -> None:
    uploaded = caller.files.create(file=("handbook.md", b"# Leave\n\nParental leave is 14 weeks."), purpose="user_data")
    files = caller.vector_stores.files
    files.create(store, file_id=uploaded.id, attributes={"team": "people"})
    operator = httpx.Client(
        base_url=stack.stack.base_url.removesuffix("/v1"),
        headers={"authorization": f"Bearer {stack.stack.operator_key}"},
        timeout=60,
    )
    with operator:
        asked = {"type": "github", "name": "e2e", "vector_store_id": store}
        source = operator.post("/v1/ingest/sources", json=asked).raise_for_status().json()
        body = json.dumps(github_payload("issues.opened")).encode()
        signature = "sha256=" + hmac.new(source["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-github-event": "issues", "x-hub-signature-256": signature}
        forged = operator.post(source["path"], content=body + b" ", headers=headers)
        assert forged.status_code == 401
        told = operator.post(source["path"], content=body, headers=headers)
        assert (told.status_code, told.json()["status"]) == (202, "queued")
        wait_until(lambda: files.retrieve(uploaded.id, vector_store_id=store).status == "completed")
        [found] = caller.vector_stores.search(store, query="How long is parental leave?", max_num_results=1)
        assert "14 weeks" in found.content[0].text

        def of_github() -> list[str]:
            hits = caller.vector_stores.search(store, query="spelling error", extra_body={"kind": "issue"})
            return [each.file_id for each in hits]

        wait_until(lambda: bool(of_github()))
        assert of_github() == ["github:Codertocat/Hello-World#1"]
        coverage = operator.get("/v1/ingest/coverage").raise_for_status().json()
        assert source["id"] in json.dumps(coverage)
        operator.delete(f"/v1/ingest/sources/{source['id']}").raise_for_status()
