"""What stores send to their queue. Pure.

Each message says whose request it follows, with whose rights and budget it is done; it may arrive twice, and late.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sluice.tenants.principal import Principal


class _Message(BaseModel):
    """`open` is where the work is written down, if the message comes from there."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tenant: str
    caller: str
    is_login: bool = False
    user: str | None = None
    store: str
    open: tuple[str, str] | None = None

    @classmethod
    def of(cls, principal: Principal, store: str, **fields: Any) -> Self:
        """The message for a store, on behalf of a principal."""
        return cls(
            tenant=principal.tenant.id,
            caller=principal.caller_id,
            is_login=principal.is_login,
            user=principal.user,
            store=store,
            **fields,
        )


class Repair(_Message):
    """Clean up what was left of a document, and make the vectors that it lacks: `failures` times that was in vain."""

    kind: Literal["repair"] = "repair"
    document: str
    failures: int = 0


class ProcessFile(_Message):
    """Read a file that was attached, and write it as a document; `failures` times that was in vain.

    `waited_s` is how long it has waited for quota.
    """

    kind: Literal["file"] = "file"
    file: str
    attempt: str
    failures: int = 0
    waited_s: int = 0


class Rebuild(_Message):
    """Make the vectors of the store's next generation, from the document after `after` on; switch to it at the end.

    `lacking` is how many documents were found that lack them still, in this round.
    """

    kind: Literal["rebuild"] = "rebuild"
    generation: int
    after: str = ""
    lacking: int = 0
    failures: int = 0


class Purge(_Message):
    """Delete the vectors of a generation that answers no more."""

    kind: Literal["purge"] = "purge"
    generation: int
    model: str
    dimensions: int


class Empty(_Message):
    """Delete all that is in a store that was deleted, or has expired."""

    kind: Literal["empty"] = "empty"


class Check(_Message):
    """Look whether a store has expired, and once a day what its vectors are like."""

    kind: Literal["check"] = "check"


type StoreMessage = Annotated[Repair | ProcessFile | Rebuild | Purge | Empty | Check, Field(discriminator="kind")]

_message: TypeAdapter[StoreMessage] = TypeAdapter(StoreMessage)


def read_message(body: str) -> StoreMessage:
    """A message of the queue. Raises ValueError."""
    return _message.validate_json(body)
