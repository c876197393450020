"""The ledger on DynamoDB's semantics, as MiniStack has them."""

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
from sluice.quota.item import BlockReason
from sluice.quota.learning import Lesson
from sluice.quota.ledger import Ledger, QuotaDeniedError
from sluice.quota.limits import BUDGET, budget_limit, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.windows import DAY_MS, ROLLING_MINUTE, month_at, month_start_ms
from sluice.storage.client import dynamodb
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.fakes.dynamodb import KnownOffset, StillClock, TrustingClient
from tests.ledgers import COSTS, DAY, LIMITS, ONE, REQUESTS, TOKENS, Clock, item_of, process, used

pytestmark = ON_BOTH_EMULATORS


def test_a_reservation_takes_and_a_settlement_corrects(aws: Aws, ledger: Ledger) -> None:
    reservation = ledger.reserve("d", LIMITS, COSTS)
    assert used(aws, "d") == COSTS
    ledger.settle(reservation, {"tokens_per_minute": 120}, {"success_rate": 0.912345})
    assert used(aws, "d") == {"requests_per_minute": 1, "tokens_per_minute": 120}
    seen = ledger.seen("d")
    assert seen is not None
    assert seen.notes == {"success_rate": 0.9123}


def test_a_refused_request_consumes_nothing_of_any_limit(aws: Aws, ledger: Ledger) -> None:
    for _ in range(3):
        ledger.reserve("d", LIMITS, COSTS)
    before = item_of(aws, "d")
    with pytest.raises(QuotaDeniedError) as refused:
        ledger.reserve("d", LIMITS, COSTS)
    assert refused.value.denial.limit == "tokens_per_minute"
    assert item_of(aws, "d") == before


def test_a_process_that_knows_nothing_is_refused_as_well(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    for _ in range(10):
        ledger.reserve("d", (REQUESTS,), ONE)
    newcomer = process(aws, clock)
    with pytest.raises(QuotaDeniedError) as refused:
        newcomer.reserve("d", (REQUESTS,), ONE)
    now_ms = newcomer.now_ms()
    leaves_in_ms = ROLLING_MINUTE.leaves_at_ms(ROLLING_MINUTE.slice_at(now_ms)) - now_ms
    assert refused.value.denial.retry_after_ms == leaves_in_ms


def test_who_was_refused_learns_within_a_second_what_has_been_freed(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    other = process(aws, clock)
    taken = [other.reserve("d", LIMITS, COSTS) for _ in range(3)]
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("d", LIMITS, COSTS)
    for reservation in taken:
        other.give_back(reservation)
    clock.seconds += 1
    ledger.reserve("d", LIMITS, COSTS)
    assert used(aws, "d") == COSTS


def test_a_settlement_that_is_repeated_counts_once(aws: Aws, ledger: Ledger) -> None:
    first = ledger.reserve("d", LIMITS, COSTS)
    ledger.reserve("d", LIMITS, COSTS)
    ledger.settle(first, {"tokens_per_minute": 100})
    ledger.settle(first, {"tokens_per_minute": 100})
    ledger.give_back(first)
    assert used(aws, "d") == {"requests_per_minute": 2, "tokens_per_minute": 400}


def test_two_threads_settling_one_reservation_count_it_once(aws: Aws, ledger: Ledger) -> None:
    reservation = ledger.reserve("d", LIMITS, COSTS)
    ledger.reserve("d", LIMITS, COSTS)
    barrier = threading.Barrier(4)

    def settle() -> None:
        barrier.wait()
        ledger.settle(reservation, {"tokens_per_minute": 200})

    threads = [threading.Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used(aws, "d") == {"requests_per_minute": 2, "tokens_per_minute": 500}


def test_a_settlement_after_the_minute_has_left_changes_only_what_still_counts(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    day = deployment_limit("tokens_per_day", 10_000)
    costs = {"tokens_per_minute": 300, "tokens_per_day": 300}
    slow = ledger.reserve("d", (TOKENS, day), costs)
    clock.seconds += 100
    ledger.reserve("d", (TOKENS, day), {"tokens_per_minute": 50, "tokens_per_day": 50})
    ledger.settle(slow, {"tokens_per_minute": 10, "tokens_per_day": 10})
    assert used(aws, "d") == {"tokens_per_minute": 50, "tokens_per_day": 60}


@pytest.mark.parametrize("gap_s", [0, 1, 59, 61, 62, 63, 200])
def test_a_settlement_that_finds_the_minute_turned_keeps_totals_and_slices_together(
    aws: Aws, ledger: Ledger, clock: Clock, gap_s: int
) -> None:
    stale = process(aws, clock)
    clock.seconds = ROLLING_MINUTE.slice_ms * 1_549_180_328 / 1000  # a slice begins
    reservation = stale.reserve("d", LIMITS, COSTS)
    clock.seconds += gap_s
    ledger.reserve("d", LIMITS, COSTS)
    stale.settle(reservation, {"tokens_per_minute": 700})
    expected = 300 + (700 if gap_s < 62.22 else 0)
    assert used(aws, "d")["tokens_per_minute"] == expected


def test_the_day_turning_between_reservation_and_settlement_miscounts_nothing(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    clock.seconds = (int(clock.seconds * 1000) // DAY_MS + 1) * DAY_MS / 1000 - 0.2
    yesterday = ledger.reserve("c", (DAY,), {"requests_per_day": 1})
    clock.seconds += 0.4
    ledger.reserve("c", (DAY,), {"requests_per_day": 1})
    ledger.give_back(yesterday)
    assert used(aws, "c") == {"requests_per_day": 1}


def test_what_was_reserved_in_a_month_is_billed_to_it(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    budget = (budget_limit(1_000),)
    clock.seconds = month_start_ms(month_at(int(clock.seconds * 1000)) + 1) / 1000 - 1
    ledger.settle(ledger.reserve("t", budget, {BUDGET: 400}), {BUDGET: 350})
    across = ledger.reserve("t", budget, {BUDGET: 500})
    assert used(aws, "t") == {BUDGET: 850}
    clock.seconds += 2
    ledger.reserve("t", budget, {BUDGET: 1_000})
    ledger.settle(across, {BUDGET: 200})
    assert used(aws, "t") == {BUDGET: 1_000}


def test_crashes_after_reserving_never_free_a_budget(aws: Aws, clock: Clock) -> None:
    budget = (budget_limit(1_000),)
    process(aws, clock).reserve("t", budget, {BUDGET: 900})
    for _ in range(5):
        clock.seconds += 86_400
        with pytest.raises(QuotaDeniedError):
            process(aws, clock).reserve("t", budget, {BUDGET: 900})
    assert used(aws, "t") == {BUDGET: 900}


def test_a_process_that_dies_before_settling_leaves_its_estimate_counted(aws: Aws, ledger: Ledger) -> None:
    program = """
import os, sys
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET, budget_limit, deployment_limit
ledger = Ledger(os.environ["QUOTA_TABLE"])
limits = (deployment_limit("requests_per_minute", 10), deployment_limit("tokens_per_minute", 1000))
ledger.reserve("d", limits, {"requests_per_minute": 1, "tokens_per_minute": 700})
ledger.reserve("t", (budget_limit(1000),), {BUDGET: 900})
print("reserved", flush=True)
import time; time.sleep(60)
"""
    dead = subprocess.Popen(
        [sys.executable, "-c", program], env=aws.process_environment(), stdout=subprocess.PIPE, text=True
    )
    assert dead.stdout is not None
    assert "reserved\n" in iter(dead.stdout.readline, "")
    os.kill(dead.pid, signal.SIGKILL)
    dead.wait()
    clock = Clock(time.time())
    survivor = process(aws, clock)
    with pytest.raises(QuotaDeniedError):
        survivor.reserve("d", LIMITS, {"tokens_per_minute": 400})
    clock.seconds += 63
    survivor.reserve("d", LIMITS, {"tokens_per_minute": 1_000})
    with pytest.raises(QuotaDeniedError):
        survivor.reserve("t", (budget_limit(1_000),), {BUDGET: 200})


def test_many_threads_never_take_more_than_the_capacity_and_all_of_it(aws: Aws, clock: Clock) -> None:
    limit = deployment_limit("requests_per_minute", 100)
    ledgers = [process(aws, clock) for _ in range(8)]

    def take(number: int) -> Reservation | None:
        try:
            return ledgers[number % 8].reserve("d", (limit,), ONE)
        except QuotaDeniedError:
            return None

    with ThreadPoolExecutor(16) as pool:
        taken = [each for each in pool.map(take, range(130)) if each]
        assert len(taken) == 100
        clock.seconds += 1
        list(pool.map(lambda each: ledgers[0].give_back(each), taken[:40]))
        again = [each for each in pool.map(take, range(60)) if each]
    assert len(again) == 40
    assert used(aws, "d") == {"requests_per_minute": 100}


def test_many_threads_share_shards_and_take_all_of_the_capacity(aws: Aws, clock: Clock) -> None:
    limit = deployment_limit("requests_per_minute", 101)
    ledgers = [process(aws, clock) for _ in range(8)]
    for _ in range(5):
        ledgers[0].reserve("d", (limit,), ONE)
    ledgers[0].reshape("d", 4)

    def take(number: int) -> bool:
        try:
            ledgers[number % 8].reserve("d", (limit,), ONE)
        except QuotaDeniedError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(130))) == 96
    ledgers[3].reshape("d", 1)
    whole = process(aws, clock).look_at(["d"])["d"]
    assert whole.status(limit, ledgers[0].now_ms()).used == 101


def test_a_block_only_ever_moves_later(ledger: Ledger, clock: Clock) -> None:
    ledger.reserve("d", LIMITS, COSTS)
    now_ms = ledger.now_ms()
    ledger.block("d", now_ms + 9_000)
    ledger.block("d", now_ms + 4_000)
    with pytest.raises(QuotaDeniedError) as refused:
        ledger.reserve("d", LIMITS, COSTS)
    assert refused.value.denial.retry_after_ms == 9_000
    clock.seconds += 9
    ledger.reserve("d", LIMITS, COSTS)


def test_a_block_and_its_reason_reach_a_process_that_has_not_heard_of_it(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    ledger.reserve("d", LIMITS, COSTS)
    process(aws, clock).block("d", ledger.now_ms() + 5_000, BlockReason.MODEL_NOT_SERVED)
    with pytest.raises(QuotaDeniedError) as refused:
        ledger.reserve("d", LIMITS, COSTS)
    assert refused.value.denial.limit == "model_not_served"


def test_a_block_is_forgotten_on_an_operators_word(ledger: Ledger, clock: Clock) -> None:
    ledger.block("d", ledger.now_ms() + 60_000)
    ledger.unblock("d")
    clock.seconds += 1
    ledger.reserve("d", LIMITS, COSTS)


def test_a_model_is_suspected_for_one_tenant_and_refused_for_two(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    other = process(aws, clock)
    assert ledger.suspect("d", "physics") is False
    assert ledger.suspect("d", "physics") is False
    assert other.suspect("d", "physics") is False
    assert other.suspect("d", "chemistry") is True
    clock.seconds += 601
    assert process(aws, clock).suspect("d", "chemistry") is False


def test_limits_named_in_headers_correct_the_configured_ones(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    stale = process(aws, clock)
    stale.reserve("d", (REQUESTS,), ONE)
    reservation = ledger.reserve("d", (REQUESTS,), ONE)
    ledger.learn(reservation, Lesson({"requests_per_minute": 3}))
    before = item_of(aws, "d")
    ledger.learn(reservation, Lesson({"requests_per_minute": 3}))
    assert item_of(aws, "d") == before
    stale.reserve("d", (REQUESTS,), ONE)
    with pytest.raises(QuotaDeniedError):
        stale.reserve("d", (REQUESTS,), ONE)


def test_less_remaining_than_the_ledger_knows_of_is_taken_from_it(aws: Aws, ledger: Ledger) -> None:
    reservation = ledger.reserve("d", LIMITS, COSTS)
    lesson = Lesson(remaining={"requests_per_minute": 4, "tokens_per_minute": 500})
    ledger.learn(reservation, lesson)
    ledger.learn(reservation, lesson)
    assert used(aws, "d") == {"requests_per_minute": 6, "tokens_per_minute": 500}
    ledger.learn(reservation, Lesson(remaining={"requests_per_minute": 9}))
    assert used(aws, "d") == {"requests_per_minute": 6, "tokens_per_minute": 500}


def test_a_new_process_can_see_what_was_learned_before_it_reserves(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    ledger.settle(ledger.reserve("d", LIMITS, COSTS), {}, {"completion_tokens": 2_257.0})
    newcomer = process(aws, clock)
    newcomer.prefetch(["d", "never-used"])
    seen = newcomer.seen("d")
    assert seen is not None
    assert seen.notes == {"completion_tokens": 2_257}


def test_an_attribute_of_another_version_is_ignored(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        ledger.reserve("d", LIMITS, COSTS)
        item = item_of(aws, "d")
        new = {"y": {"S": "news"}, "rps.head": {"N": "1"}, "m.new": {"L": []}, "cq": {"NULL": True}, "w": {"S": "why"}}
        aws.dynamodb.put_item(TableName=aws.table("QUOTA_TABLE"), Item=item | new)
        clock.seconds += 70 * number
        ledger.look_at(["d"])
    assert used(aws, "d")["requests_per_minute"] == 1
    assert item_of(aws, "d")["y"] == {"S": "news"}


@pytest.mark.parametrize("off_s", [3, -3, 3_600, -3_600])
def test_a_wrong_clock_is_corrected_and_reported_and_locks_no_scope(
    aws: Aws, ledger: Ledger, clock: Clock, off_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    client = TrustingClient(dynamodb())
    client.clock = StillClock(KnownOffset(-off_s * 1000 - 20, -off_s * 1000 + 20))
    wrong = Ledger(aws.table("QUOTA_TABLE"), lambda: clock.seconds + off_s, client=client)
    limit = deployment_limit("requests_per_minute", 4)
    for _ in range(2):
        wrong.reserve("d", (limit,), ONE)
        ledger.reserve("d", (limit,), ONE)
        clock.seconds += 5
    for each in (wrong, ledger):
        with pytest.raises(QuotaDeniedError):
            each.reserve("d", (limit,), ONE)
    assert abs(int(item_of(aws, "d")["hm"]["N"]) - ROLLING_MINUTE.slice_at(ledger.now_ms())) <= 5
    assert "ClockCorrected" in capsys.readouterr().out


def test_a_clock_that_cannot_be_checked_moves_no_window_on(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    client = TrustingClient(dynamodb())
    client.clock = StillClock(None)
    unsure = Ledger(aws.table("QUOTA_TABLE"), clock, client=client)
    with pytest.raises(LedgerUnavailableError):
        unsure.reserve("d", LIMITS, COSTS)
    ledger.reserve("d", LIMITS, COSTS)
    unsure.reserve("d", LIMITS, COSTS)  # from the slice that the others are in
    clock.seconds += 2
    with pytest.raises(LedgerUnavailableError):
        unsure.reserve("d", LIMITS, COSTS)


def test_a_reservation_that_cannot_be_written_is_refused(tables: Mapping[str, str]) -> None:
    with pytest.raises(LedgerUnavailableError, match="ResourceNotFoundException"):
        Ledger("no-such-table").reserve("d", LIMITS, COSTS)


def test_an_alert_is_given_once_a_day_at_80_and_at_90_percent(
    aws: Aws, ledger: Ledger, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.seconds = (int(clock.seconds * 1000) // DAY_MS) * DAY_MS / 1000 + 3_600
    day = deployment_limit("requests_per_day", 10)
    other = process(aws, clock)

    def alerts() -> list[str]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "QuotaAlert" in line]
        return [line["percentage"] for line in lines]

    for number in range(7):
        (ledger, other)[number % 2].reserve("d", (day,), {"requests_per_day": 1})
    assert alerts() == []
    eighth = ledger.reserve("d", (day,), {"requests_per_day": 1})
    assert alerts() == ["80"]
    ledger.give_back(eighth)
    other.reserve("d", (day,), {"requests_per_day": 1})
    assert alerts() == []
    other.reserve("d", (day,), {"requests_per_day": 1})
    assert alerts() == ["90"]
    clock.seconds += 23.5 * 3_600  # the next day, most of it still counted
    ledger.reserve("d", (day,), {"requests_per_day": 1})
    assert alerts() == ["90"]


def test_an_operator_raises_a_month_and_the_next_begins_without(aws: Aws, ledger: Ledger, clock: Clock) -> None:
    budget = budget_limit(1_000)
    stale = process(aws, clock)
    stale.reserve("t", (budget,), {BUDGET: 900})
    ledger.add_to_month("t", budget, 500)
    stale.reserve("t", (budget,), {BUDGET: 600})
    clock.seconds += 2
    with pytest.raises(QuotaDeniedError):
        stale.reserve("t", (budget,), {BUDGET: 1})
    ledger.add_to_month("t", budget, 600)
    clock.seconds += 2
    stale.reserve("t", (budget,), {BUDGET: 100})
    clock.seconds = month_start_ms(month_at(int(clock.seconds * 1000)) + 1) / 1000
    with pytest.raises(QuotaDeniedError):
        ledger.reserve("t", (budget,), {BUDGET: 1_001})
    ledger.reserve("t", (budget,), {BUDGET: 1_000})


def test_an_operator_begins_a_month_anew_and_what_was_reserved_before_stays_out_of_it(
    aws: Aws, ledger: Ledger, clock: Clock
) -> None:
    budget = budget_limit(1_000)
    before = ledger.reserve("t", (budget,), {BUDGET: 900})
    process(aws, clock).restart_month("t", budget)
    ledger.settle(before, {BUDGET: 100})
    assert used(aws, "t") == {BUDGET: 0}
    ledger.reserve("t", (budget,), {BUDGET: 1_000})
