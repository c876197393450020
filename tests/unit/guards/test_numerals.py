"""Numbers in a text, whatever they are written as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.guards.numerals import Numeral, numerals_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,500", {("number", "1500")}),
        ("1\u202f500", {("number", "1500")}),
        ("1,5", {("number", "1,5")}),
        ("1.50", {("number", "1.5")}),
        (".5", {("number", "0.5")}),
        ("-$20", {("number", "-20")}),
        ("minus 20 %", {("percent", "-20")}),
        ("3 percentage points", {("points", "3")}),
        ("2.5k", {("number", "2500")}),
        ("20 million", {("number", "20000000")}),
        ("1e6", {("number", "1000000")}),
        ("fourteen weeks", {("number", "14")}),
        ("twenty-five", {("number", "20"), ("number", "5")}),
        ("fiftyfive", {("number", "50"), ("number", "5")}),
        ("a fifth", {("number", "0.2")}),
        ("two tenths", {("number", "2"), ("number", "0.1")}),
        ("tenfold", {("times", "10")}),
        ("two-fold", {("times", "2")}),
        ("it doubled", {("times", "2")}),
        ("thousands", {("vague", "thousand")}),
        ("one, first and second", {("loose", "one"), ("loose", "first"), ("loose", "second")}),
        ("2026-11-25T10:30", {("date", "2026-11-25 10:30")}),
        ("at 10:30", {("number", "10:30")}),
        ("gpt-4o", {("number", "4")}),
        ("\u2163", {("number", "4")}),
        ("\u4e8c", {("number", "2")}),
        ("\u0663\u0660\u0660", {("number", "300")}),
        ("someone often attended the tent", set()),
    ],
)
def test_a_number_is_read_with_its_sign_size_and_unit(text: str, found: set[Numeral]) -> None:
    assert numerals_in(text) == found


@given(st.text(max_size=300) | st.text("0123456789.,:/-e% kthfoldn\u00bd", max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for kind, value in numerals_in(text):
        assert kind
        assert value
