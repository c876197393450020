"""Quality is from 0 to 1, whatever the answer, and better answers are not worse off."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tasks.quality import (
    _ELEMENTS,
    Expectation,
    assess,
    contains,
    coverage,
    json_structure,
    length_fitness,
    text_structure,
    within,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
expectations = st.builds(
    Expectation,
    min_characters=st.integers(0, 500),
    max_characters=st.none() | st.integers(1, 900),
    expected=st.lists(st.sampled_from(["cause|reason", "verify", "a"]), max_size=3),
    structure=st.lists(st.sampled_from(sorted(_ELEMENTS)), max_size=6),
    max_response_time_s=st.floats(0.1, 100),
    max_completion_tokens=st.none() | st.integers(1, 1000),
)


@given(
    json_values,
    expectations,
    st.none() | st.lists(st.text(max_size=5), max_size=3),
    st.lists(st.text(max_size=9), max_size=3),
    st.floats(0, 1e6),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_every_part_is_from_0_to_1_and_the_score_their_mean(
    output: Any,
    expectation: Expectation,
    required: list[str] | None,
    mentions: list[str],
    response_time_s: float,
    tokens: int,
    was_cut_off: bool,
) -> None:
    shown = assess(
        output,
        expectation,
        required=required,
        mentions=mentions,
        response_time_s=response_time_s,
        completion_tokens=tokens,
        usual_tokens=None,
        was_cut_off=was_cut_off,
    ).shown()
    parts = [shown["length_fitness"], shown["structure"], shown["coverage"], shown["response_time"], shown["tokens"]]
    assert all(0 <= value <= 1 for value in (*parts, shown["score"]))
    assert min(parts) - 0.001 <= shown["score"] <= max(parts) + 0.001


@given(st.integers(0, 10_000), st.integers(0, 1000), st.integers(1000, 5000))
def test_length_is_fit_exactly_inside_the_range(characters: int, least: int, most: int) -> None:
    fitness = length_fitness(characters, least, most)
    assert (fitness == 1) == (characters > 0 and least <= characters <= most)


@given(st.integers(0, 998))
def test_nearer_to_the_range_is_better(characters: int) -> None:
    assert length_fitness(characters, 1000, None) < length_fitness(characters + 1, 1000, None)
    assert length_fitness(2000 + characters, 0, 1000) > length_fitness(2001 + characters, 0, 1000)


@given(st.text(max_size=200), st.lists(st.sampled_from(["cause|reason", "verify", "log"]), max_size=3))
def test_saying_more_covers_no_less(text: str, expected: list[str]) -> None:
    assert coverage(text, expected) <= coverage(text + " cause", expected)
    assert coverage(text + " cause verify log", expected) == 1


def test_an_element_begins_a_word_in_any_case_and_any_of_its_alternatives_does() -> None:
    assert contains("the reasons are", "cause|reason")
    assert contains("straße", "STRASSE".casefold()) is False
    assert contains("strasse", "Straße")
    assert not contains("because", "cause")
    assert contains("x-flag", "-flag") is False
    assert contains("use -flag", "-flag")


def test_time_and_tokens_have_full_marks_up_to_the_target() -> None:
    assert (within(10, 10), within(20, 10), within(0, 10)) == (1, 0.5, 1)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("heading", "# Cause\nIt is."),
        ("heading", "**Cause:**\nIt is."),
        ("numbered_list", "1. One\n2) Two"),
        ("bulleted_list", "Say:\n- one"),
        ("code_block", "```sh\nls\n```"),
        ("question", "What is it?"),
        ("paragraphs", "One.\n\nTwo."),
    ],
)
def test_structure_is_seen(element: str, text: str) -> None:
    assert text_structure(text, [element]) == 1
    assert text_structure("Plain words.", [element]) == 0
    assert text_structure(text, [element, "code_block" if element != "code_block" else "question"]) == 0.5


@pytest.mark.parametrize("element", sorted(_ELEMENTS))
@pytest.mark.parametrize("text", ["x" + " " * 50_000, "\n" * 50_000, "**" * 25_000, "x \n" * 20_000, "?" * 50_000])
@pytest.mark.timeout(10)
def test_no_text_makes_it_slow(element: str, text: str) -> None:
    re.search(_ELEMENTS[element], text)


def test_json_has_structure_as_far_as_what_is_required_says_something() -> None:
    assert json_structure({"a": 0, "b": " ", "c": [], "d": None}, ["a", "b", "c", "d"]) == 0.5
    assert json_structure({"a": False}, ["a"]) == 1
    assert json_structure([1], ["a"]) == 0
    assert json_structure({}, []) == 1
