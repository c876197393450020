"""What batches need of the API that their lines are requests to."""

import math
from collections.abc import Callable
from typing import Protocol

from sluice.batches.batch import Batch
from sluice.batches.line import BatchLine
from sluice.chat import JsonObject
from sluice.loading.dataclass import dataclass
from sluice.tenants.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswer:
    """What a line was answered: as HTTP has it, and what it took.

    `retry_after_s` is when to ask again, of an answer that only says that there is no quota left now; `may_pass`: the
    same question may fare better later.
    """

    status: int
    request_id: str
    body: JsonObject
    retry_after_s: float | None = None
    may_pass: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanousd: int = 0

    @property
    def is_good(self) -> bool:
        """Whether it is an answer, and not an error."""
        return self.status < 400


class LineApi(Protocol):
    """Answers the lines of batches as requests of their callers."""

    def check(self, line: BatchLine, principal: Principal) -> int:
        """Refuse what would be refused whatever is left of quotas. Asks no model. Raises SluiceError.

        Returns the estimated cost, in billionths of a dollar.
        """

    def longest_s(self, remaining_s: float) -> float:
        """How long one question may take, of the time that is left."""

    def ask(self, line: BatchLine, principal: Principal, remaining_s: float = math.inf) -> LineAnswer:
        """Answer a line, with what others have left of the quotas. Raises nothing that a request could cause."""


type FindPrincipal = Callable[[Batch], Principal]
"""Whose a batch is, with the rights of now. Raises AuthenticationError, StorageUnavailableError."""
