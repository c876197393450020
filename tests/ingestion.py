"""Sources, with the functions that receive and work, a queue and a bucket, as MiniStack has them."""

import hashlib
import hmac
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from functions.keys.app import ROUTES
from sluice.api.ingest_receiving import ROUTES as RECEIVING
from sluice.api.ingest_worker import ingest_handler
from sluice.api.rest import lambda_handler as receiver_handler
from sluice.composition import App
from sluice.ingestion.source import Source
from sluice.knowledge.document import DocumentRecord, key_of
from tests.batches import sqs_record
from tests.recorded_calls import asked_as
from tests.rest_function import CONTEXT, RestAnswer, RestFunction, rest_event
from tests.stores import Knowledge

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_WORKER = "IngestWorkerFunction"


class Ingestion:
    """A tenant with a store, an operator's key, and the functions of ingestion."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.sqs = boto3.client("sqs")
        self.operator = RestFunction(ROUTES)
        self.operator.api_key = self.operator.key(role="operator")
        self.restart()

    def restart(self) -> None:
        """Receive and work from now on as fresh processes do."""
        self.receiver_app, self.worker_app = App.from_environment(), App.from_environment()
        self._receive = receiver_handler(RECEIVING, self.receiver_app)
        self._work = ingest_handler(self.worker_app)

    def create(self, source_type: str = "github", **fields: Any) -> dict[str, Any]:
        """Make a source."""
        store = self.knowledge.store.id
        asked = {"type": source_type, "name": "A source", "vector_store_id": store, **fields}
        answer = self.operator.send("POST /v1/ingest/sources", asked)
        assert answer.status == 200, answer.raw
        made: dict[str, Any] = answer.body
        return made

    def source(self, source_id: str) -> Source:
        """A source as it is kept."""
        found = self.worker_app.ingest_sources.find(source_id)
        assert found is not None
        return found

    def send(
        self,
        source: Mapping[str, Any],
        payload: Any,
        event: str = "",
        *,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RestAnswer:
        """Send an event as its source does: signed, as bytes."""
        body = payload if isinstance(payload, str) else json.dumps(payload)
        name = "X-Hub-Signature-256" if source["type"] == "github" else "X-Hub-Signature"
        sent = {
            "Content-Type": "application/json",
            name: signature(source["secret"] if secret is None else secret, body),
            **({"X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid.uuid4())} if event else {}),
            **(headers or {}),
        }
        answer = self._receive(rest_event("POST", source["path"], sent, body=body), cast("LambdaContext", CONTEXT))
        return RestAnswer(answer["statusCode"], answer["multiValueHeaders"], answer["body"])

    def take(self, source: Mapping[str, Any], payload: Any, event: str = "") -> None:
        """Send an event, and do what follows."""
        answer = self.send(source, payload, event)
        assert (answer.status, answer.body["status"]) == (202, "queued"), answer.raw
        self.work()

    def messages(self) -> list[str]:
        """What is in the queue, which is empty then."""
        found: list[str] = []
        url = os.environ["INGEST_QUEUE"]
        while received := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for each in received:
                found.append(each["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return found

    def hand(self, message: str, receives: int = 1) -> bool:
        """Hand a message to the worker. Returns whether it is done with it."""
        event = {"Records": [sqs_record("a-message", message, receives)]}
        with asked_as(_WORKER):
            answer = self._work(event, cast("LambdaContext", CONTEXT))
        return bool(answer == {"batchItemFailures": []})

    def work(self) -> int:
        """Work until nothing is in the queue. Returns how many messages there were."""
        done = 0
        while messages := self.messages():
            for message in messages:
                assert self.hand(message)
                done += 1
        return done

    def document(self, document_id: str) -> DocumentRecord | None:
        """A document as the store has it; None if there is none, or it was deleted."""
        found = self.knowledge.app.store_documents.find(self.knowledge.store, key_of(document_id))
        return None if found is None or found.is_deleted else found

    def text(self, document_id: str) -> str | None:
        """The newest text of a document that is there."""
        found = self.document(document_id)
        if found is None:
            return None
        documents, store = self.knowledge.app.store_documents, self.knowledge.store
        chunks = documents.texts(store, found.key, found.waiting or found.current)
        return "".join(each.text for each in chunks)

    def contents(self) -> list[str]:
        """Of which documents it is kept what was said of them: their store, and their id."""
        items = boto3.client("dynamodb").scan(TableName=os.environ["INGESTION_TABLE"])["Items"]
        found = [f"{each['collection']['S']}/{each['entry']['S']}" for each in items]
        return [each for each in found if each.startswith("contents#")]

    def coverage(self, **query: str) -> Any:
        """What the report says of the first source."""
        answer = self.operator.send("GET /v1/ingest/coverage", query=query or None)
        assert answer.status == 200, answer.raw
        return answer.body["sources"][0]

    def problems(self) -> list[tuple[str, str]]:
        """What was not taken as it came, the newest first."""
        return [(each["kind"], each["reason"]) for each in self.coverage()["problems"]]


def signature(secret: str, body: str) -> str:
    """What a source signs a body with."""
    return "sha256=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()


def now_ms() -> int:
    """What Jira says is the time."""
    return int(time.time() * 1000)


@contextmanager
def ingestion_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A queue of its own, and the secret that others are sealed under."""
    sqs = boto3.client("sqs")
    suffix = uuid.uuid4().hex[:12]
    url = sqs.create_queue(QueueName=f"ingest-queue-{suffix}")["QueueUrl"]
    monkeypatch.setenv("INGEST_QUEUE", url)
    yield
    sqs.delete_queue(QueueUrl=url)
