"""How much time a request has left."""

import math
import time
from dataclasses import dataclass

# Kept back from Lambda's own deadline, to settle and to send the error.
_MARGIN_S = 1.5


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock by which the answer must be on its way."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def of_request(cls, timeout_s: float, function_ends_in_s: float = math.inf) -> "Deadline":
        """The deadline of a request that may take `timeout_s`, if Lambda does not end its function before that."""
        return cls.after(min(timeout_s, function_ends_in_s - _MARGIN_S))

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - time.monotonic())
