"""Medians and tests of ranks, against their definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.insights.robust import median, median_deviation, median_of_others, residuals, trend

FINITE = st.floats(-1e9, 1e9)


@given(st.lists(FINITE, min_size=2, max_size=12), st.data())
def test_the_median_of_others_is_that_of_a_list_without_the_value(values: list[float], data: st.DataObject) -> None:
    left_out = data.draw(st.integers(0, len(values) - 1))
    others = values[:left_out] + values[left_out + 1 :]
    ordered = sorted(values)
    assert median_of_others(ordered, values[left_out]) == median(others)
    assert residuals(ordered) == [value - median_of_others(ordered, value) for value in ordered]


@given(st.lists(FINITE, min_size=1, max_size=30), FINITE)
def test_a_deviation_does_not_depend_on_where_values_are(values: list[float], moved: float) -> None:
    assert median_deviation([value + moved for value in values]) == pytest.approx(median_deviation(values), abs=1e-3)


def test_a_line_is_found_in_spite_of_a_wild_value_and_a_gap() -> None:
    found = trend([10, 12, 14, None, 18, 1_000, 22, 24, 26, 28])
    assert found.slope == pytest.approx(2, abs=0.01)
    assert found.p < 0.01


def test_chance_is_as_mann_and_kendall_have_it() -> None:
    # Eight values in order: S is 28, its variance 65.33.
    assert trend([1, 2, 3, 4, 5, 6, 7, 8]).p == pytest.approx(0.00084, abs=1e-5)
    # Ties make it less sure, and a constant says nothing.
    assert trend([1, 1, 2, 2, 3, 3, 4, 4]).p > 0.00084
    assert trend([5.0] * 8).p == 1


@given(
    st.lists(st.one_of(st.none(), FINITE), min_size=8, max_size=20).filter(
        lambda all_: len(list(filter(None, all_))) > 3
    )
)
def test_what_is_reversed_has_the_same_chance_and_the_opposite_slope(values: list[float | None]) -> None:
    there, back = trend(values), trend(values[::-1])
    assert there.p == pytest.approx(back.p)
    assert there.slope == pytest.approx(-back.slope)
