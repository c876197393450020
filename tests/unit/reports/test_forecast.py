"""Forecasts of synthetic traffic: of a school that sleeps at weekends, of first days, and over changes of clocks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reports.forecast import History, forecast, past_error_percent
from sluice.reports.local_day import hours_between

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def traffic(until: datetime, days: int, used: Callable[[datetime], int], zone: ZoneInfo = BERLIN) -> History:
    """What was used in the days until then: `used` of each hour by the zone's clock."""
    hours = hours_between(until - days * DAY, until)
    return History({hour: used(hour.astimezone(zone)) for hour in hours}, until, zone)


def school(hour: datetime) -> int:
    """Lessons from eight to four, but for weekends."""
    return 100 if 8 <= hour.hour < 16 and hour.weekday() < 5 else 0


def test_what_repeats_every_week_is_foreseen_exactly() -> None:
    history = traffic(NOON, 35, school)  # a Thursday
    found = forecast(history, NOON + 7 * DAY)
    assert (found.expected, found.method) == (5 * 8 * 100, "hour of week")
    assert past_error_percent(history) == 0
    assert past_error_percent(history, 7) == 0


def test_a_weekend_is_not_like_the_days_before_it() -> None:
    friday_night = datetime(2026, 11, 27, 23, tzinfo=UTC)
    assert forecast(traffic(friday_night, 28, school), friday_night + 2 * DAY).expected == 0


@pytest.mark.parametrize(
    ("until", "days"), [(datetime(2026, 10, 25, 22, tzinfo=UTC), 1), (datetime(2026, 3, 29, 22, tzinfo=UTC), 1)]
)
def test_lessons_stay_at_their_hour_when_clocks_are_changed(until: datetime, days: int) -> None:
    # All of the history is in the other time of the year: in UTC, lessons are an hour off from now on.
    history = traffic(until, 28, school)
    expected = {hour: school(hour.astimezone(BERLIN)) for hour in hours_between(until, until + days * DAY)}
    for hour, used in expected.items():
        before = forecast(history, hour).expected
        assert forecast(history, hour + timedelta(hours=1)).expected - before == used, hour


def test_without_weeks_the_hour_of_the_day_counts() -> None:
    history = traffic(datetime(2026, 11, 26, 23, tzinfo=UTC), 3, school)
    found = forecast(history, history.until + DAY)
    assert (found.expected, found.method) == (800, "hour of day")


def test_on_the_first_day_all_hours_are_alike() -> None:
    history = History({NOON - timedelta(hours=4): 10, NOON - timedelta(hours=1): 30}, NOON, UTC_ZONE)
    found = forecast(history, NOON + timedelta(hours=8))
    assert found.method == "mean"
    assert found.expected == pytest.approx(8 * 40 / 4)
    assert past_error_percent(history) is None


def test_of_nothing_nothing_is_expected() -> None:
    history = History({}, NOON, UTC_ZONE)
    found = forecast(history, NOON + DAY, used=7)
    assert (found.total, found.method, found.exceeds_at) == (7, "none", None)
    assert past_error_percent(history) is None


def test_a_window_that_is_over_has_what_was_used() -> None:
    found = forecast(traffic(NOON, 28, school), NOON, used=5)
    assert (found.total, found.method) == (5, "none")


def test_the_last_week_counts_four_times_as_much_as_the_fourth() -> None:
    weeks = {NOON - 7 * DAY * number: used for number, used in ((1, 40), (2, 0), (3, 0), (4, 10))}
    history = History(weeks, NOON, UTC_ZONE)
    assert forecast(history, NOON + timedelta(hours=1)).expected == pytest.approx((4 * 40 + 1 * 10) / 10)


def test_a_month_ahead_is_like_the_last_weeks() -> None:
    history = traffic(NOON, 35, school)
    assert forecast(history, NOON + 28 * DAY).expected == 28 / 7 * 5 * 800


def test_when_a_limit_will_be_used_up_is_said() -> None:
    history = traffic(NOON, 35, lambda _: 10)
    assert forecast(history, NOON + DAY, used=0, capacity=55).exceeds_at == NOON + timedelta(hours=5)
    assert forecast(history, NOON + DAY, used=0, capacity=241).exceeds_at is None
    assert forecast(history, NOON + DAY, used=55, capacity=55).exceeds_at == NOON


def test_the_error_of_the_past_is_all_deviations_by_all_that_was_used() -> None:
    # Twice as much every other week: what is foreseen of a day is known by hand.
    def used(hour: datetime) -> int:
        return 200 if (hour.date() - NOON.date()).days // 7 % 2 else 100

    midnight = datetime(2026, 11, 26, tzinfo=UTC)
    history = traffic(midnight, 35, used, UTC_ZONE)
    # The last seven days used 200 an hour; the weeks before them were 100, 200, 100 and, of those that are known, 200.
    foreseen = (4 * 100 + 3 * 200 + 2 * 100 + 1 * 200) / 10
    assert past_error_percent(history) == pytest.approx(100 * abs(foreseen - 200) / 200)


def test_noise_of_a_fifth_is_foreseen_to_about_a_fifth() -> None:
    rng = Random(7)
    history = traffic(NOON, 35, lambda hour: round(school(hour) * rng.uniform(0.8, 1.2)))
    error = past_error_percent(history)
    assert error is not None
    assert error < 10  # hours' noise evens out within a day


@given(
    st.dictionaries(st.integers(1, 35 * 24), st.integers(0, 10**12), max_size=60),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.integers(0, 40),
)
def test_forecasts_are_between_nothing_and_the_most_of_any_hour(
    used: dict[int, int], zone: str, hours_ahead: int
) -> None:
    history = History({NOON - timedelta(hours=ago): each for ago, each in used.items()}, NOON, ZoneInfo(zone))
    found = forecast(history, NOON + timedelta(hours=hours_ahead))
    assert 0 <= found.expected <= hours_ahead * max(used.values(), default=0) * (1 + 1e-9)
    error = past_error_percent(history)
    assert error is None or error >= 0
