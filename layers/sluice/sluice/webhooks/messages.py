"""What webhooks send to their queue. Pure."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sluice.webhooks.endpoint import Event, EventType


class Delivery(BaseModel):
    """Send an event to an endpoint, not before `due_at`, in seconds since 1970. The first attempt is 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    endpoint: str
    event_id: str
    event_type: EventType
    created_at: int
    subject: str
    attempt: Annotated[int, Field(ge=0)] = 0
    due_at: int = 0

    @classmethod
    def of(cls, event: Event, tenant: str, endpoint: str) -> "Delivery":
        """The first attempt."""
        return cls(
            tenant=tenant,
            endpoint=endpoint,
            event_id=event.id,
            event_type=event.type,
            created_at=event.created_at,
            subject=event.subject,
        )

    @property
    def event(self) -> Event:
        """What is told."""
        return Event(id=self.event_id, type=self.event_type, created_at=self.created_at, subject=self.subject)

    def later(self, due_at: int) -> "Delivery":
        """The next attempt."""
        return self.model_copy(update={"attempt": self.attempt + 1, "due_at": due_at})


def read_delivery(body: str) -> Delivery:
    """A message of the queue. Raises ValueError."""
    return Delivery.model_validate_json(body)
