"""Anomalies: of weeks with quiet weekends, of levels that move, and of series that say too little."""

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.insights.anomalies import anomalies, judgement
from sluice.insights.baseline import Baseline
from sluice.insights.finding import Finding
from sluice.insights.forecasting import forecast
from sluice.insights.series import Interval, Series
from sluice.insights.trends import trends
from tests.examples import examples
from tests.insight_series import WEEK, daily, timed, usual

VALUES = st.lists(
    st.one_of(st.none(), st.floats(-1e15, 1e15), st.sampled_from([0.0, 5e-324, 1e15]), st.integers(0, 1000).map(float)),
    max_size=90,
)


def found(series: Series, judged: int = 1) -> list[Finding]:
    return anomalies(series, Baseline(series), judged)


def test_a_quiet_weekend_is_usual_and_a_quiet_workday_is_not() -> None:
    weekend = daily([*usual(62), 33.0])  # a Sunday
    assert found(weekend) == []
    [finding] = found(daily([*usual(57), 33.0]))  # a Tuesday
    assert (finding.insight_type, finding.direction, finding.at) == ("alert", "down", daily([0] * 58).starts[57])
    assert finding.title == "Orders Drop Detected"
    assert "2026-11-03 was 33 orders" in finding.description
    last = finding.points[-1]
    assert last.low is not None
    assert last.value == 33 < last.low < 110


def test_the_band_that_is_shown_is_where_a_value_begins_to_be_listed() -> None:
    judged = judgement(series := daily([*usual(57), 100.0]), Baseline(series), 57)
    assert judged is not None
    for value, is_listed in ((judged.low + 1, False), (judged.low - 1, True), (judged.high + 1, True)):
        assert bool(found(daily([*usual(57), value]))) is is_listed


def test_a_level_that_has_moved_is_usual_after_a_while() -> None:
    values = [*usual(70), *(2 * each for each in usual(28) if each is not None)]
    assert found(daily(values[:71]))[0].insight_type == "alert"
    assert found(daily(values)) == []


def test_what_goes_on_is_told_of_once() -> None:
    values = [*usual(70), 400.0, 400.0]
    newest, first = found(daily(values), judged=2)
    assert (newest.insight_type, first.insight_type) == ("anomaly", "alert")


@pytest.mark.parametrize(
    ("values", "least"), [([*usual(57), 170.0], 100.0), ([20_000.0 + day % 3 for day in range(57)] + [21_000.0], 0.0)]
)
def test_a_change_that_matters_little_is_listed_and_not_told_of(values: list[float | None], least: float) -> None:
    assert [each.insight_type for each in found(daily(values, least=least))] == ["anomaly"]


def test_four_weeks_are_wanted() -> None:
    assert found(daily([*usual(27), 0.0])) == []
    assert found(daily([*usual(28), 0.0]))[0].insight_type == "alert"


def test_a_day_that_is_not_known_is_not_judged_and_does_not_spoil_the_others() -> None:
    values = usual(58)
    values[20:24] = [None] * 4
    assert found(daily([*values[:-1], None])) == []
    assert found(daily([*values[:-1], 400.0]))[0].direction == "up"


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e15])
def test_a_constant_is_never_unusual(value: float) -> None:
    assert found(daily([value] * 60, measured="amount"), judged=7) == []


def test_the_smallest_numbers_there_are_make_no_infinite_ones() -> None:
    tiny: list[float | None] = [1e-300 * (day % 7 + 1) for day in range(84)]
    [finding] = found(daily([*tiny, 1e15], measured="amount"))
    assert finding.change_percent == 1e6
    below = [None if each is None else -each for each in tiny]
    [finding] = found(daily([*below, -1e15], measured="amount"))
    assert math.isfinite(finding.score or math.inf)
    [finding] = trends(daily([5e-324 if day < 7 else 1e14 * day for day in range(84)], measured="amount"), 12)
    assert finding.change_percent <= 1e6


def test_amounts_that_may_be_below_zero_are_judged_as_they_are() -> None:
    values: list[float | None] = [WEEK[day % 7] - 70 + (day * 7 % 5) for day in range(57)]
    [finding] = found(daily([*values, -200.0], measured="amount"))
    assert finding.direction == "down"


def test_hours_are_compared_with_the_same_hour_of_the_week_by_the_clock_that_people_look_at() -> None:
    zone = ZoneInfo("Europe/Berlin")  # where clocks went back on 25 October 2026
    first = datetime(2026, 9, 21, tzinfo=zone)
    series = timed("hour", [0.0] * (24 * 56 + 11), first=first)
    # Busy from nine to five by the clock on the wall.
    values = [200.0 + place % 5 if 9 <= start.hour < 17 else 5.0 for place, start in enumerate(series.starts)]
    assert found(timed("hour", values, first=first), judged=24) == []
    [finding] = found(timed("hour", [*values[:-1], 5.0], first=first))
    assert (finding.direction, finding.at) == ("down", series.starts[-1])


@settings(max_examples=examples(40))
@given(VALUES, st.sampled_from(["hour", "day", "week"]), st.sampled_from(["count", "amount"]))
def test_any_values_are_judged_or_left_alone(values: list[float | None], interval: Interval, measured: str) -> None:
    if measured == "count":
        values = [None if each is None else abs(each) for each in values]
    series = timed(interval, values, measured=measured)  # type: ignore[arg-type]
    baseline = Baseline(series)
    for finding in (*anomalies(series, baseline, 7), *trends(series, 12)):
        assert abs(finding.change_percent) <= 1e6
        assert math.isfinite(finding.score or 0)
        assert finding.description
    expected = forecast(series, baseline)
    for point in () if expected is None else expected.points:
        assert point.low is not None
        assert point.high is not None
        assert point.expected is not None
        assert point.low <= point.expected <= point.high


def test_a_trend_takes_eight_weeks_and_a_tenth() -> None:
    growing = [value * 1.05 ** (day / 7) for day, value in enumerate(filter(None, usual(84)))]
    [finding] = trends(daily(growing), 12)
    assert (finding.title, finding.direction, finding.method) == ("Orders Increasing Trend", "up", "mann_kendall")
    assert len(finding.points) == 12
    assert trends(daily(growing[-55:]), 12) == []
    assert trends(daily(usual(84)), 12) == []


def test_a_forecast_knows_weekends_and_covers_what_comes() -> None:
    values = usual(91)
    past = daily(values[:84])
    expected = forecast(past, Baseline(past))
    assert expected is not None
    assert [point.expected for point in expected.points] == pytest.approx(WEEK, abs=6)
    assert [point.time for point in expected.points] == list(daily(values).starts[84:])
    inside = [
        (point.low or 0) <= (value or 0) <= (point.high or 0)
        for point, value in zip(expected.points, values[84:], strict=True)
    ]
    assert sum(inside) >= 6
