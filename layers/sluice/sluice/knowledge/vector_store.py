"""Vector stores, and the generations of their vectors. Pure."""

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum

from sluice.files.file import new_id as new_file_id
from sluice.loading.dataclass import dataclass

DAY_S = 86_400


class FileStatus(StrEnum):
    """Where a file of a store is. The names are OpenAI's."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The vectors of one model: those of two are never compared, and each has a generation of its own.

    `is_shortened`: the model's own have more dimensions.
    """

    number: int
    model: str
    dimensions: int
    is_shortened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStore:
    """A store of a tenant. Times are in seconds since 1970.

    `active` answers searches; `next` is being made meanwhile, if there is one. `epoch` changes with either of them.
    `counts` are files by status, `usage_bytes` what texts and vectors take. `quality` is what the last check found.
    `is_emptied`: it has expired, and what was in it is gone.
    """

    id: str
    tenant: str
    name: str
    created_at: int
    active: Generation
    next: Generation | None = None
    epoch: int = 0
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_after_days: int | None = None
    last_active_at: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    usage_bytes: int = 0
    is_deleted: bool = False
    is_emptied: bool = False
    quality: Mapping[str, object] = field(default_factory=dict)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that what is written now goes to."""
        return (self.active,) if self.next is None else (self.active, self.next)

    @property
    def expires_at(self) -> int | None:
        """When it expires, unless it is used before."""
        return None if self.expires_after_days is None else self.last_active_at + self.expires_after_days * DAY_S

    def is_expired(self, now_s: float) -> bool:
        """Whether nothing is found in it any more."""
        return self.is_emptied or (self.expires_at is not None and self.expires_at <= now_s)

    def switched(self) -> "VectorStore":
        """The store once its next generation answers."""
        if self.next is None:
            raise ValueError("the store has no next generation")
        return replace(self, active=self.next, next=None, epoch=self.epoch + 1)


def new_id(now_ms: int) -> str:
    """The id of a new store."""
    return new_file_id("vs_", now_ms)
