"""SQS: messages to queues, as JSON."""

import json
from collections.abc import Iterable
from itertools import batched

from sluice.chat import JsonObject
from sluice.errors import StorageUnavailableError
from sluice.storage.connections import Timeouts
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig

LONGEST_DELAY_S = 900
"""How long SQS holds a message back at most."""

_MOST_AT_ONCE = 10

_MODEL = ServiceModel("SQS", "sqs", "AmazonSQS", "1.0")


class Sqs(JsonService):
    """A client of SQS: one per process, which threads share."""

    def __init__(self, config: ServiceConfig, timeouts: Timeouts | None = None) -> None:
        super().__init__(_MODEL, config, timeouts or Timeouts())


class Queue:
    """One queue. What is sent may arrive more than once, and in any order."""

    def __init__(self, client: Sqs, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: JsonObject, *, group: str, delay_s: int = 0) -> None:
        """Send a message, to arrive in `delay_s` at the earliest. Raises StorageUnavailableError.

        SQS takes the groups of a queue in turns, so that many messages of one hold up none of another's.
        """
        self._client.call(
            "SendMessage",
            {
                "QueueUrl": self._url,
                "MessageBody": json.dumps(message, separators=(",", ":")),
                "MessageGroupId": group,
                **({"DelaySeconds": min(max(0, delay_s), LONGEST_DELAY_S)} if delay_s > 0 else {}),
            },
        )

    def send_all(self, messages: Iterable[JsonObject], *, group: str) -> None:
        """Send messages, ten in one request. Raises StorageUnavailableError, after which some may have been sent."""
        for some in batched(messages, _MOST_AT_ONCE, strict=False):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": json.dumps(message, separators=(",", ":")),
                    "MessageGroupId": group,
                }
                for number, message in enumerate(some)
            ]
            answer = self._client.call("SendMessageBatch", {"QueueUrl": self._url, "Entries": entries})
            if failed := answer.get("Failed"):
                codes = ", ".join(sorted({str(each.get("Code")) for each in failed}))
                raise StorageUnavailableError(f"SQS did not take {len(failed)} of {len(entries)} messages: {codes}")


def sqs() -> Sqs:
    """A client as the environment says now, with connections of its own. A process needs one: see composition.App."""
    return Sqs(ServiceConfig.from_environment("SQS"))
