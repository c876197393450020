"""What dashboards send: as it should be, and every other way."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import InvalidRequestError
from sluice.insights.reading import MOST_POINTS, Read, ShortList, Snapshot, read_all
from sluice.insights.series import Series
from tests.examples import examples

UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 14, tzinfo=UTC)


def read(value: Any, zone: ZoneInfo = UTC_ZONE) -> Read:
    [found], skipped = read_all({"orders": value}, zone, NOW)
    assert skipped == []
    return found


def series(value: Any, zone: ZoneInfo = UTC_ZONE) -> Series:
    found = read(value, zone)
    assert isinstance(found, Series)
    return found


def reason(value: Any) -> str:
    found, [skipped] = read_all({"orders": value}, UTC_ZONE, NOW)
    assert found == []
    return skipped.reason


def points(*pairs: tuple[Any, Any], **more: Any) -> dict[str, Any]:
    return {"points": [{"time": at, "value": value} for at, value in pairs], **more}


def test_the_shapes_that_dashboards_send() -> None:
    assert read({"current": 3, "historical_avg": 5}) == Snapshot("orders", 3, 5)
    assert read([1, 2, 3, 4.5]) == ShortList("orders", [1, 2, 3, 4.5])
    long = series([*range(1, 12)])
    assert (long.interval, long.measured, len(long.values)) == ("step", "count", 11)


def test_days_in_any_order_with_gaps_and_one_that_is_not_over() -> None:
    found = series(points(("2026-11-24", 5), ("2026-11-26", 1), ("2026-11-21", None), ("2026-11-22", 7)))
    assert found.interval == "day"
    assert found.values == [None, 7, None, 5, None]
    assert found.starts[0] == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "at", ["2026-11-20T23:30:00Z", "2026-11-21T00:30:00+01:00", 1_795_217_400, 1_795_217_400_000, "2026-11-21"]
)
def test_moments_are_of_the_day_that_they_are_in_by_the_clock_that_counts(at: Any) -> None:
    found = series(points((at, 1), ("2026-11-22", 2), interval="day"), BERLIN)
    assert [start.isoformat() for start in found.starts] == ["2026-11-21T00:00:00+01:00", "2026-11-22T00:00:00+01:00"]


def test_both_hours_of_the_night_when_clocks_go_back_are_there() -> None:
    first = datetime(2026, 10, 24, 22, tzinfo=UTC)
    hours = [(first + timedelta(hours=step)).astimezone(BERLIN).isoformat() for step in range(6)]
    found = series(points(*((at, 1) for at in hours)), BERLIN)
    assert [start.isoformat() for start in found.starts] == hours
    assert [start.hour for start in found.starts] == [0, 1, 2, 2, 3, 4]


def test_weeks_begin_on_the_day_that_the_first_one_does() -> None:
    found = series(points(("2026-10-01", 1), ("2026-10-08", 2), ("2026-10-22", 4)))
    assert (found.interval, found.values) == ("week", [1, 2, None, 4])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("much", "neither a list"),
        ({"current": 3}, "neither a list"),
        ({"current": 3, "historical_avg": 0}, "above 0"),
        ({"current": True, "historical_avg": 5}, "number or null"),
        ([], "0 values"),
        ([1, 2, 3], "4 are the least"),
        ([1, None, 3, 4, 5], "none may be missing"),
        ([0, 0, 3, 4], "above 0"),
        ([1, 2, "3", 4], "value 2 should be a number"),
        ([1, 2, 10**400, 4], "between -1e15 and 1e15"),
        ([1, 2, float("nan"), 4], "between -1e15 and 1e15"),
        ([1, 2, float("inf"), 4], "between -1e15 and 1e15"),
        ({"points": []}, "not empty"),
        ({"points": {}}, "list of objects"),
        ({"points": [5]}, "Point 0"),
        (points(("2026-11-20", 1)), "One point alone"),
        (points(("2026-11-20", 1), ("2026-11-20", 2)), "two values"),
        (points(("2026-11-20T01:00Z", 1), ("2026-11-20T09:00Z", 2), interval="day"), "two values for the day"),
        (points(("yesterday", 1), ("2026-11-20", 2)), "The time of point 0"),
        (points((None, 1), ("2026-11-20", 2)), "no time"),
        (points(("0001-01-01", 1), ("2026-11-20", 2)), "between 1970 and 2200"),
        (points((-1e14, 1), ("2026-11-20", 2)), "The time of point 0"),
        (points(("1971-01-01", 1), ("2026-11-20", 2), interval="hour"), "hours for 2 values"),
        (points(("2026-11-27", 1), ("2026-11-28", 2)), "has ended yet"),
        (points(("2026-11-20", -1), ("2026-11-21", 2), measured="count"), "never below 0"),
        (points(("2026-11-20", 1), ("2026-11-21", 2), interval="month"), "hour, day or week"),
        (points(("2026-11-20", 1), ("2026-11-21", 2), time_zone="Mars/Base"), "no time zone"),
    ],
)
def test_what_can_t_be_judged_is_left_out_for_a_reason_in_words(value: Any, expected: str) -> None:
    assert expected in reason(value)


def test_one_bad_series_does_not_keep_the_others_from_being_judged() -> None:
    found, skipped = read_all({"bad": "x", "good": [1, 2, 3, 4]}, UTC_ZONE, NOW)
    assert [each.name for each in found] == ["good"]
    assert [each.series for each in skipped] == ["bad"]


@pytest.mark.parametrize(
    "given",
    [
        {"big": [1.0] * (MOST_POINTS + 1)},
        {"big": {"points": [0] * 1_000_000}},
        {f"s{number}": [1.0] * MOST_POINTS for number in range(5)},
        {f"s{number}": [1.0] for number in range(51)},
        {"": [1.0]},
        {"x" * 129: [1.0]},
    ],
)
def test_too_much_is_refused_before_it_is_worked_on(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"at most|1 to 128"):
        read_all(given, UTC_ZONE, NOW)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(
            st.sampled_from(["points", "time", "value", "current", "historical_avg", "interval", "x"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=examples(20))
@given(st.dictionaries(st.text(min_size=1, max_size=20), JSON, max_size=4))
def test_any_json_is_read_or_left_out(given: dict[str, Any]) -> None:
    found, skipped = read_all(json.loads(json.dumps(given)), BERLIN, NOW)
    assert len(found) + len(skipped) == len(given)
