"""Deadline of a request: how much time it has left."""

import math
import time

from sluice.loading.dataclass import dataclass

# Kept back from Lambda's own deadline, to settle and to send the error.
_MARGIN_S = 1.5
# Kept back from providers, to settle what their answers cost: a tenth of the time, and a quarter of a second at most.
_SETTLING_SHARE, _SETTLING_S = 0.1, 0.25
# What is settled even of a request whose time is over.
_LEAST_SETTLING_S = 0.1


@dataclass(frozen=True, slots=True)
class Deadline:
    """Two moments on the monotonic clock: `at_s`, by which a provider has to have answered, and when all is over."""

    at_s: float
    over_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline of what has to be over `seconds` from now."""
        seconds = max(0.0, seconds)
        over_s = time.monotonic() + seconds
        return cls(over_s - min(_SETTLING_S, seconds * _SETTLING_SHARE), over_s)

    @classmethod
    def of_request(cls, timeout_s: float, function_ends_in_s: float = math.inf) -> "Deadline":
        """The deadline of a request that may take `timeout_s`, if Lambda does not end its function before that."""
        return cls.after(min(timeout_s, function_ends_in_s - _MARGIN_S))

    @property
    def remaining_s(self) -> float:
        """Seconds left for a provider, never negative."""
        return max(0.0, self.at_s - time.monotonic())

    def settled_at_s(self) -> float:
        """By when the bookkeeping that begins now has to be done."""
        return max(self.over_s, time.monotonic() + _LEAST_SETTLING_S)
