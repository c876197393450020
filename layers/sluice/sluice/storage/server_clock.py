"""How far this machine's clock is from a server's, by the Date headers of its answers.

A Date is written between the moments at which its request was sent and its answer had arrived, and says the second that
had begun by then (RFC 9110, section 6.6.1). So each bounds the offset to within a second and a round trip, and what
many of them have in common is much narrower.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

from sluice.loading.dataclass import dataclass

# A clock that is being corrected gains or loses at most 500 parts per million (adjtimex(2)).
_DRIFT = 0.0005
# Between two readings of both clocks the difference of the two grows no further, unless one of them was set.
_STEP_S = 0.2
_DATE = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class OffsetBounds:
    """How many milliseconds a clock is behind a server's: at least and at most. Negative where it is ahead."""

    least_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class _Known:
    least_s: float
    most_s: float
    at_s: float
    """When that was known, by the monotonic clock."""
    wall_to_monotonic_s: float
    """What the two clocks of this machine differed by then."""


class ServerClock:
    """What is known of a server's clock. Threads may share it.

    `clock` gives seconds since the epoch, which is the clock in question; `monotonic` is never set.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = Lock()
        self._known: _Known | None = None
        self._date: tuple[str | None, float] = (None, 0.0)

    def observe(self, date: str, sent_s: float, received_s: float) -> None:
        """Take note of an answer's Date, and of when its request was sent and it had arrived by this clock."""
        with self._lock:
            second = self._second(date)
            if second is None:
                return
            now = self._now()
            least_s, most_s = second - received_s, second + 1 - sent_s
            before = self._aged(now)
            if before is not None and max(least_s, before.least_s) <= min(most_s, before.most_s):
                least_s, most_s = max(least_s, before.least_s), min(most_s, before.most_s)
            # Else one of the clocks was set: what was known before holds no longer.
            self._known = _Known(least_s, most_s, *now)

    def offset_ms(self) -> int | None:
        """The likeliest offset: how many milliseconds this clock is behind the server's. None if nothing is known."""
        bounds = self.bounds_ms()
        return None if bounds is None else round((bounds.least_ms + bounds.most_ms) / 2)

    def bounds_ms(self) -> OffsetBounds | None:
        """Between which bounds the offset is now. None if nothing is known, or this clock has been set since."""
        known = self._aged(self._now())  # one reading of what is replaced as a whole
        return None if known is None else OffsetBounds(known.least_s * 1000, known.most_s * 1000)

    def _now(self) -> tuple[float, float]:
        monotonic_s = self._monotonic()
        return monotonic_s, self._clock() - monotonic_s

    def _aged(self, now: tuple[float, float]) -> _Known | None:
        known = self._known
        if known is None:
            return None
        at_s, wall_to_monotonic_s = now
        if abs(wall_to_monotonic_s - known.wall_to_monotonic_s) > _STEP_S:
            return None
        drift_s = (at_s - known.at_s) * _DRIFT
        return _Known(known.least_s - drift_s, known.most_s + drift_s, at_s, known.wall_to_monotonic_s)

    def _second(self, date: str) -> float | None:
        # Many answers come in one second.
        if date == self._date[0]:
            return self._date[1]
        match = _DATE.fullmatch(date)
        if match is None or match[2] not in _MONTHS:
            return None
        day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
        try:
            month = _MONTHS.index(match[2]) + 1
            moment_s = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        except ValueError:
            return None
        self._date = (date, moment_s)
        return moment_s
