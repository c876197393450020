"""Batches and how far they are. Pure."""

from dataclasses import field, replace
from enum import IntEnum, StrEnum

from sluice.loading.dataclass import dataclass

WINDOW_S = 86_400
"""How long a batch may take."""
MOST_LINES = 50_000
CHUNK_LINES = 10
"""How many lines one message is for."""
KEPT_S = 30 * 86_400
"""How long a batch is told of after it has ended."""


class Status(StrEnum):
    """Where a batch is. The names are OpenAI's."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it stays so."""
        return self in {Status.FAILED, Status.COMPLETED, Status.EXPIRED, Status.CANCELLED}


class Priority(IntEnum):
    """Which of a tenant's batches come first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line of a batch's file, or with the whole (line 0), and what would be right."""

    line: int
    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What became of a batch's lines so far.

    `asked_again` is how many questions were asked once more since who had asked them died, or was cut off, before the
    answer was kept: those may have been paid for twice. Cached tokens are among the prompt's, and reasoning's among the
    completion's.
    """

    completed: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanousd: int = 0
    asked_again: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        """Both together."""
        names = Progress.__slots__
        return Progress(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def ended(self) -> int:
        """How many lines have an answer, or an error for one."""
        return self.completed + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch. Times are in seconds since 1970; `reached` is when it came to be in each status.

    `is_login`: it was made with a login in place of an API key, whose `user` it is for. `estimated_nanousd` is what its
    lines were estimated to cost when they were checked. `made_once_as` names the request that it was made for, if that
    had an idempotency key.
    """

    id: str
    tenant: str
    caller: str
    endpoint: str
    input_file: str
    created_at: int
    ends_by: int
    status: Status = Status.VALIDATING
    priority: Priority = Priority.NORMAL
    metadata: dict[str, str] = field(default_factory=dict)
    output_kept_s: int | None = None
    is_login: bool = False
    user: str | None = None
    made_once_as: str | None = None
    total: int = 0
    estimated_nanousd: int = 0
    reached: dict[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    progress: Progress = field(default_factory=Progress)
    """At its end; before that it is still being counted."""
    output_file: str | None = None
    error_file: str | None = None
    is_announced: bool = False
    """Whether those that want to hear of its end are told."""

    @property
    def owner(self) -> str:
        """Who alone may see it."""
        return f"{self.tenant}#{self.caller}"

    def with_progress(self, progress: Progress) -> "Batch":
        """The batch as it is now."""
        return replace(self, progress=progress)
