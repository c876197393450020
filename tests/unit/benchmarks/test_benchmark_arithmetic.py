"""What the benchmarks compute for themselves."""

import pytest

from benchmarks.capacity import item_bytes, longest_chain, read_units, write_units
from benchmarks.samples import summary


def test_an_item_is_as_large_as_dynamodb_says() -> None:
    assert item_bytes({}) == 0
    assert item_bytes({"scope": {"S": "käse"}}) == len("scope") + 5
    # Two digits to a byte, and one byte more; zeros at either end take no room.
    assert item_bytes({"n": {"N": "1234"}}) == 1 + 3
    assert item_bytes({"n": {"N": "-1200"}}) == 1 + 1 + 1 + 1
    assert item_bytes({"n": {"N": "0.5"}}) == 1 + 2
    assert item_bytes({"b": {"B": b"12345"}, "t": {"BOOL": True}}) == 6 + 2
    assert item_bytes({"l": {"L": [{"S": "a"}, {"S": "b"}]}}) == 1 + 3 + 2 * (1 + 1)
    assert item_bytes({"m": {"M": {"k": {"S": "v"}}}}) == 1 + 3 + 1 + 2
    assert item_bytes({"s": {"SS": ["ab", "c"]}}) == 1 + 3


def test_units_are_begun_kilobytes() -> None:
    assert [write_units(size) for size in (0, 1, 1024, 1025)] == [1, 1, 1, 2]
    assert [read_units(size, is_consistent=True) for size in (0, 4096, 4097)] == [1, 1, 2]
    assert read_units(4097, is_consistent=False) == 1


@pytest.mark.parametrize(
    ("intervals", "length"),
    [
        ([], 0),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 10), (1, 2), (3, 4)], 2),
        ([(0, 5), (1, 6), (2, 7)], 1),
    ],
)
def test_a_chain_is_as_long_as_requests_can_follow_one_another(
    intervals: list[tuple[float, float]], length: int
) -> None:
    assert longest_chain(intervals) == length


def test_a_summary_has_the_median_and_the_quartiles() -> None:
    found = summary([float(value) for value in range(101)])
    assert (found.lower_quartile, found.median, found.upper_quartile, found.p95) == (25, 50, 75, 95)
    assert summary([7.0]).p95 == 7.0
