"""Circuits in the ledger's items: opened by failures, for all processes, and closed by one probe."""

import pytest

from sluice.quota.circuit import CircuitState, Verdict
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import deployment_limit
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.ledgers import LIMITS, ONE, Clock, process

pytestmark = ON_BOTH_EMULATORS


def failing(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        ledger.settle(ledger.reserve("d", LIMITS, ONE), {}, verdict=Verdict.FAILURE)


def test_a_circuit_opens_for_all_processes_and_one_probe_closes_it(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    other = process(aws, clock)
    failing(ledger, 3)
    failing(other, 2)
    for each in (ledger, other):
        with pytest.raises(QuotaDeniedError) as refused:
            each.reserve("d", LIMITS, ONE)
        assert refused.value.denial.limit == "circuit_open"
        assert 59_000 <= (refused.value.denial.retry_after_ms or 0) <= 61_000
    clock.seconds += 61
    assert other.look_at(["d"])["d"].circuit.state(other.now_ms()) is CircuitState.HALF_OPEN
    probe = other.reserve("d", LIMITS, ONE)
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, ONE)
    other.report_success(probe)
    clock.seconds += 1
    ledger.reserve("d", LIMITS, ONE)
    assert ledger.look_at(["d"])["d"].circuit.state(other.now_ms()) is CircuitState.CLOSED


def test_a_probe_that_fails_opens_the_circuit_for_another_minute(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    failing(ledger, 5)
    clock.seconds += 61
    failing(ledger, 1)
    clock.seconds += 58
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, ONE)
    clock.seconds += 3
    assert ledger.reserve("d", LIMITS, ONE).probe_until_s is not None


def test_a_probe_without_a_verdict_frees_the_next_at_once(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    other = process(aws, clock)
    failing(ledger, 5)
    clock.seconds += 61
    ledger.give_back(ledger.reserve("d", LIMITS, ONE))
    assert other.reserve("d", LIMITS, ONE).probe_until_s is not None


def test_a_probe_whose_process_died_is_waited_for_no_longer_than_a_minute(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    failing(ledger, 5)
    clock.seconds += 61
    process(aws, clock).reserve("d", LIMITS, ONE)
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, ONE)
    clock.seconds += 61
    assert ledger.reserve("d", LIMITS, ONE).probe_until_s is not None


def test_a_success_in_between_begins_the_count_of_failures_anew(ledger: Ledger) -> None:
    failing(ledger, 4)
    ledger.settle(ledger.reserve("d", LIMITS, ONE), {}, verdict=Verdict.SUCCESS)
    failing(ledger, 4)
    ledger.reserve("d", LIMITS, ONE)


def test_failures_of_calls_that_began_before_do_not_keep_a_circuit_open_longer(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    slow = [process(aws, clock).reserve("d", LIMITS, ONE) for _ in range(2)]
    failing(ledger, 5)
    clock.seconds += 40
    for each in slow:
        process(aws, clock).settle(each, {}, verdict=Verdict.FAILURE)
    clock.seconds += 21
    assert ledger.reserve("d", LIMITS, ONE).probe_until_s is not None


def test_a_circuit_of_shards_opens_in_all_and_one_probe_closes_it(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    limits = (deployment_limit("requests_per_minute", 1_000),)
    ledger.reserve("d", limits, ONE)
    ledger.reshape("d", 4)
    failures = 0
    while True:
        try:
            reservation = ledger.reserve("d", limits, ONE)
        except QuotaDeniedError:
            break
        ledger.settle(reservation, {}, verdict=Verdict.FAILURE)
        failures += 1
        assert failures <= 17
    other = process(aws, clock)
    with pytest.raises(QuotaDeniedError):
        other.reserve("d", limits, ONE)
    clock.seconds += 61
    probe = other.reserve("d", limits, ONE)
    for each in (ledger, process(aws, clock)):
        with pytest.raises(QuotaDeniedError) as refused:
            each.reserve("d", limits, ONE)
        assert refused.value.denial.limit == "circuit_open"
    other.settle(probe, {}, verdict=Verdict.SUCCESS)
    clock.seconds += 2
    for _ in range(8):
        assert ledger.reserve("d", limits, ONE).probe_until_s is None
