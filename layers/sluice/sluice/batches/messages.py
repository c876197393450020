"""What batches send to their queues. Pure."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sluice.batches.batch import Batch


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    caller: str
    batch: str

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The message for a batch."""
        return cls(tenant=batch.tenant, caller=batch.caller, batch=batch.id)


class Lines(_Message):
    """Ask what is still to be asked of a chunk of lines."""

    kind: Literal["lines"] = "lines"
    chunk: Annotated[int, Field(ge=0)]


class Split(_Message):
    """Check a batch's file, and have its lines asked."""

    kind: Literal["split"] = "split"


class Watch(_Message):
    """See that a batch goes on, and ends in time."""

    kind: Literal["watch"] = "watch"


class Close(_Message):
    """Write what a batch has come to, and end it."""

    kind: Literal["close"] = "close"


type Job = Annotated[Split | Watch | Close, Field(discriminator="kind")]

_job: TypeAdapter[Job] = TypeAdapter(Job)


def read_lines(body: str) -> Lines:
    """A message of the queue of lines. Raises ValueError."""
    return Lines.model_validate_json(body)


def read_job(body: str) -> Job:
    """A message of the queue of jobs. Raises ValueError."""
    return _job.validate_json(body)
