"""Circuits in the ledger's items: opened by failures, for all processes, and closed by one probe."""

import pytest

from sluice.quota.circuit import Breaker, CircuitState, Verdict
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import deployment_limit
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.ledgers import LIMITS, ONE, Clock, item_of, process

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


def state(ledger: Ledger) -> CircuitState:
    return ledger.look_at(["d"])["d"].circuit.state(ledger.now_ms())


def is_let_in(ledger: Ledger) -> bool:
    """Whether a call goes through; if so, it is given back."""
    try:
        ledger.give_back(ledger.reserve("d", LIMITS, ONE))
    except QuotaDeniedError:
        return False
    return True


def test_a_breaker_opens_after_its_own_number_of_failures_and_for_its_own_time(aws: Aws, clock: Clock) -> None:
    ledger = process(aws, clock, Breaker(failures_to_open=2, open_s=10))
    failing(ledger, 1)
    assert is_let_in(ledger)
    failing(ledger, 1)
    assert not is_let_in(ledger)
    clock.seconds += 8
    assert not is_let_in(ledger)
    clock.seconds += 3
    ledger.report_success(ledger.reserve("d", LIMITS, ONE))
    assert state(ledger) is CircuitState.CLOSED


def test_a_circuit_is_closed_by_as_many_probes_in_a_row_as_its_breaker_asks_for(aws: Aws, clock: Clock) -> None:
    breaker = Breaker(failures_to_open=1, successes_to_close=3)
    ledger, other = process(aws, clock, breaker), process(aws, clock, breaker)
    failing(ledger, 1)
    clock.seconds += 61
    for probing in (ledger, other):
        probe = probing.reserve("d", LIMITS, ONE)
        assert not is_let_in(ledger)
        probing.report_success(probe)
        probing.settle(probe, {}, verdict=Verdict.SUCCESS)
        assert state(other) is CircuitState.HALF_OPEN
        clock.seconds += 2  # refusals are believed for a second
    # One that ends without a verdict takes none of them away, and one that fails all.
    assert is_let_in(ledger)
    failing(other, 1)
    assert state(ledger) is CircuitState.OPEN
    clock.seconds += 61
    for probing, left in (
        (other, CircuitState.HALF_OPEN),
        (ledger, CircuitState.HALF_OPEN),
        (other, CircuitState.CLOSED),
    ):
        probing.settle(probing.reserve("d", LIMITS, ONE), {}, verdict=Verdict.SUCCESS)
        assert state(ledger) is left
    assert "p" not in item_of(aws, "d")


def test_a_probe_that_was_waited_for_no_longer_counts_for_nothing(aws: Aws, clock: Clock) -> None:
    ledger = process(aws, clock, Breaker(failures_to_open=1, successes_to_close=2))
    failing(ledger, 1)
    clock.seconds += 61
    slow = ledger.reserve("d", LIMITS, ONE)
    clock.seconds += 61
    probe = ledger.reserve("d", LIMITS, ONE)
    ledger.report_success(slow)
    assert not is_let_in(ledger)
    ledger.report_success(probe)
    assert state(ledger) is CircuitState.HALF_OPEN


@pytest.mark.parametrize(
    ("failures", "after", "found"),
    [
        # What was counted stays counted, and the new threshold says what it comes to.
        (5, Breaker(failures_to_open=6), CircuitState.CLOSED),
        (4, Breaker(failures_to_open=2), CircuitState.OPEN),
        # A circuit that is open already stays so as long as it was opened for.
        (5, Breaker(open_s=1), CircuitState.OPEN),
        (5, Breaker(open_s=3_600), CircuitState.OPEN),
        (5, Breaker(successes_to_close=9), CircuitState.OPEN),
    ],
)
def test_another_breaker_holds_for_a_circuit_that_is_open_already(
    aws: Aws, clock: Clock, failures: int, after: Breaker, found: CircuitState
) -> None:
    failing(process(aws, clock), failures)
    ledger = process(aws, clock, after)
    assert state(ledger) is found
    assert is_let_in(ledger) is (found is CircuitState.CLOSED)
    clock.seconds += 61
    assert is_let_in(ledger)
    assert state(ledger) is (CircuitState.CLOSED if found is CircuitState.CLOSED else CircuitState.HALF_OPEN)


def test_a_probe_under_a_raised_threshold_neither_opens_nor_blocks_anything(aws: Aws, clock: Clock) -> None:
    failing(process(aws, clock), 5)
    clock.seconds += 61
    probe = process(aws, clock).reserve("d", LIMITS, ONE)
    raised = process(aws, clock, Breaker(failures_to_open=10))
    assert is_let_in(raised)
    raised.settle(probe, {}, verdict=Verdict.FAILURE)
    assert is_let_in(raised)
    raised.settle(raised.reserve("d", LIMITS, ONE), {}, verdict=Verdict.SUCCESS)
    assert "f" not in item_of(aws, "d")


def test_probes_of_shards_are_counted_together(aws: Aws, clock: Clock) -> None:
    limits = (deployment_limit("requests_per_minute", 1_000),)
    ledger = process(aws, clock, Breaker(failures_to_open=1, successes_to_close=2))
    ledger.reserve("d", limits, ONE)
    ledger.reshape("d", 4)
    ledger.settle(ledger.reserve("d", limits, ONE), {}, verdict=Verdict.FAILURE)
    clock.seconds += 61
    for left in (CircuitState.HALF_OPEN, CircuitState.CLOSED):
        ledger.report_success(ledger.reserve("d", limits, ONE))
        assert state(ledger) is left
        clock.seconds += 2
    for _ in range(8):
        assert ledger.reserve("d", limits, ONE).probe_until_s is None
