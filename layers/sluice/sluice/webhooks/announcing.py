"""Announcing of events: a message for each endpoint of a tenant that wants to hear of it."""

from sluice.storage.queues import Queue
from sluice.webhooks.endpoint import Event
from sluice.webhooks.messages import Delivery
from sluice.webhooks.store import EndpointStore


class Announcer:
    """Queues events for delivery. Threads may share it."""

    def __init__(self, endpoints: EndpointStore, queue: Queue) -> None:
        self._endpoints = endpoints
        self._queue = queue

    def announce(self, tenant: str, event: Event) -> None:
        """Have an event sent to all that want it. Raises StorageUnavailableError; then some may have been told.

        The same event again is sent again, under the same id.
        """
        for endpoint in self._endpoints.all(tenant):
            if endpoint.disabled_at is None and event.type in endpoint.event_types:
                message = Delivery.of(event, tenant, endpoint.id)
                self._queue.send(message.model_dump(mode="json"), group=tenant)
