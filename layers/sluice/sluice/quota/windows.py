"""Over which stretch of time a limit counts. Pure: times are UTC milliseconds since the epoch, passed in.

Every window is cut into slices, numbered from the epoch. What was taken in a slice counts until the slice leaves.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Window(Protocol):
    """How a limit's period is cut into slices."""

    def slice_at(self, now_ms: int) -> int:
        """The slice that `now_ms` lies in."""

    def oldest_live(self, head: int) -> int:
        """The oldest slice that still counts while `head` is the current one."""

    def leaves_at_ms(self, index: int) -> int:
        """When slice `index` no longer counts."""

    def keeps_between(self, old_head: int, new_head: int) -> bool:
        """Whether what was spent outside of slices still counts when the head moves from one slice to another."""

    def spent_leaves_at_ms(self, now_ms: int) -> int:
        """When what was spent outside of slices no longer counts."""


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """Any stretch of `period_ms`: then every clock window holds too, and a bucket refilled over it never runs dry.

    A slice counts while any moment of it lies within the period, and `margin` slices longer: a request reaches the
    provider a little after it was admitted, and not always by the same delay.
    """

    period_ms: int
    slices: int = 60
    margin: int = 1

    @property
    def slice_ms(self) -> int:
        """Length of one slice."""
        return self.period_ms // self.slices

    def slice_at(self, now_ms: int) -> int:
        """See Window."""
        return now_ms // self.slice_ms

    def oldest_live(self, head: int) -> int:
        """See Window."""
        return head - self.slices - self.margin

    def leaves_at_ms(self, index: int) -> int:
        """See Window."""
        return (index + self.slices + self.margin + 1) * self.slice_ms

    def keeps_between(self, old_head: int, new_head: int) -> bool:
        """Nothing is spent outside of slices."""
        return True

    def spent_leaves_at_ms(self, now_ms: int) -> int:
        """Nothing is spent outside of slices."""
        return now_ms


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """A UTC day or month: one slice as long as the window."""

    unit: str  # "day" or "month"

    def slice_at(self, now_ms: int) -> int:
        """See Window."""
        return now_ms // DAY_MS if self.unit == "day" else month_at(now_ms)

    def oldest_live(self, head: int) -> int:
        """See Window."""
        return head

    def leaves_at_ms(self, index: int) -> int:
        """See Window."""
        return (index + 1) * DAY_MS if self.unit == "day" else month_start_ms(index + 1)

    def keeps_between(self, old_head: int, new_head: int) -> bool:
        """Nothing is spent outside of slices."""
        return True

    def spent_leaves_at_ms(self, now_ms: int) -> int:
        """Nothing is spent outside of slices."""
        return now_ms


@dataclass(frozen=True, slots=True)
class BudgetWindow:
    """A UTC month of spending.

    What is settled counts until the month ends; what is only reserved sits in slices of 15 minutes and expires out of
    them, so that a crash cannot lock a budget. A reserved slice lives for 30 to 45 minutes, longer than any request
    (Lambda ends one after 15).
    """

    slice_ms: int = 15 * MINUTE_MS
    reserved_slices: int = 3

    def slice_at(self, now_ms: int) -> int:
        """See Window."""
        return now_ms // self.slice_ms

    def oldest_live(self, head: int) -> int:
        """See Window."""
        return head - self.reserved_slices + 1

    def leaves_at_ms(self, index: int) -> int:
        """See Window."""
        return (index + self.reserved_slices) * self.slice_ms

    def keeps_between(self, old_head: int, new_head: int) -> bool:
        """Within a month. Months begin on a slice, for UTC offsets do not apply."""
        return month_at(old_head * self.slice_ms) == month_at(new_head * self.slice_ms)

    def spent_leaves_at_ms(self, now_ms: int) -> int:
        """When the month ends."""
        return month_start_ms(month_at(now_ms) + 1)


def month_at(now_ms: int) -> int:
    """The UTC month `now_ms` lies in, counted in months since the year 0."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.year * 12 + moment.month - 1


def month_start_ms(month: int) -> int:
    """The first moment of a month as `month_at` counts them."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
