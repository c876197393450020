from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.reports.local_day import HOUR, LocalDay, hours_between, last_ended

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/St_Johns",
)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 7, 1), 24),
        # Clocks are put forward at midnight: the day begins at one.
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Asia/Kolkata", date(2026, 1, 1), 24),
        # The day that Samoa left out, when it went to the other side of the date line.
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_say(zone: str, day: date, hours: int) -> None:
    assert len(list(LocalDay(day, ZoneInfo(zone)).hours())) == hours


def test_a_day_begins_at_midnight_of_its_zone() -> None:
    day = LocalDay(date(2026, 11, 26), ZoneInfo("Europe/Berlin"))
    assert day.start == datetime(2026, 11, 25, 23, tzinfo=UTC)


def test_an_hour_in_which_a_day_begins_is_the_day_before_s() -> None:
    day = LocalDay(date(2026, 11, 26), ZoneInfo("Asia/Kolkata"))  # from 18:30 UTC on
    assert day.start == datetime(2026, 11, 25, 19, tzinfo=UTC)


@given(st.sampled_from(ZONES), st.dates(date(2000, 1, 1), date(2040, 1, 1)))
def test_days_follow_each_other_without_gap_or_overlap(zone: str, day: date) -> None:
    this = LocalDay(day, ZoneInfo(zone))
    assert this.before.end == this.start <= this.end
    for hour in this.hours():
        assert LocalDay.of(hour, this.zone).day == day


@given(st.sampled_from(ZONES), st.integers(946_684_800, 2_208_988_800))
def test_the_last_day_that_has_ended_has_and_the_next_has_not(zone: str, now_s: int) -> None:
    now = datetime.fromtimestamp(now_s, UTC)
    ended = last_ended(now, ZoneInfo(zone))
    assert ended.end <= now
    assert LocalDay(ended.day + timedelta(days=1), ended.zone).end > now or ended.day == date(2011, 12, 29)


def test_hours_end_before_the_end() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(hours_between(start, start + 2 * HOUR)) == [start, start + HOUR]
    assert list(hours_between(start, start)) == []
