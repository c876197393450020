"""What is said of many measurements of one thing. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Median, 95th percentile and the quartiles."""

    median: float
    p95: float
    lower_quartile: float
    upper_quartile: float


def summary(values: Sequence[float]) -> Summary:
    """Sum up at least one value."""
    if len(values) == 1:
        return Summary(values[0], values[0], values[0], values[0])
    percentiles = statistics.quantiles(values, n=100, method="inclusive")
    return Summary(percentiles[49], percentiles[94], percentiles[24], percentiles[74])


def milliseconds(seconds: Sequence[float], digits: int = 2) -> str:
    """`median (lower to upper quartile), p95` in milliseconds."""
    found = summary([1000 * value for value in seconds])
    return (
        f"{found.median:.{digits}f} ({found.lower_quartile:.{digits}f} to {found.upper_quartile:.{digits}f}), "
        f"{found.p95:.{digits}f}"
    )
