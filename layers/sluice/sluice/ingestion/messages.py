"""What ingestion sends to its queue. Pure.

A message may arrive twice, and in any order. What is too large for the queue is in the bucket of files, under `object`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sluice.ingestion.source import Source

MOST_MESSAGE_BYTES = 240_000
"""How long a message is at most: SQS takes 256 KiB wherever it is, and more in most regions."""
_MOST_LISTED_BYTES = MOST_MESSAGE_BYTES - 10_000


class Event(BaseModel):
    """An event of a source, as it came: `body` is its JSON, or in the object. Times are in milliseconds since 1970.

    `delivery` says by its bytes whether it came before, `name` is what its sender calls it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["event"] = "event"
    source: str
    event: str
    received_ms: int
    delivery: str = ""
    name: str = ""
    body: str = ""
    object: str = ""


class Forget(BaseModel):
    """Forget what was said of the documents of a store, for which no source is any more."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["forget"] = "forget"
    tenant: str
    store: str

    @classmethod
    def of(cls, source: Source) -> "Forget":
        """The message for what a source was for."""
        return cls(tenant=source.tenant, store=source.vector_store_id)


type IngestMessage = Annotated[Event | Forget, Field(discriminator="kind")]

_message: TypeAdapter[IngestMessage] = TypeAdapter(IngestMessage)


def read_message(body: str) -> IngestMessage:
    """A message of the queue. Raises ValueError."""
    return _message.validate_json(body)


def by_size(items: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Items in lists of `most` at the most, each of which fits into a message as JSON, if each item does."""
    some: list[Any] = []
    size = 0
    for item in items:
        # The body is a text within the message: each quote and each backslash takes two characters.
        own = len(json.dumps(json.dumps(item)))
        if some and (len(some) == most or size + own > _MOST_LISTED_BYTES):
            yield some
            some, size = [], 0
        some.append(item)
        size += own
    if some:
        yield some
