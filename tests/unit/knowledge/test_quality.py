"""What can't be right of vectors is counted, however ragged they are, and legitimate duplicates are not among it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.knowledge.quality import Stored, measure

NUMBERS = st.one_of(st.floats(width=32), st.integers(-127, 127))


def test_nothing_is_as_good_as_can_be() -> None:
    assert measure([], 2).quality_score == 1
    assert measure([], 2).total_embeddings == 0


def test_zero_and_infinite_vectors_and_those_of_other_lengths_are_counted() -> None:
    vectors: list[list[float]] = [[3, 4], [0, 0], [math.nan, 1], [1, 2, 3], []]
    found = measure([Stored(vector, number) for number, vector in enumerate(vectors)], 2)
    assert (found.total_embeddings, found.zero_vectors, found.non_finite_vectors) == (5, 2, 1)
    assert not found.dimension_consistency
    assert found.zero_vector_rate == pytest.approx(0.4)
    assert found.quality_score == pytest.approx(0.4)


def test_the_same_text_twice_is_no_fault_and_one_vector_of_two_texts_is() -> None:
    same = measure([Stored([1, 2], "a"), Stored([1, 2], "a"), Stored([2, 1], "b")], 2)
    assert (same.duplicate_rate, same.quality_score) == (0, 1)
    assert same.duplicate_text_rate == pytest.approx(1 / 3)
    wrong = measure([Stored([1, 2], "a"), Stored([1, 2], "b"), Stored([1, 2], "c")], 2)
    assert wrong.duplicate_text_rate == 0
    assert wrong.duplicate_rate == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.lists(NUMBERS, max_size=4), st.integers(0, 3))))
def test_whatever_is_stored_can_be_measured(stored: list[tuple[list[float], int]]) -> None:
    found = measure([Stored(vector, text) for vector, text in stored], 3)
    for rate in (found.zero_vector_rate, found.duplicate_rate, found.duplicate_text_rate, found.quality_score):
        assert 0 <= rate <= 1
