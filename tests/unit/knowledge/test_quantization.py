"""Vectors of whole numbers point where those pointed that they were made of."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.knowledge.quantization import cosine, quantized

NUMBERS = st.floats(min_value=-1, max_value=1, width=32)


@given(st.lists(NUMBERS, min_size=2, max_size=64).filter(lambda each: max(map(abs, each)) > 1e-3))
def test_the_direction_stays(vector: list[float]) -> None:
    found = quantized(vector)
    assert max(map(abs, found)) == 127
    assert cosine(vector, found) > 0.98


@pytest.mark.parametrize("vector", [[0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0], []])
def test_what_points_nowhere_is_refused(vector: list[float]) -> None:
    with pytest.raises(ValueError, match="points nowhere"):
        quantized(vector)


def test_numbers_too_close_to_0_point_nowhere() -> None:
    with pytest.raises(ValueError, match="too close to 0"):
        quantized([1e-320, 0.0])
