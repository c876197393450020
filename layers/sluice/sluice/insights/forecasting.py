"""Forecasts: what the next buckets are expected to be, and between what most of them will be. Pure.

The expectation is that of the baseline. The interval is as wide as nine of ten past forecasts of the series would have
needed it: split conformal prediction (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World",
2005), whose coverage holds whatever the distribution, as long as the series goes on as it was. What it covers is
measured as well: see docs/insights.md.
"""

import math

from sluice.insights.baseline import Baseline
from sluice.insights.finding import DataPoint, Forecast
from sluice.insights.series import Series

COVERAGE = 0.9
_LEAST_TRIED = 9
"""So many past forecasts make an interval of nine tenths."""


def forecast(series: Series, baseline: Baseline) -> Forecast | None:
    """What comes after the last bucket; None if there is too little to try forecasts on."""
    count, pace = len(series.values), series.pace
    errors = []
    for place in range(max(0, count - pace.tested), count):
        # As far ahead as a forecast is on average.
        ahead = min(pace.ahead // 2, place)
        expectation, scaled = baseline.expected(place - ahead, ahead=ahead), baseline.scaled[place]
        if expectation is not None and scaled is not None:
            errors.append(abs(scaled - expectation.centre))
    if len(errors) < _LEAST_TRIED:
        return None
    reach = sorted(errors)[min(len(errors), math.ceil((len(errors) + 1) * COVERAGE)) - 1]
    points = []
    for ahead in range(pace.ahead):
        expectation = baseline.expected(count, ahead=ahead)
        if expectation is not None:
            centre = expectation.centre
            points.append(
                DataPoint(
                    metric=series.name,
                    value=None,
                    time=series.start(count + ahead),
                    expected=baseline.value(centre),
                    low=baseline.value(centre - reach),
                    high=baseline.value(centre + reach),
                )
            )
    if not points:
        return None
    return Forecast(
        series=series.name, unit=series.unit, level=COVERAGE, rate=f"forecast.{series.interval}", points=points
    )
