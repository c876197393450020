"""Vector stores, with a queue and a bucket as MiniStack has them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest

from sluice.api.store_messages import store_handler
from sluice.composition import App
from sluice.knowledge.document import Document
from sluice.knowledge.index import Nearest
from sluice.knowledge.vector_store import Generation, VectorStore, new_id
from sluice.storage import client as storage
from sluice.tenants.principal import Principal
from tests.batches import sqs_record
from tests.conftest import Aws
from tests.credentials import gateway, model
from tests.fakes.client import FakeProvider
from tests.fakes.vectors import vector_of
from tests.recorded_calls import asked_as
from tests.rest_function import CONTEXT
from tests.tenants import key_id, make_tenant

DIMENSIONS = 256
_FUNCTION = "StoreWorkerFunction"


class DiedError(BaseException):
    """Stands for the end of a process between two lines."""


def die(*_: object, **__: object) -> None:
    """End here."""
    raise DiedError


class Knowledge:
    """Stores as the functions have them, and a tenant with a key and a store."""

    def __init__(self) -> None:
        self.restart()
        self.api_key = make_tenant(self.app, "acme")
        self.store = self.new_store()

    def restart(self) -> None:
        """Go on as a fresh process."""
        self.app = App.from_environment()

    def hourly(self) -> int:
        """Do what the function does every hour. Returns how many messages it sent."""
        with asked_as(_FUNCTION):
            sent: int = store_handler(self.app)({}, CONTEXT)["sent"]  # type: ignore[arg-type]
        return sent

    def deliver(self) -> int:
        """Hand the messages of the queue that are due to its function. Returns how many there were."""
        sqs, url = boto3.client("sqs"), os.environ["STORES_QUEUE"]
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in received:
            if self.hand(message["Body"]):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(received)

    def hand(self, body: str) -> bool:
        """Hand a message to the function. Returns whether it is done with."""
        event = {"Records": [sqs_record("a-message", body)]}
        with asked_as(_FUNCTION):
            failed = store_handler(self.app)(event, CONTEXT)["batchItemFailures"]  # type: ignore[arg-type]
        return not failed

    def peek(self) -> str:
        """The body of a message that is due, which stays in the queue."""
        sqs, url = boto3.client("sqs"), os.environ["STORES_QUEUE"]
        received = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
        return received["Messages"][0]["Body"]

    @property
    def principal(self) -> Principal:
        """Who asks."""
        found = self.app.verifier.known("acme", key_id(self.api_key))
        return Principal(found.key, found.tenant)

    def new_store(self, tenant: str = "acme") -> VectorStore:
        """Make a store."""
        now = 1_700_000_000
        store = VectorStore(
            id=new_id(now * 1000 + uuid.uuid4().int % 1000),
            tenant=tenant,
            name="a store",
            created_at=now,
            last_active_at=now,
            active=Generation(number=1, model="embed", dimensions=DIMENSIONS),
        )
        self.app.stores.create(store)
        return store

    def found(self, text: str, most: int = 100) -> list[str]:
        """What is found that has just this text: texts of chunks, the nearest first, whether believed or not."""
        store = self.app.stores.find("acme", self.store.id)
        vector = vector_of(text, DIMENSIONS)
        found = self.app.vector_index.search(store, store.active, Nearest(vector=vector, most=most))
        texts = self.app.store_documents.texts_of_chunks(store, [each.key for each in found])
        return [texts[each.key] for each in found]

    def items(self, variable: str, prefix: str = "") -> list[str]:
        """The keys of the items of a table whose partitions begin so."""
        keys = {"STORES_TABLE": ("collection", "entry"), "VECTORS_TABLE": ("scope", "chunk")}[variable]
        items = storage.dynamodb().call("Scan", {"TableName": os.environ[variable]})["Items"]
        found = ["/".join(item[key]["S"] for key in keys) for item in items]
        return sorted(each for each in found if each.startswith(prefix))


def document(text: str, *, id: str = "jira:PROJ-1", version: str = "2026-01-01", **fields: object) -> Document:
    """A document."""
    return Document(id=id, kind="jira_issue", text=text, version=version, **fields)  # type: ignore[arg-type]


def embeds(aws: Aws, fake: FakeProvider) -> None:
    """Let there be a model that makes embeddings."""
    vectors = {"vectors": {"dimensions": DIMENSIONS}, "context_window": 8_192}
    embedder = {**vectors, "price": {"prompt_usd": 1, "completion_usd": 0}}
    aws.set_credentials(gateway(fake, "fake-1", models={"small": model(), "embed": embedder}))
    fake.configure(embeddings={"dimensions": DIMENSIONS})


@contextmanager
def stores_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bucket and a queue of their own."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    suffix = uuid.uuid4().hex[:12]
    bucket = f"files.bucket-{suffix}"
    s3.create_bucket(Bucket=bucket)
    monkeypatch.setenv("FILES_BUCKET", bucket)
    url = sqs.create_queue(QueueName=f"stores-queue-{suffix}")["QueueUrl"]
    monkeypatch.setenv("STORES_QUEUE", url)
    yield
    sqs.delete_queue(QueueUrl=url)
