"""A deployment's circuit breaker: when it is left alone, and who may try whether it works again. Pure.

Failures in a row open the circuit for a while. Then one call at a time, the probe, may go through: its failure opens
the circuit for as long again, its success closes it, once there were as many in a row as that takes, and if it ends
without a verdict the next probe may go at once.
"""

from enum import StrEnum

from sluice.loading.dataclass import dataclass

# A probe that has not ended by then is taken for dead.
PROBE_S = 60


class CircuitState(StrEnum):
    """Whether calls go through: all, none, or one that tries."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Verdict(StrEnum):
    """What a call said of its deployment's health. A call that was refused or cancelled says nothing."""

    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Breaker:
    """How many failures in a row open a circuit, for how long, and how many successful probes in a row close it."""

    failures_to_open: int = 5
    open_s: int = 60
    successes_to_close: int = 1

    def open_until_s(self, now_ms: int) -> int:
        """Until when a failure at `now_ms` opens a circuit, in seconds since the epoch."""
        return -(-now_ms // 1000) + self.open_s


USUAL_BREAKER = Breaker()
"""What holds where nothing else is set."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Failures in a row, until which second nobody else may call, whether a probe is under way, and how many succeeded.

    What they come to is as its `breaker` says, so that another breaker holds for circuits that are open already.
    """

    failures: int = 0
    until_s: int = 0
    is_probed: bool = False
    successes: int = 0
    breaker: Breaker = USUAL_BREAKER

    @property
    def is_closed(self) -> bool:
        """Whether calls go through."""
        return self.failures < self.breaker.failures_to_open

    def state(self, now_ms: int) -> CircuitState:
        """What the circuit is called at `now_ms`."""
        if self.is_closed:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if self.is_probed or self.wait_ms(now_ms) == 0 else CircuitState.OPEN

    def wait_ms(self, now_ms: int) -> int:
        """For how long calls are turned away; 0 if one may go through, the probe if the circuit is not closed."""
        return 0 if self.is_closed else max(0, self.until_s * 1000 - now_ms)


def probe_until_s(now_ms: int) -> int:
    """Until when a probe that begins at `now_ms` has the deployment to itself, in seconds since the epoch."""
    return -(-now_ms // 1000) + PROBE_S
