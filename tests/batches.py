"""Files and batches through their own functions, with queues and a bucket as MiniStack has them."""

import base64
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from functions.batch_worker.app import LINE_ROUTES
from functions.files.app import ROUTES
from sluice.api.batch_lines import job_handler, line_handler
from sluice.api.webhook_delivery import delivery_handler
from sluice.composition import App
from sluice.storage import client as storage
from sluice.storage.item_types import TypedItem
from tests.conftest import Aws
from tests.fakes.client import FakeProvider
from tests.recorded_calls import asked_as
from tests.rest_function import CONTEXT, RestAnswer, RestFunction, rest_event
from tests.tenants import key_id

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CHAT = "/v1/chat/completions"
_FUNCTIONS = {
    "BATCH_LINES_QUEUE": "BatchWorkerFunction",
    "BATCH_JOBS_QUEUE": "BatchJobsFunction",
    "WEBHOOKS_QUEUE": "WebhookDeliveryFunction",
}
_BOUNDARY = "a-boundary-of-its-own"


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """A line of a batch's file: a question to the model small."""
    asked = {"model": "small", "messages": [{"role": "user", "content": f"Hello, {custom_id}."}], "max_tokens": 20}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {**asked, **body}}


def jsonl(lines: Sequence[Any]) -> bytes:
    """Lines as a file has them."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


def asked(fake: FakeProvider) -> list[str]:
    """The questions that the provider has seen."""
    return [request["body"]["messages"][0]["content"] for request in fake.requests()]


class DiedError(BaseException):
    """Stands for the end of a process between two lines."""


def die(*_: object, **__: object) -> None:
    """End here."""
    raise DiedError


class Batches(RestFunction):
    """The function of files and batches, and those that take messages, run when a test says so."""

    def __init__(self, sqs: Any) -> None:
        super().__init__(ROUTES)
        self.sqs = sqs

    def restart(self) -> None:
        """Answer and work from now on as fresh processes do."""
        super().restart()
        self.worker, self.jobs, self.webhooks = (App.from_environment() for _ in range(3))
        self._handlers: Mapping[str, Callable[[Any, Any], Any]] = {
            "BATCH_LINES_QUEUE": line_handler(LINE_ROUTES, self.worker),
            "BATCH_JOBS_QUEUE": job_handler(LINE_ROUTES, self.jobs),
            "WEBHOOKS_QUEUE": delivery_handler(self.webhooks),
        }

    def upload(self, content: bytes, *, name: str = "questions.jsonl", **fields: str) -> RestAnswer:
        """Upload a file by a form."""
        return self.form("POST /v1/files", {"purpose": "batch", **fields}, {"file": (name, content)})

    def form(self, route: str, fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> RestAnswer:
        """Send a form, as API Gateway hands it on."""
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        ]
        parts += [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n\r\n'.encode()
            + content
            + b"\r\n"
            for key, (name, content) in files.items()
        ]
        body = base64.b64encode(b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()).decode()
        method, path = route.split()
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        }
        event = rest_event(method, path, headers, body=body, is_base64=True)
        answer = self._handler(event, cast("LambdaContext", CONTEXT))
        return RestAnswer(answer["statusCode"], answer["multiValueHeaders"], answer["body"])

    def create(self, lines: Sequence[Any], **fields: Any) -> dict[str, Any]:
        """Make a batch of these lines."""
        file = self.upload(jsonl(lines)).body
        asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h", **fields}
        created = self.send("POST /v1/batches", asked)
        assert created.status == 200, created.raw
        batch: dict[str, Any] = created.body
        return batch

    def get(self, batch_id: str) -> dict[str, Any]:
        """How far a batch is."""
        batch: dict[str, Any] = self.send(f"GET /v1/batches/{batch_id}").body
        return batch

    def content(self, file_id: str) -> list[dict[str, Any]]:
        """The lines of a file."""
        answer = self.send(f"GET /v1/files/{file_id}/content")
        assert answer.status == 200, answer.raw
        return [json.loads(each) for each in answer.raw.splitlines()]

    def items(self) -> list[TypedItem]:
        """All items of the table, in DynamoDB's typed form as it travels."""
        return list(storage.dynamodb().call("Scan", {"TableName": os.environ["BATCHES_TABLE"]})["Items"])

    def url(self, variable: str) -> str:
        """The URL of a queue."""
        return os.environ[variable]

    def hand(self, variable: str, body: str, message_id: str = "a-message", *, receives: int = 1) -> Any:
        """Hand a message to the function of a queue, for the how-manieth time. Returns which messages failed."""
        with asked_as(_FUNCTIONS[variable]):
            return self._handlers[variable]({"Records": [sqs_record(message_id, body, receives)]}, CONTEXT)

    def tell(self, kind: str, batch_id: str, *, caller: str | None = None) -> Any:
        """Hand over a message about a batch: a kind of job, or `lines` for its first ten. Returns which failed."""
        names = {"tenant": "acme", "caller": caller or key_id(self.api_key), "batch": batch_id}
        if kind == "lines":
            return self.hand("BATCH_LINES_QUEUE", json.dumps({"kind": kind, "chunk": 0, **names}))
        return self.hand("BATCH_JOBS_QUEUE", json.dumps({"kind": kind, **names}))

    def peek(self, variable: str) -> str:
        """The body of a message that is due, which stays in the queue."""
        received = self.sqs.receive_message(QueueUrl=self.url(variable), VisibilityTimeout=0, WaitTimeSeconds=0)
        body: str = received["Messages"][0]["Body"]
        return body

    def lose(self, variable: str) -> None:
        """Lose all messages that are due."""
        url = self.url(variable)
        for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def deliver(self, variable: str, *, visibility_s: int = 60) -> int:
        """Hand the messages of a queue that are due to its function. Returns how many there were."""
        url = self.url(variable)
        received = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=visibility_s, WaitTimeSeconds=0
        ).get("Messages", [])
        for message in received:
            if not self.hand(variable, message["Body"])["batchItemFailures"]:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(received)

    def waiting(self, variable: str) -> dict[str, int]:
        """How many messages a queue holds back, has, and has given to somebody."""
        names = {
            "delayed": "ApproximateNumberOfMessagesDelayed",
            "there": "ApproximateNumberOfMessages",
            "taken": "ApproximateNumberOfMessagesNotVisible",
        }
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(variable), AttributeNames=["All"])["Attributes"]
        return {name: int(found[attribute]) for name, attribute in names.items()}

    def run_until(self, batch_id: str, *statuses: str, within_s: float = 30.0) -> dict[str, Any]:
        """Deliver messages until a batch is in one of these statuses."""
        statuses = statuses or ("completed", "failed", "expired", "cancelled")
        ends_at_s = time.monotonic() + within_s
        while time.monotonic() < ends_at_s:
            delivered = self.deliver("BATCH_JOBS_QUEUE") + self.deliver("BATCH_LINES_QUEUE")
            batch = self.get(batch_id)
            if batch["status"] in statuses:
                return batch
            if not delivered:
                time.sleep(0.1)
        pytest.fail(f"the batch is still {self.get(batch_id)['status']}")


def sqs_record(message_id: str, body: str, receives: int = 1) -> dict[str, Any]:
    """A message as Lambda is handed it."""
    return {
        "messageId": message_id,
        "receiptHandle": "a-handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives)},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
        "awsRegion": "us-east-1",
    }


@contextmanager
def serving_batches(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Batches]:
    """The functions, with a bucket and queues of their own, a tenant and a key of it."""
    # The fixture `aws` has pointed the environment at what stands in for AWS.
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    suffix = uuid.uuid4().hex[:12]
    bucket = f"files.bucket-{suffix}"
    s3.create_bucket(Bucket=bucket)
    monkeypatch.setenv("FILES_BUCKET", bucket)
    urls = {}
    for variable in ("BATCH_LINES_QUEUE", "BATCH_JOBS_QUEUE", "WEBHOOKS_QUEUE"):
        urls[variable] = sqs.create_queue(QueueName=f"{variable.lower()}-{suffix}")["QueueUrl"]
        monkeypatch.setenv(variable, urls[variable])
    functions = Batches(sqs)
    functions.api_key = functions.tenant("acme")
    yield functions
    for url in urls.values():
        sqs.delete_queue(QueueUrl=url)
