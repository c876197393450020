"""What time it is for the ledger: a process's own clock, held against DynamoDB's. Pure.

A slice that leaves too early lets a limit be passed, and one that is begun too early keeps everybody in it. So a clock
that is provably wrong is corrected, one that could not be checked begins no slice, and where the correction is
uncertain, each use takes the end of it that is safe.
"""

from typing import Protocol

from sluice.loading.dataclass import dataclass

# How far a clock may be off before an operator should hear of it.
REPORTED_MS = 2_000


class OffsetBounds(Protocol):
    """How many milliseconds a clock is behind DynamoDB's, at least and at most; negative where it is ahead."""

    @property
    def least_ms(self) -> float:
        """At least."""

    @property
    def most_ms(self) -> float:
        """At most."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, in UTC milliseconds since the epoch: likely, and between which bounds.

    `is_checked`: whether the clock could be compared with DynamoDB's since it was last set.
    """

    likely_ms: int
    earliest_ms: int
    latest_ms: int
    is_checked: bool = True
    offset_ms: int = 0

    @classmethod
    def exactly(cls, now_ms: int) -> "Moment":
        """A moment without doubt."""
        return cls(now_ms, now_ms, now_ms)


def moment(local_ms: int, bounds: OffsetBounds | None) -> Moment:
    """The moment that a clock which reads `local_ms` means, given how far it is off (None: not known)."""
    if bounds is None:
        return Moment(local_ms, local_ms, local_ms, is_checked=False)
    if bounds.least_ms <= 0 <= bounds.most_ms:
        return Moment(local_ms, local_ms, local_ms)
    offset_ms = round((bounds.least_ms + bounds.most_ms) / 2)
    return Moment(
        local_ms + offset_ms,
        local_ms + int(bounds.least_ms // 1),
        local_ms - int(-bounds.most_ms // 1),
        offset_ms=offset_ms,
    )
