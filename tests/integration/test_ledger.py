"""The ledger on real DynamoDB semantics."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluice.errors import LedgerUnavailableError
from sluice.quota.item import Reservation
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import BUDGET, Limit, budget_limit
from sluice.quota.windows import DAY_MS, MINUTE_MS, CalendarWindow, RollingWindow, month_at, month_start_ms
from sluice.storage.client import dynamodb
from sluice.storage.item_types import TypedItem
from sluice.storage.tables import QUOTA
from tests.conftest import ON_BOTH_EMULATORS, Aws

pytestmark = ON_BOTH_EMULATORS

REQUESTS = Limit("requests_per_minute", 10, RollingWindow(MINUTE_MS))
TOKENS = Limit("tokens_per_minute", 1_000, RollingWindow(MINUTE_MS))
DAY = Limit("requests_per_day", 50, CalendarWindow("day"))
LIMITS = (REQUESTS, TOKENS)
COSTS = {"requests_per_minute": 1, "tokens_per_minute": 300}


class Clock:
    """A clock that stands still until it is moved."""

    # Ahead of now: MiniStack deletes what has expired, by its own clock.
    def __init__(self, seconds: float = 1_890_000_000.5) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(aws: Aws, clock: Clock) -> Ledger:
    return Ledger(aws.table("QUOTA_TABLE"), clock)


def stored(aws: Aws, scope: str) -> TypedItem | None:
    request = {"TableName": aws.table("QUOTA_TABLE"), "Key": QUOTA.key(scope)}
    return dynamodb().call("GetItem", request).get("Item")


def used(aws: Aws, clock: Clock, scope: str) -> dict[str, int]:
    """Totals by limit, read by a ledger that has seen nothing; each must be what its slices add up to."""
    fresh = Ledger(aws.table("QUOTA_TABLE"), clock)
    item = stored(aws, scope)
    if item is None:
        return {}
    seen = fresh._remember(scope, item)
    assert seen is not None
    for name, counter in seen.state.counters.items():
        assert counter.spent == 0 or name == BUDGET
    return {name: counter.total for name, counter in seen.state.counters.items()}


def test_a_reservation_takes_and_a_settlement_corrects(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    reservation = ledger.reserve("d", LIMITS, COSTS, hold=True)
    assert used(aws, clock, "d") == COSTS
    ledger.settle(reservation, {"tokens_per_minute": 120}, {"success_rate": 0.9})
    assert used(aws, clock, "d") == {"requests_per_minute": 1, "tokens_per_minute": 120}
    seen = ledger.seen("d")
    assert seen is not None
    assert seen.notes == {"success_rate": 0.9}
    assert not seen.state.held


def test_a_refused_request_consumes_nothing_of_any_limit(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    for _ in range(3):
        ledger.reserve("d", LIMITS, COSTS, hold=True)
    before = stored(aws, "d")
    assert before is not None
    with pytest.raises(QuotaDeniedError) as refused:
        ledger.reserve("d", LIMITS, COSTS, hold=True)
    assert refused.value.denial.limit == "tokens_per_minute"
    assert stored(aws, "d") == before


def test_a_process_that_knows_nothing_is_refused_as_well(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    for _ in range(10):
        ledger.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=False)
    newcomer = Ledger(aws.table("QUOTA_TABLE"), clock)
    with pytest.raises(QuotaDeniedError) as refused:
        newcomer.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=False)
    window = REQUESTS.window
    leaves_in_ms = window.leaves_at_ms(window.slice_at(newcomer.now_ms())) - newcomer.now_ms()
    assert refused.value.denial.retry_after_ms == leaves_in_ms


def test_a_process_whose_view_is_stale_learns_what_has_been_freed(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    other = Ledger(aws.table("QUOTA_TABLE"), clock)
    held = [other.reserve("d", LIMITS, COSTS, hold=True) for _ in range(3)]
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, COSTS, hold=True)
    for reservation in held:
        other.give_back(reservation)
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    assert used(aws, clock, "d") == COSTS


def test_a_settlement_that_arrives_twice_counts_once(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    first = ledger.reserve("d", LIMITS, COSTS, hold=True)
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    other_process = Ledger(aws.table("QUOTA_TABLE"), clock)
    ledger.settle(first, {"tokens_per_minute": 100})
    ledger.settle(first, {"tokens_per_minute": 100})
    other_process.settle(first, {"requests_per_minute": 0, "tokens_per_minute": 0})
    assert used(aws, clock, "d") == {"requests_per_minute": 2, "tokens_per_minute": 400}


def test_a_settlement_after_the_slice_has_left_changes_only_what_still_counts(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    limits = (TOKENS, DAY)
    slow = ledger.reserve("d", limits, {"tokens_per_minute": 300, "requests_per_day": 1}, hold=True)
    clock.seconds += 100
    ledger.reserve("d", limits, {"tokens_per_minute": 50, "requests_per_day": 1}, hold=True)
    ledger.settle(slow, {"tokens_per_minute": 10, "requests_per_day": 0})
    assert used(aws, clock, "d") == {"tokens_per_minute": 50, "requests_per_day": 1}


@pytest.mark.parametrize("gap_s", [0, 1, 59, 61, 62, 63, 200])
def test_a_settlement_that_finds_the_minute_turned_keeps_totals_and_slices_together(
    aws: Aws, ledger: Ledger, clock: Clock, gap_s: int
) -> None:
    stale = Ledger(aws.table("QUOTA_TABLE"), clock)
    reservation = stale.reserve("d", LIMITS, COSTS, hold=True)
    clock.seconds += gap_s
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    stale.settle(reservation, {"tokens_per_minute": 700})
    expected = 300 + (700 if gap_s < 62 else 0)
    assert used(aws, clock, "d")["tokens_per_minute"] == expected


def test_the_day_turning_between_reservation_and_settlement_miscounts_nothing(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    clock.seconds = (int(clock.seconds * 1000) // DAY_MS + 1) * DAY_MS / 1000 - 0.2
    yesterday = ledger.reserve("c", (DAY,), {"requests_per_day": 1}, hold=False)
    clock.seconds += 0.4
    ledger.reserve("c", (DAY,), {"requests_per_day": 1}, hold=False)
    ledger.give_back(yesterday)
    assert used(aws, clock, "c") == {"requests_per_day": 1}


def test_the_month_turning_mid_request_bills_the_new_month_once(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    budget = (budget_limit(1_000),)
    clock.seconds = month_start_ms(month_at(int(clock.seconds * 1000)) + 1) / 1000 - 1
    spent_before = ledger.reserve("t", budget, {BUDGET: 400}, hold=True)
    ledger.settle(spent_before, {BUDGET: 350})
    across = ledger.reserve("t", budget, {BUDGET: 500}, hold=True)
    clock.seconds += 2
    assert used(aws, clock, "t") == {BUDGET: 850}
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("t", budget, {BUDGET: 501}, hold=True)
    after = ledger.reserve("t", budget, {BUDGET: 100}, hold=True)
    ledger.settle(across, {BUDGET: 200})
    ledger.give_back(after)
    assert used(aws, clock, "t") == {BUDGET: 200}


def test_a_settlement_later_than_the_reserved_slice_still_bills(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    budget = (budget_limit(1_000),)
    reservation = ledger.reserve("t", budget, {BUDGET: 400}, hold=True)
    clock.seconds += 17 * 60
    ledger.reserve("t", budget, {BUDGET: 100}, hold=True)
    ledger.settle(reservation, {BUDGET: 250})
    assert used(aws, clock, "t") == {BUDGET: 350}


def test_a_process_that_dies_before_settling_leaves_its_estimate_counted_until_it_expires(
    aws: Aws, ledger: Ledger
) -> None:
    program = """
import os, sys
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET, Limit, budget_limit
from sluice.quota.windows import MINUTE_MS, RollingWindow
ledger = Ledger(os.environ["QUOTA_TABLE"])
minute = RollingWindow(MINUTE_MS)
limits = (Limit("requests_per_minute", 10, minute), Limit("tokens_per_minute", 1000, minute))
ledger.reserve("d", limits, {"requests_per_minute": 1, "tokens_per_minute": 700}, hold=True)
ledger.reserve("t", (budget_limit(1000),), {BUDGET: 900}, hold=True)
print("reserved", flush=True)
import time; time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=aws.process_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "reserved\n" in iter(process.stdout.readline, "")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    clock = Clock(time.time())
    survivor = Ledger(aws.table("QUOTA_TABLE"), clock)
    with pytest.raises(QuotaDeniedError):
        survivor.reserve("d", LIMITS, {"tokens_per_minute": 400}, hold=True)
    with pytest.raises(QuotaDeniedError):
        survivor.reserve("t", (budget_limit(1_000),), {BUDGET: 200}, hold=True)
    clock.seconds += 63
    survivor.reserve("d", LIMITS, {"tokens_per_minute": 1_000}, hold=True)
    clock.seconds += 45 * 60
    survivor.reserve("t", (budget_limit(1_000),), {BUDGET: 1_000}, hold=True)
    assert used(aws, clock, "t") == {BUDGET: 1_000}
    seen = survivor.seen("t")
    assert seen is not None
    assert len(seen.state.held) == 1  # the dead process's mark went with its slice


def test_many_threads_never_take_more_than_the_capacity_and_all_of_it(aws: Aws, clock: Clock) -> None:
    limit = Limit("requests_per_minute", 100, RollingWindow(MINUTE_MS))
    ledgers = [Ledger(aws.table("QUOTA_TABLE"), clock) for _ in range(8)]

    def take(number: int) -> Reservation | None:
        try:
            return ledgers[number % 8].reserve("d", (limit,), {"requests_per_minute": 1}, hold=number % 2 == 0)
        except QuotaDeniedError:
            return None

    with ThreadPoolExecutor(16) as pool:
        taken = [each for each in pool.map(take, range(130)) if each]
        assert len(taken) == 100
        clock.seconds += 1
        list(pool.map(lambda each: ledgers[0].give_back(each), taken[:40]))
        again = [each for each in pool.map(take, range(60)) if each]
    assert len(again) == 40
    assert used(aws, clock, "d") == {"requests_per_minute": 100}


def test_a_block_only_ever_moves_later(ledger: Ledger, clock: Clock) -> None:
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    now_ms = ledger.now_ms()
    ledger.block("d", now_ms + 9_000)
    ledger.block("d", now_ms + 4_000)
    with pytest.raises(QuotaDeniedError) as refused:
        ledger.reserve("d", LIMITS, COSTS, hold=True)
    assert refused.value.denial.retry_after_ms == 9_000
    clock.seconds += 9
    ledger.reserve("d", LIMITS, COSTS, hold=True)


def test_a_block_reaches_a_process_that_has_not_heard_of_it(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    Ledger(aws.table("QUOTA_TABLE"), clock).block("d", ledger.now_ms() + 5_000)
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, COSTS, hold=True)


def test_limits_named_in_headers_correct_the_configured_ones(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    stale = Ledger(aws.table("QUOTA_TABLE"), clock)
    stale.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=True)
    reservation = ledger.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=True)
    ledger.learn(reservation, (REQUESTS,), {"requests_per_minute": 3}, {})
    stale.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=True)
    with pytest.raises(QuotaDeniedError):
        stale.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=True)


def test_less_remaining_than_the_ledger_knows_of_is_taken_from_it(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    reservation = ledger.reserve("d", (REQUESTS,), {"requests_per_minute": 1}, hold=True)
    ledger.learn(reservation, (REQUESTS,), {}, {"requests_per_minute": 4})
    ledger.learn(reservation, (REQUESTS,), {}, {"requests_per_minute": 4})
    assert used(aws, clock, "d") == {"requests_per_minute": 6}
    ledger.learn(reservation, (REQUESTS,), {}, {"requests_per_minute": 9})
    assert used(aws, clock, "d") == {"requests_per_minute": 6}


def test_a_reservation_that_cannot_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, tables: Mapping[str, str]
) -> None:
    with pytest.raises(LedgerUnavailableError, match="ResourceNotFoundException"):
        Ledger("no-such-table").reserve("d", LIMITS, COSTS, hold=True)


def test_two_threads_settling_one_reservation_count_it_once(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    reservation = ledger.reserve("d", LIMITS, COSTS, hold=True)
    ledger.reserve("d", LIMITS, COSTS, hold=True)
    barrier = threading.Barrier(4)

    def settle() -> None:
        barrier.wait()
        Ledger(aws.table("QUOTA_TABLE"), clock).settle(reservation, {"tokens_per_minute": 200})

    threads = [threading.Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used(aws, clock, "d") == {"requests_per_minute": 2, "tokens_per_minute": 500}


def test_an_alert_is_given_once_a_day_at_80_and_at_90_percent(
    aws: Aws, ledger: Ledger, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.seconds = (int(clock.seconds * 1000) // DAY_MS) * DAY_MS / 1000 + 3_600
    rolling_day = Limit("requests_per_day", 10, RollingWindow(DAY_MS))
    other = Ledger(aws.table("QUOTA_TABLE"), clock)

    def alerts() -> list[str]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "QuotaAlert" in line]
        return [line["percentage"] for line in lines]

    for number in range(7):
        (ledger, other)[number % 2].reserve("d", (rolling_day,), {"requests_per_day": 1}, hold=False)
    assert alerts() == []
    eighth = ledger.reserve("d", (rolling_day,), {"requests_per_day": 1}, hold=False)
    assert alerts() == ["80"]
    ledger.give_back(eighth)
    other.reserve("d", (rolling_day,), {"requests_per_day": 1}, hold=False)
    assert alerts() == []
    other.reserve("d", (rolling_day,), {"requests_per_day": 1}, hold=False)
    assert alerts() == ["90"]
    clock.seconds += 23.5 * 3_600  # the next day, most of it still counted
    ledger.reserve("d", (rolling_day,), {"requests_per_day": 1}, hold=False)
    assert alerts() == ["90"]
