"""Webhooks of the deployed stack, by OpenAI's client: made by the API, and delivered by what the queue invokes."""

import json
import time
from collections.abc import Iterator
from typing import Final

import openai
import pytest
from standardwebhooks import Webhook

from tests.e2e.conftest import FAKE_MODEL
from tests.scripted_server import ScriptedServer, answer
from tools.stack import RunningStack

CHAT: Final = "/v1/chat/completions"
WITHIN_S = 120


@pytest.fixture
def operator(stack: RunningStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=stack.stack.base_url, api_key=stack.stack.operator_key, max_retries=0)


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    """What fails once, and takes what comes then."""
    with ScriptedServer(answer({}, status=500)) as server:
        yield server


def test_an_event_is_delivered_in_the_end_and_verified(
    operator: openai.OpenAI, stack: RunningStack, receiver: ScriptedServer
) -> None:
    made = operator.webhooks.create(name="e2e", url=f"{receiver.url}/hook", event_types=["batch.completed"])
    try:
        assert made.id in [each.id for each in operator.webhooks.list()]
        caller = openai.OpenAI(base_url=stack.stack.base_url, api_key=stack.stack.api_key, max_retries=0)
        asked = {"model": FAKE_MODEL, "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 8}
        line = json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": asked}).encode()
        file = caller.files.create(file=("q.jsonl", line), purpose="batch")
        batch = caller.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        ends_at_s = time.monotonic() + WITHIN_S
        while len(receiver.requests) < 2:
            assert time.monotonic() < ends_at_s, f"{len(receiver.requests)} deliveries came"
            time.sleep(0.5)
        failed, taken = receiver.requests[:2]
        assert failed.body == taken.body
        assert failed.headers["webhook-id"] == taken.headers["webhook-id"]
        event = operator.webhooks.unwrap(taken.body, taken.headers, secret=made.signing_secret)
        assert event.type == "batch.completed"
        assert event.data.id == batch.id
        assert caller.batches.retrieve(batch.id).status == "completed"
        Webhook(made.signing_secret).verify(taken.body, dict(taken.headers))
        rotated = operator.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
        assert rotated.signing_secret != made.signing_secret
        while (last := operator.webhooks.retrieve(made.id).model_dump()["last_delivery"])["outcome"] != "delivered":
            assert time.monotonic() < ends_at_s, last
            time.sleep(0.5)
    finally:
        assert operator.webhooks.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        operator.webhooks.retrieve(made.id)


def test_an_address_of_the_stack_s_own_network_is_refused(operator: openai.OpenAI) -> None:
    for url in ("http://169.254.169.254/latest/meta-data", "https://169.254.169.254/", "http://10.0.0.1:8080/"):
        with pytest.raises(openai.BadRequestError, match="url"):
            operator.webhooks.create(name="e2e", url=url, event_types=["batch.completed"])
