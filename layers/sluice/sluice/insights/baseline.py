"""What a bucket is expected to be, from those before it. Pure.

Counts vary the more the larger they are: by their square roots, which are what is compared, they vary alike
(F. J. Anscombe, "The Transformation of Poisson, Binomial and Negative-Binomial Data", Biometrika 35, 1948). A bucket is
expected to be the median of those of the same weekday, or the same hour of the week, in the eight weeks before it,
shifted by how the most recent ones differed from theirs.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from sluice.insights.robust import median, median_deviation, median_of_others, residuals
from sluice.insights.series import Series
from sluice.loading.dataclass import dataclass

_COUNT_SHIFT = 3 / 8
_COUNT_DEVIATION = 0.5
"""The standard deviation of the square root of a Poisson count: nothing that is counted varies less for long."""
_LEAST_RELATIVE_DEVIATION = 0.05
_LEAST_ALIKE = 3
"""How many earlier buckets of the same hour of the week are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a bucket is expected to be, and its deviation, on the scale that values are compared on."""

    centre: float
    deviation: float


class Baseline:
    """What the buckets of a series are expected to be."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._pace = series.pace
        known = [value for value in series.values if value is not None]
        self._forward, self._backward = _scale(series, known)
        self.scaled = [None if value is None else self._forward(value) for value in series.values]
        self._seasons = [series.season(place) for place in range(len(series.values) + self._pace.ahead)]

    def expected(self, place: int, *, ahead: int = 0) -> Expectation | None:
        """What is expected of a bucket, or of one `ahead` of it, from those before `place`; None if they are too few.

        Constant amounts of nothing have no scale, and nothing is expected of those either.
        """
        pace, scaled = self._pace, self.scaled
        alike: dict[int, list[float]] = {}
        first = max(0, place - pace.window)
        for each in range(first, min(place, len(scaled))):
            value = scaled[each]
            if value is not None:
                alike.setdefault(self._seasons[each], []).append(value)
        own = alike.get(self._seasons[place + ahead], [])
        if sum(map(len, alike.values())) < pace.least * 3 // 4 or place < pace.least or len(own) < _LEAST_ALIKE:
            return None
        spread = list[float]()
        for values in alike.values():
            values.sort()
            if len(values) > 1:
                spread += residuals(values)
        recent = self._recent(place, first, alike)
        if len(recent) < pace.recent:
            return None
        level = median(recent)
        deviation = max(median_deviation(spread), self._least_deviation(alike))
        if not deviation:
            return None
        return Expectation(centre=median(own) + level, deviation=deviation)

    def value(self, scaled: float) -> float:
        """A value as it was measured, from the scale that values are compared on."""
        return self._backward(scaled)

    def _recent(self, place: int, first: int, alike: Mapping[int, Sequence[float]]) -> list[float]:
        """How far the most recent buckets before one were from the others like them, the latest first."""
        found = list[float]()
        for each in range(place - 1, first - 1, -1):
            value, others = self.scaled[each], alike.get(self._seasons[each], ())
            if value is not None and len(others) > 1:
                found.append(value - median_of_others(others, value))
                if len(found) == self._pace.recent:
                    break
        return found

    def _least_deviation(self, alike: Mapping[int, Sequence[float]]) -> float:
        if self._series.measured == "count":
            return _COUNT_DEVIATION
        sizes = [abs(value) for values in alike.values() for value in values]
        return _LEAST_RELATIVE_DEVIATION * median(sizes)


def _scale(series: Series, known: Sequence[float]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """How values become what is compared, and back."""
    if series.measured == "count":
        return lambda value: math.sqrt(value + _COUNT_SHIFT), lambda scaled: max(0.0, _squared(scaled) - _COUNT_SHIFT)
    if min(known, default=0.0) >= 0:
        return math.sqrt, _squared
    return lambda value: value, lambda scaled: scaled


def _squared(scaled: float) -> float:
    return max(0.0, scaled) ** 2
