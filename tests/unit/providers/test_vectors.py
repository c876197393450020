import json
import math
import random
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.embeddings.vectors import TextBatch, from_base64, is_finite, of_length_one, to_base64
from sluice.errors import ProviderError
from sluice.providers.decoding import json_in
from sluice.providers.vectors import tokens_in, vectors_in

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.lists(FLOATS, min_size=size, max_size=size), min_size=1, max_size=8)
)


class Call:
    """A call whose texts are of no interest."""

    secrets = ("key",)


def batch(count: int, dimensions: int) -> TextBatch:
    return TextBatch(texts=("text",) * count, dimensions=dimensions)


def read(body: Any, count: int, dimensions: int) -> Any:
    """What is read of an answer that comes as JSON."""
    return vectors_in(json_in(json.dumps(body).encode()), batch(count, dimensions), {}, Call())


@given(vectors=VECTORS, as_base64=st.booleans(), indexed=st.booleans())
def test_vectors_come_back_as_they_were_sent_in_either_form(
    vectors: list[list[float]], as_base64: bool, indexed: bool
) -> None:
    rows = [
        {**({"index": index} if indexed else {}), "embedding": to_base64(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    found = read({"data": rows}, len(vectors), len(vectors[0]))
    assert [list(each) for each in found] == vectors
    assert [list(from_base64(to_base64(each))) for each in found] == vectors


@given(vectors=VECTORS.filter(lambda vectors: len(vectors) > 1), seed=st.integers(0, 1_000))
def test_no_order_but_the_texts_own_is_taken(vectors: list[list[float]], seed: int) -> None:
    indexes = list(range(len(vectors)))
    random.Random(seed).shuffle(indexes)
    rows = [{"index": index, "embedding": vectors[index]} for index in indexes]
    if indexes == sorted(indexes):
        assert read({"data": rows}, len(vectors), len(vectors[0]))
    else:
        with pytest.raises(ProviderError):
            read({"data": rows}, len(vectors), len(vectors[0]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "index", "embedding"]), inner),
    max_leaves=12,
)


@given(body=JSON)
def test_whatever_comes_is_vectors_of_finite_numbers_or_a_provider_s_failure(body: Any) -> None:
    try:
        found = read(body, 1, 2)
    except ProviderError:
        return
    [vector] = found
    assert len(vector) == 2
    assert all(type(number) in {int, float} and math.isfinite(number) for number in vector)


@given(body=JSON)
def test_tokens_are_a_whole_number_above_0_or_not_known(body: Any) -> None:
    for usage in (body, {"prompt_tokens": body}, {"total_tokens": body, "prompt_tokens": 3}):
        found = tokens_in({"usage": usage})
        assert found is None or (type(found) is int and found > 0)
    assert tokens_in(body) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 3.5e38])
def test_what_floats_of_32_bits_do_not_hold_is_no_number(number: float) -> None:
    assert not is_finite([1.0, number])
    assert not is_finite(array("f", [1.0, number, -number]))


def test_a_vector_is_brought_to_length_1_if_it_points_anywhere() -> None:
    assert of_length_one([3.0, 4.0]) == [0.6, 0.8]
    with pytest.raises(ValueError, match="points nowhere"):
        of_length_one([0.0, 0.0])
