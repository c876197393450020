"""Leftover quota: what nobody waits for leaves a share of every limit to callers who do."""

import pytest

from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.leftover import leaving_free
from sluice.quota.limits import BUDGET, budget_limit, deployment_limit
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.ledgers import ONE, REQUESTS, Clock, process

pytestmark = ON_BOTH_EMULATORS


def test_the_share_stays_free_of_all_that_was_taken_and_those_who_wait_may_take_it(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.reserve("d", (REQUESTS,), ONE)
    with leaving_free(20):
        for _ in range(5):
            ledger.reserve("d", (REQUESTS,), ONE)
        with pytest.raises(QuotaDeniedError) as refused:
            ledger.reserve("d", (REQUESTS,), ONE)
    assert refused.value.denial.limit == "requests_per_minute"
    assert refused.value.denial.retry_after_ms is not None
    # This process has just seen a refusal, which is none of theirs.
    ledger.check("d", ONE)
    for _ in range(2):
        ledger.reserve("d", (REQUESTS,), ONE)
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", (REQUESTS,), ONE)


def test_a_process_that_knows_nothing_leaves_it_free_too(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    for _ in range(8):
        ledger.reserve("d", (REQUESTS,), ONE)
    with leaving_free(20), pytest.raises(QuotaDeniedError):
        process(aws, clock).reserve("d", (REQUESTS,), ONE)


def test_the_refusal_ends_when_enough_has_left_the_window(ledger: Ledger, clock: Clock) -> None:
    for _ in range(10):
        ledger.reserve("d", (REQUESTS,), ONE)
    with leaving_free(20):
        with pytest.raises(QuotaDeniedError) as refused:
            ledger.reserve("d", (REQUESTS,), ONE)
        wait_ms = refused.value.denial.retry_after_ms
        assert wait_ms is not None
        clock.seconds += wait_ms / 1000
        ledger.reserve("d", (REQUESTS,), ONE)


def test_a_budget_is_left_to_those_who_wait_as_well(ledger: Ledger) -> None:
    month = (budget_limit(1_000),)
    with leaving_free(20):
        ledger.reserve("t", month, {BUDGET: 800})
        with pytest.raises(QuotaDeniedError):
            ledger.reserve("t", month, {BUDGET: 1})
    ledger.reserve("t", month, {BUDGET: 200})


@pytest.mark.parametrize(("capacity", "fits"), [(1, 1), (2, 1), (4, 3), (10, 8), (11, 8)])
def test_of_a_small_limit_the_share_is_rounded_up_and_one_request_always_fits(
    ledger: Ledger, capacity: int, fits: int
) -> None:
    limits = (deployment_limit("requests_per_minute", capacity),)
    with leaving_free(20):
        for _ in range(fits):
            ledger.reserve(f"d{capacity}", limits, ONE)
        with pytest.raises(QuotaDeniedError):
            ledger.reserve(f"d{capacity}", limits, ONE)


def test_of_a_scope_in_shards_it_stays_free_too(ledger: Ledger) -> None:
    limits = (deployment_limit("requests_per_minute", 100),)
    ledger.reserve("d", limits, ONE)
    ledger.reshape("d", 4)
    taken = 1
    with leaving_free(20):
        while True:
            try:
                ledger.reserve("d", limits, ONE)
            except QuotaDeniedError:
                break
            taken += 1
    assert taken == 80
    for _ in range(20):
        ledger.reserve("d", limits, ONE)
