"""EventBridge: events to a bus, for whoever has rules on it."""

import json

from sluice.chat import JsonObject
from sluice.storage.connections import Timeouts
from sluice.storage.errors import ServiceError
from sluice.storage.json_service import JsonService, ServiceModel
from sluice.storage.service_config import ServiceConfig

_MODEL = ServiceModel("EventBridge", "events", "AWSEvents", "1.1")


class EventBus:
    """One event bus. What is sent to it may arrive more than once."""

    def __init__(self, name: str, config: ServiceConfig | None = None) -> None:
        self._name = name
        self._client = JsonService(_MODEL, config or ServiceConfig.from_environment("EVENTBRIDGE"), Timeouts())

    def send(self, source: str, kind: str, detail: JsonObject, *, attempts: int = 3) -> None:
        """Send an event, once with `attempts=1`. Raises ServiceError if the bus did not take it, or did not say."""
        entry = {"EventBusName": self._name, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
        answer = self._client.call("PutEvents", {"Entries": [entry]}, attempts=attempts)
        if answer.get("FailedEntryCount"):
            # It answers 200 for what it has not taken.
            code = str(answer["Entries"][0].get("ErrorCode", "refused"))
            raise ServiceError(f"EventBridge failed at PutEvents: {code}", aws_code=code)
