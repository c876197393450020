"""Periods in questions."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.answering.periods import Period, read_periods
from sluice.answering.words import plain

TODAY = date(2026, 3, 18)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-03-18", "2026-03-18"),
        ("yesterday", "2026-03-17", "2026-03-17"),
        ("the day before yesterday", "2026-03-16", "2026-03-16"),
        ("this week", "2026-03-16", "2026-03-22"),
        ("last week", "2026-03-09", "2026-03-15"),
        ("the past week", "2026-03-12", "2026-03-18"),
        ("the week before last", "2026-03-02", "2026-03-08"),
        ("in the last two weeks", "2026-03-05", "2026-03-18"),
        ("over the past 30 days", "2026-02-17", "2026-03-18"),
        ("last month", "2026-02-01", "2026-02-28"),
        ("the last 3 months", "2025-12-19", "2026-03-18"),
        ("last quarter", "2025-10-01", "2025-12-31"),
        ("in Q1 2026", "2026-01-01", "2026-03-31"),
        ("this year", "2026-01-01", "2026-12-31"),
        ("year to date", "2026-01-01", "2026-03-18"),
        ("in January", "2026-01-01", "2026-01-31"),
        ("in December", "2025-12-01", "2025-12-31"),
        ("in February 2025", "2025-02-01", "2025-02-28"),
        ("since February", "2026-02-01", "2026-03-18"),
        ("since the start of the year", "2026-01-01", "2026-03-18"),
        ("since Monday", "2026-03-16", "2026-03-18"),
        ("on Wednesday", "2026-03-11", "2026-03-11"),
        ("on March 3rd", "2026-03-03", "2026-03-03"),
        ("the 10th of February", "2026-02-10", "2026-02-10"),
        ("on 24 December", "2025-12-24", "2025-12-24"),
        ("on 29 February 2024", "2024-02-29", "2024-02-29"),
        ("between 2 and 6 March", "2026-03-02", "2026-03-06"),
        ("from March 2 to March 6", "2026-03-02", "2026-03-06"),
        ("from 2026-02-10 to 2026-02-20", "2026-02-10", "2026-02-20"),
        ("from 20 December to 5 January", "2025-12-20", "2026-01-05"),
        ("from November to January", "2025-11-01", "2026-01-31"),
        ("the month before", "2026-02-01", "2026-02-28"),
        ("the day before", "2026-03-17", "2026-03-17"),
        ("in December 9999", "9999-12-01", "9999-12-31"),
        ("on 0001-01-01", "0001-01-01", "0001-01-01"),
        ("tomorrow", "2026-03-19", "2026-03-19"),
        ("next month", "2026-04-01", "2026-04-30"),
    ],
)
def test_a_period_is_the_days_that_its_words_mean(text: str, first: str, last: str) -> None:
    [found] = read_periods(plain(f"What did we spend {text}?"), TODAY).found
    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    "text", ["on 2026-02-30", "in the last 0 days", "between 10 and 2 March", "from today to yesterday", "may I ask"]
)
def test_what_is_no_period_is_none(text: str) -> None:
    assert all(each.first <= each.last for each in read_periods(plain(text), TODAY).found)
    assert "days" not in text or not read_periods(plain(text), TODAY).found


def test_of_two_periods_the_one_before_the_other_is_that_which_ends_where_it_begins() -> None:
    found = read_periods("compare yesterday with the day before", TODAY).found
    assert [each.first.day for each in found] == [17, 16]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("yesterday with the month before", "2026-02-01", "2026-02-28"),
        ("Q1 2026 with the quarter before", "2025-10-01", "2025-12-31"),
        ("the past week with the week before", "2026-03-05", "2026-03-11"),
        ("2026-03-17 with the day before", "2026-03-16", "2026-03-16"),
        ("0001-01-01 with the day before", "0001-01-01", "0001-01-01"),
    ],
)
def test_the_one_before_is_a_day_a_month_or_what_it_is_called(text: str, first: str, last: str) -> None:
    _, found = read_periods(plain(f"compare {text}"), TODAY).found
    assert (found.first.isoformat(), found.last.isoformat()) == (first, last)


@given(st.dates(), st.dates())
def test_what_is_before_a_period_is_in_the_calendar(one: date, other: date) -> None:
    period = Period(min(one, other), max(one, other))
    before = period.before()
    assert before.first <= before.last
    assert before.last < period.first or period.first == date.min


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (Period(date(2026, 2, 1), date(2026, 2, 28)), Period(date(2026, 1, 1), date(2026, 1, 31))),
        (Period(date(2026, 3, 1), date(2026, 3, 18)), Period(date(2026, 2, 1), date(2026, 2, 18))),
        (Period(date(2026, 3, 1), date(2026, 3, 30)), Period(date(2026, 2, 1), date(2026, 2, 28))),
        (Period(date(2026, 3, 9), date(2026, 3, 15)), Period(date(2026, 3, 2), date(2026, 3, 8))),
    ],
)
def test_a_period_is_compared_with_as_much_before_it(period: Period, before: Period) -> None:
    assert period.before() == before


@given(st.text("az 0159-.\u00e9jan feb lst week of", max_size=60), st.dates(date(2001, 1, 1), date(2100, 1, 1)))
def test_whatever_is_asked_a_period_ends_after_it_begins(text: str, today: date) -> None:
    assert all(each.first <= each.last for each in read_periods(plain(text), today).found)
