"""Webhook endpoints and the events that are sent to them. Pure."""

import json
import secrets
from enum import StrEnum

from sluice.loading.dataclass import dataclass

MOST_ENDPOINTS = 10
"""How many endpoints a tenant may have."""
OVERLAP_S = 86_400
"""How long a replaced secret goes on to sign beside the new one, where that is asked for."""
_HINT_CHARACTERS = 4


class EventType(StrEnum):
    """What is told. The names are OpenAI's, but for what only Sluice has."""

    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"
    INSIGHT_FOUND = "insight.found"


class Outcome(StrEnum):
    """What became of an attempt to deliver an event. RETRYING: another attempt follows; GAVE_UP: that was the last."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, at a moment in seconds since 1970, to what has the id `subject`.

    The same event has the same id, however often it is announced.
    """

    id: str
    type: EventType
    created_at: int
    subject: str

    def body(self) -> bytes:
        """What is sent, as OpenAI's webhooks have it: the same bytes each time."""
        content = {
            "id": self.id,
            "object": "event",
            "created_at": self.created_at,
            "type": str(self.type),
            "data": {"id": self.subject},
        }
        return json.dumps(content, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDelivery:
    """The latest attempt at an endpoint: the `status` of its answer, or None, and `reason` says why none came."""

    event: str
    at: int
    outcome: Outcome
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """Where a tenant has events sent. Times are in seconds since 1970.

    What signs for it is derived from `salt`, and until `previous_until` from `previous_salt` as well: see `signing`.
    `hint` is the end of its secret. One that has answered 410 has `disabled_at`, and is sent nothing more.
    """

    id: str
    tenant: str
    url: str
    name: str
    event_types: tuple[EventType, ...]
    created_at: int
    updated_at: int
    salt: str
    hint: str
    previous_salt: str | None = None
    previous_until: int = 0
    disabled_at: int | None = None
    last_delivery: LastDelivery | None = None

    def salts(self, now_s: float) -> list[str]:
        """What its signatures are derived from now, the newest first."""
        is_overlapping = self.previous_salt is not None and now_s < self.previous_until
        return [self.salt, str(self.previous_salt)] if is_overlapping else [self.salt]


def new_endpoint_id() -> str:
    """An id that nobody can guess."""
    return f"we_{secrets.token_hex(16)}"


def new_salt() -> str:
    """What tells a new secret from all others."""
    return secrets.token_hex(16)


def hint_of(secret: str) -> str:
    """What is shown of a secret later."""
    return secret[-_HINT_CHARACTERS:]
