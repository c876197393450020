"""Over which stretch of time a limit counts. Pure: times are UTC milliseconds since the epoch, passed in.

Time is cut into slices, numbered from the epoch. What was taken in a slice counts until the slice leaves. The number of
the slice that is taken from, the head, only ever grows.
"""

from datetime import UTC, datetime

from sluice.loading.dataclass import dataclass

MINUTE_MS = 60_000
DAY_MS = 86_400_000

# A calendar day or month may be counted anew so often, less one, before the next begins.
_RESTARTS = 100


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """Any stretch of `period_ms`: then every clock window holds too, and a bucket refilled over it never runs dry.

    A slice counts for `kept_slices` slices after its own time, which is the period and a margin: a request reaches the
    provider a little after it was counted, and not always by the same delay.
    """

    letter: str
    period_ms: int
    slice_ms: int
    kept_slices: int

    def __post_init__(self) -> None:
        if self.margin_ms <= 0:
            raise ValueError(f"{self.kept_slices} slices of {self.slice_ms} ms leave within {self.period_ms} ms")

    @property
    def margin_ms(self) -> int:
        """How much longer than the period a slice counts, at least: within that, a request must have arrived."""
        return self.kept_slices * self.slice_ms - self.period_ms

    def slice_at(self, now_ms: int) -> int:
        """The slice that `now_ms` lies in."""
        return now_ms // self.slice_ms

    def oldest_live(self, head: int) -> int:
        """The oldest slice that still counts while `head` is the current one."""
        return head - self.kept_slices

    def leaves_at_ms(self, index: int) -> int:
        """When slice `index` no longer counts."""
        return (index + self.kept_slices + 1) * self.slice_ms


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """A UTC day or month, one slice of which is as long as the window.

    Numbers of slices leave room between two days, or months, for some that begin when the count is restarted.
    """

    letter: str
    unit: str  # "day" or "month"

    def slice_at(self, now_ms: int) -> int:
        """The slice that `now_ms` lies in, unless its day or month was begun anew."""
        return self.first_slice(now_ms // DAY_MS if self.unit == "day" else month_at(now_ms))

    def first_slice(self, number: int) -> int:
        """The slice that a day, or a month as `month_at` counts them, begins with."""
        return _RESTARTS * number

    def restarted(self, index: int) -> int:
        """The slice that follows `index` in the same day or month. Raises OverflowError when there are no more."""
        if (index + 1) % _RESTARTS == 0:
            raise OverflowError(f"this {self.unit} was begun anew {_RESTARTS - 1} times")
        return index + 1

    def leaves_at_ms(self, index: int) -> int:
        """When slice `index` no longer counts."""
        following = index // _RESTARTS + 1
        return following * DAY_MS if self.unit == "day" else month_start_ms(following)


type Window = RollingWindow | CalendarWindow

# A period and exactly one second; a limit that is always in demand is used to 96.4 %.
ROLLING_MINUTE = RollingWindow("m", MINUTE_MS, 1_220, 50)
ROLLING_DAY = RollingWindow("d", DAY_MS, 3_457_000, 25)
CALENDAR_DAY = CalendarWindow("D", "day")
CALENDAR_MONTH = CalendarWindow("M", "month")


def month_at(now_ms: int) -> int:
    """The UTC month `now_ms` lies in, counted in months since the year 0."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.year * 12 + moment.month - 1


def month_start_ms(month: int) -> int:
    """The first moment of a month as `month_at` counts them."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
