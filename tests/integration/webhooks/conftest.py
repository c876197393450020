"""Webhooks of a tenant whose batches a fake provider answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from functions.keys.app import ROUTES
from tests.batches import Batches, line, serving_batches
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.rest_function import RestFunction
from tests.scripted_server import Request, ScriptedServer

EVERY_EVENT = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]


@dataclass(frozen=True)
class Webhooks:
    """The functions of batches, and the one that endpoints are made with, by an operator's key."""

    batches: Batches
    keys: RestFunction

    def create(self, url: str, **fields: Any) -> dict[str, Any]:
        """Make an endpoint."""
        body = {"name": "A receiver", "url": url, "event_types": EVERY_EVENT, **fields}
        answer = self.keys.send("POST /v1/webhook_endpoints", body)
        assert answer.status == 200, answer.raw
        made: dict[str, Any] = answer.body
        return made

    def get(self, endpoint_id: str) -> dict[str, Any]:
        """How an endpoint is."""
        found: dict[str, Any] = self.keys.send(f"GET /v1/webhook_endpoints/{endpoint_id}").body
        return found

    def end_a_batch(self) -> str:
        """Have a batch answered. Returns its id."""
        batch_id: str = self.batches.create([line("a")])["id"]
        assert self.batches.run_until(batch_id)["status"] == "completed"
        return batch_id

    def peek(self) -> str:
        """The message of a delivery that is due, which stays in the queue."""
        return self.batches.peek("WEBHOOKS_QUEUE")

    def hand(self, message: str) -> None:
        """Deliver what a message says."""
        assert self.batches.hand("WEBHOOKS_QUEUE", message) == {"batchItemFailures": []}


@pytest.fixture
def webhooks(aws: Aws, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhooks]:
    """A tenant of which an operator asks."""
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model()}))
    monkeypatch.setenv("TENANTS_REACH_LOOPBACK", "true")
    with serving_batches(aws, monkeypatch) as batches:
        yield Webhooks(batches, RestFunction(ROUTES, batches.key(role="operator")))


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    """What takes events."""
    with ScriptedServer() as server:
        yield server


def sent_headers(request: Request) -> dict[str, str]:
    """What a receiver verifies by."""
    return {name: value for name, value in request.headers.items() if name.startswith("webhook-")}
