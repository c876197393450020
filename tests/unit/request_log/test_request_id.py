"""Ids of requests: their time, and their order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sluice.request_log.request_id import (
    began_ms,
    first_id_at,
    id_before,
    is_request_id,
    last_id_at,
    new_request_id,
    random_part,
)

MOMENTS = st.integers(min_value=0, max_value=2**48 - 1)


@given(MOMENTS, MOMENTS)
def test_ids_sort_as_their_requests_began(one_ms: int, other_ms: int) -> None:
    one, other = new_request_id(one_ms), new_request_id(other_ms)
    assert (one_ms < other_ms) <= (one < other)
    assert began_ms(one) == one_ms
    assert first_id_at(one_ms) < one < last_id_at(one_ms)
    assert id_before(one) < one
    assert (one_ms < other_ms) <= (last_id_at(one_ms) < other)


def test_an_id_is_a_uuid_of_version_7() -> None:
    request_id = new_request_id(1_764_115_200_123)
    assert is_request_id(request_id)
    digits = request_id.removeprefix("req_")
    assert digits[12] == "7"
    assert digits[16] in "89ab"


def test_a_clock_that_is_out_of_its_mind_makes_ids_all_the_same() -> None:
    for now_ms in (-5, 2**60):
        assert is_request_id(new_request_id(now_ms))
        assert is_request_id(first_id_at(now_ms))
        assert is_request_id(last_id_at(now_ms))


def test_no_two_ids_of_a_moment_are_alike_and_all_shards_get_some() -> None:
    ids = [new_request_id(1_764_115_200_123) for _ in range(4_000)]
    assert len(set(ids)) == len(ids)
    shards = Counter(random_part(request_id) % 8 for request_id in ids)
    assert len(shards) == 8
    assert max(shards.values()) < 700


def test_what_is_no_id_is_told_from_one() -> None:
    for text in ("", "req_", "req_1", "req_" + "g" * 32, "req_" + "A" * 32, "REQ_" + "0" * 32, "req_" + "0" * 33):
        assert not is_request_id(text)
