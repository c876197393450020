"""Filters compare what can be compared, and say what can be asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequestError
from sluice.knowledge.filters import read_filter


@pytest.mark.parametrize(
    ("type", "value", "own", "passes"),
    [
        ("eq", 1, 1.0, True),
        ("eq", True, 1, False),
        ("eq", "1", 1, False),
        ("ne", 1, None, True),
        ("gt", 1, 2, True),
        ("gt", 1, "2", False),
        ("gt", 1, None, False),
        ("lte", "b", "a", True),
        ("in", ["a", 1], 1, True),
        ("in", ["a", 1], True, False),
        ("nin", ["a"], None, True),
    ],
)
def test_a_comparison(type: str, value: Any, own: Any, passes: bool) -> None:
    attributes = {} if own is None else {"k": own}
    assert read_filter({"type": type, "key": "k", "value": value}).passes(attributes) == passes


def test_depth_and_size_are_bounded() -> None:
    part: Any = {"type": "eq", "key": "k", "value": 1}
    deep = part
    for _ in range(5):
        deep = {"type": "and", "filters": [deep]}
    for wrong in (deep, {"type": "or", "filters": [part] * 100}):
        with pytest.raises(InvalidRequestError, match="levels"):
            read_filter(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "key", "value", "filters", "x"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_whatever_is_sent_is_a_filter_or_refused(given: Any) -> None:
    try:
        found = read_filter(given)
    except InvalidRequestError:
        return
    assert isinstance(found.passes({"k": 1}), bool)
