"""Statistics that a few wild values do not move: medians, and tests of ranks. Pure.

Sources: P. J. Rousseeuw, C. Croux, "Alternatives to the Median Absolute Deviation", JASA 88 (1993); P. K. Sen,
"Estimates of the Regression Coefficient Based on Kendall's Tau", JASA 63 (1968); M. G. Kendall, "Rank Correlation
Methods", 4th edition (1975), for ties.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from sluice.loading.dataclass import dataclass

_MAD_TO_DEVIATION = 1.4826
"""What the median absolute deviation of normal values is multiplied by to be their standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A straight line through values: its first value, what is added at each step, and how likely chance makes one.

    `deviation` is the robust standard deviation of the values around it.
    """

    start: float
    slope: float
    p: float
    deviation: float


MOST_PERCENT = 1e6
"""What stands for all larger changes."""
_MOST_DEVIATIONS = 1e6


def change_percent(value: float, base: float) -> float:
    """By how much a value differs from another, in percent of its size, as far as that says anything."""
    difference, size = value - base, abs(base)
    if abs(difference) * 100 >= MOST_PERCENT * size:
        return math.copysign(MOST_PERCENT, difference) if difference else 0.0
    return 100 * difference / size


def deviations(difference: float, deviation: float) -> float:
    """A difference in units of a deviation, which is above 0, as far as that says anything."""
    if abs(difference) >= _MOST_DEVIATIONS * deviation:
        return math.copysign(_MOST_DEVIATIONS, difference)
    return difference / deviation


def median(values: Sequence[float]) -> float:
    """The middle of values, of which there is at least one."""
    return _middle(sorted(values))


def median_deviation(values: Sequence[float]) -> float:
    """The robust standard deviation of values, of which there is at least one."""
    centre = median(values)
    return _MAD_TO_DEVIATION * median([abs(value - centre) for value in values])


def median_of_others(ordered: Sequence[float], value: float) -> float:
    """The median of sorted values, of which there are at least two, without one that is `value`."""
    left_out = bisect_left(ordered, value)
    count = len(ordered) - 1

    def at(place: int) -> float:
        return ordered[place if place < left_out else place + 1]

    return at(count // 2) if count % 2 else (at(count // 2 - 1) + at(count // 2)) / 2


def residuals(ordered: Sequence[float]) -> list[float]:
    """How far each of at least two sorted values is from the median of the others, in their order."""
    half = len(ordered) // 2
    if len(ordered) % 2:
        middle = ordered[half]
        # Without the middle one, or one on either side of it.
        below, above = (middle + ordered[half + 1]) / 2, (ordered[half - 1] + middle) / 2
        without = (ordered[half - 1] + ordered[half + 1]) / 2
        others = [below] * half + [without] + [above] * half
    else:
        others = [ordered[half]] * half + [ordered[half - 1]] * half
    return [value - other for value, other in zip(ordered, others, strict=True)]


def trend(values: Sequence[float | None]) -> Trend:
    """The Theil-Sen line through values at equal steps, at least three of them known, and the Mann-Kendall test."""
    known = [(step, value) for step, value in enumerate(values) if value is not None]
    pairs = [(one, other) for place, one in enumerate(known) for other in known[place + 1 :]]
    slope = median([(value - earlier) / (step - before) for (before, earlier), (step, value) in pairs])
    start = median([value - slope * step for step, value in known])
    concordance = sum((value > earlier) - (value < earlier) for (_, earlier), (_, value) in pairs)
    deviation = median_deviation([value - start - slope * step for step, value in known])
    return Trend(start=start, slope=slope, p=_chance([value for _, value in known], concordance), deviation=deviation)


def _chance(values: Sequence[float], concordance: int) -> float:
    """How likely values in any order have as strong a concordance, either way: normal, with a correction for steps."""
    tied = sum(ties * (ties - 1) * (2 * ties + 5) for ties in Counter(values).values())
    count = len(values)
    variance = (count * (count - 1) * (2 * count + 5) - tied) / 18
    if not concordance or variance <= 0:
        return 1.0
    return math.erfc((abs(concordance) - 1) / math.sqrt(2 * variance))


def _middle(ordered: Sequence[float]) -> float:
    count = len(ordered)
    return ordered[count // 2] if count % 2 else (ordered[count // 2 - 1] + ordered[count // 2]) / 2
