"""Rate limits as providers enforce them: rolling, by the clock, as a refilling bucket. Pure; time is passed in."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fakes.settings import FakeSettings, Limits, Window

# A bucket's level is a float: what is missing by less than this is a rounding error, not a violation.
ROUNDING = 1e-6

DIMENSIONS = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day")


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that was over a limit. `used` is what the window held before it, `cost` what it asked for."""

    dimension: str
    window: Window
    capacity: int
    used: float
    cost: int
    retry_after_s: float


@dataclass(slots=True)
class Meter:
    """One limit, seen through the three windows. `monotonic_s` and `wall_s` are seconds."""

    capacity: int
    period_s: float
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    recent_sum: int = 0
    clock_window: int = -1
    clock_sum: int = 0
    level: float = -1.0
    level_at_s: float = 0.0

    def _advance(self, monotonic_s: float, wall_s: float) -> None:
        while self.recent and self.recent[0][0] <= monotonic_s - self.period_s:
            self.recent_sum -= self.recent.popleft()[1]
        window = int(wall_s // self.period_s)
        if window != self.clock_window:
            self.clock_window, self.clock_sum = window, 0
        if self.level < 0:
            self.level = float(self.capacity)
        else:
            refilled = (monotonic_s - self.level_at_s) * self.capacity / self.period_s
            self.level = min(float(self.capacity), self.level + refilled)
        self.level_at_s = monotonic_s

    def violations(self, cost: int, monotonic_s: float, wall_s: float) -> Iterator[tuple[Window, float, float]]:
        """Yield (window, used, seconds until it would fit) of each window that `cost` does not fit into."""
        self._advance(monotonic_s, wall_s)
        if self.recent_sum + cost > self.capacity:
            yield "rolling", self.recent_sum, self._rolling_wait_s(cost, monotonic_s)
        if self.clock_sum + cost > self.capacity:
            yield "clock", self.clock_sum, self.period_s - wall_s % self.period_s
        if self.level + ROUNDING * self.capacity < cost:
            yield "bucket", self.capacity - self.level, (cost - self.level) * self.period_s / self.capacity

    def take(self, cost: int, monotonic_s: float) -> None:
        """Count `cost`, after `violations` has been asked for the same moment."""
        self.recent.append((monotonic_s, cost))
        self.recent_sum += cost
        self.clock_sum += cost
        self.level -= cost

    @property
    def remaining(self) -> int:
        """What is left of the rolling window."""
        return max(0, self.capacity - self.recent_sum)

    def reset_s(self, monotonic_s: float) -> float:
        """Seconds until the rolling window is empty."""
        return max(0.0, self.recent[-1][0] + self.period_s - monotonic_s) if self.recent else 0.0

    def _rolling_wait_s(self, cost: int, monotonic_s: float) -> float:
        freed = 0
        for at_s, taken in self.recent:
            freed += taken
            if self.recent_sum - freed + cost <= self.capacity:
                return at_s + self.period_s - monotonic_s
        return self.period_s


class LimitBook:
    """The meters of every API key and model."""

    def __init__(self, settings: FakeSettings) -> None:
        self._settings = settings
        self._meters: dict[tuple[str, str], dict[str, Meter]] = {}

    def meters(self, api_key: str, model: str) -> dict[str, Meter]:
        """The meters of one key and model by dimension; the first row of settings that matches counts."""
        found = self._meters.get((api_key, model))
        if found is None:
            found = self._meters[api_key, model] = self._build(api_key, model)
        return found

    def admit(self, api_key: str, model: str, tokens: int, monotonic_s: float, wall_s: float) -> list[Violation]:
        """Count a request, and return what it violates; a refused one is not counted."""
        meters = self.meters(api_key, model)
        found = [
            Violation(dimension, window, meter.capacity, used, cost, wait_s)
            for dimension, meter in meters.items()
            for cost in (1 if dimension.startswith("requests") else tokens,)
            for window, used, wait_s in meter.violations(cost, monotonic_s, wall_s)
            if window in self._settings.windows
        ]
        if not found or not self._settings.refuse:
            for dimension, meter in meters.items():
                meter.take(1 if dimension.startswith("requests") else tokens, monotonic_s)
        return found

    def _build(self, api_key: str, model: str) -> dict[str, Meter]:
        rows = (row for row in self._settings.limits if row.api_key in ("*", api_key) and row.model in ("*", model))
        row = next(rows, Limits())
        meters = {}
        for dimension in DIMENSIONS:
            capacity: int | None = getattr(row, dimension)
            if capacity is not None:
                period_s = self._settings.minute_s if dimension.endswith("minute") else self._settings.day_s
                meters[dimension] = Meter(capacity, period_s)
        return meters
