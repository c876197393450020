"""Claims of idempotency keys, and answers kept under them, in DynamoDB."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.errors import KeptAnswerTooLargeError, KeyReusedError, RequestUnderWayError
from sluice.idempotency.answer import AnswerHead, AnswerPacker
from sluice.idempotency.store import KEPT_S, Claim, IdempotencyStore, KeptAnswer
from tests.clock import Clock
from tests.conftest import ON_BOTH_EMULATORS, Aws

pytestmark = ON_BOTH_EMULATORS

KEY = "idempotency#acme#1"
FIRST = Claim(key=KEY, fingerprint="f", request_id="req_1")
SECOND = Claim(key=KEY, fingerprint="f", request_id="req_2")
OTHER = Claim(key=KEY, fingerprint="g", request_id="req_3")
HEAD = AnswerHead(request_id="req_1", headers={"content-type": "application/json"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(aws: Aws, clock: Clock) -> IdempotencyStore:
    return IdempotencyStore(aws.table("RESPONSE_CACHE_TABLE"), clock)


def packed(*lines: bytes) -> bytes:
    packer = AnswerPacker()
    for line in lines:
        packer.add(line)
    found = packer.packed()
    assert found is not None
    return found


def test_the_first_claims_and_the_others_get_its_answer(store: IdempotencyStore) -> None:
    assert store.claim(FIRST, 60) is None
    assert store.keep(FIRST, HEAD, packed(b"{}", b"[1]"))
    assert store.claim(SECOND, 60) == KeptAnswer(HEAD, [b"{}", b"[1]"])


def test_a_claim_that_arrives_twice_is_one(store: IdempotencyStore) -> None:
    assert store.claim(FIRST, 60) is None
    assert store.claim(FIRST, 60) is None


def test_who_comes_meanwhile_is_told_when_to_ask_again(store: IdempotencyStore, clock: Clock) -> None:
    store.claim(FIRST, 60)
    clock.now_s += 7
    with pytest.raises(RequestUnderWayError) as refused:
        store.claim(SECOND, 60)
    assert refused.value.headers == {"retry-after": "7"}


def test_one_of_many_claims(store: IdempotencyStore) -> None:
    def claims(number: int) -> bool:
        try:
            return store.claim(Claim(key=KEY, fingerprint="f", request_id=f"req_{number}"), 60) is None
        except RequestUnderWayError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claims, range(24))) == 1


def test_another_request_is_refused_before_and_after_the_answer(store: IdempotencyStore) -> None:
    store.claim(FIRST, 60)
    with pytest.raises(KeyReusedError):
        store.claim(OTHER, 60)
    store.keep(FIRST, HEAD, packed(b"{}"))
    with pytest.raises(KeyReusedError):
        store.claim(OTHER, 60)


def test_an_answer_is_kept_for_a_day_by_the_clock_though_dynamodb_deletes_late(
    store: IdempotencyStore, clock: Clock
) -> None:
    store.claim(FIRST, 60)
    store.keep(FIRST, HEAD, packed(b"{}"))
    clock.now_s += KEPT_S - 1
    assert store.claim(SECOND, 60) is not None
    clock.now_s += 2
    assert store.claim(OTHER, 60) is None


def test_a_claim_runs_out_and_who_held_it_changes_nothing_any_more(store: IdempotencyStore, clock: Clock) -> None:
    store.claim(FIRST, 60)
    clock.now_s += 61
    assert store.claim(SECOND, 60) is None
    assert not store.keep(FIRST, HEAD, packed(b"{}"))
    assert not store.release(KEY, FIRST.request_id)
    with pytest.raises(RequestUnderWayError):
        store.claim(FIRST, 60)
    assert store.keep(SECOND, HEAD, packed(b"[]"))
    kept = store.claim(FIRST, 60)
    assert kept is not None
    assert kept.lines == [b"[]"]


def test_a_clock_that_is_behind_holds_a_claim_longer_and_never_two(store: IdempotencyStore, clock: Clock) -> None:
    store.claim(FIRST, 60)
    clock.now_s -= 3600
    with pytest.raises(RequestUnderWayError) as refused:
        store.claim(SECOND, 60)
    assert refused.value.headers == {"retry-after": "1"}
    assert store.keep(FIRST, HEAD, packed(b"{}"))


def test_what_is_released_is_free_for_any_request(store: IdempotencyStore) -> None:
    store.claim(FIRST, 60)
    assert store.release(KEY, FIRST.request_id)
    assert not store.release(KEY, FIRST.request_id)
    assert store.claim(OTHER, 60) is None


def test_of_an_answer_that_is_too_large_there_is_that_it_was_given(store: IdempotencyStore) -> None:
    store.claim(FIRST, 60)
    assert store.keep(FIRST, HEAD, None)
    with pytest.raises(KeptAnswerTooLargeError):
        store.claim(SECOND, 60)


def test_an_answer_of_the_largest_size_fits_into_an_item(store: IdempotencyStore) -> None:
    store.claim(FIRST, 60)
    assert store.keep(FIRST, HEAD, b"x" * 350 * 1024)
