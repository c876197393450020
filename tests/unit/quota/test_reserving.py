"""What a reservation asks of DynamoDB, in requests."""

from sluice.quota.limits import BUDGET, Denial, budget_limit, caller_limits, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.settlement import Usage
from sluice.quota.shards import Layout
from sluice.quota.steps import Flow, Write
from sluice.quota.taking import Demand
from tests.fakes.dynamodb import Metered
from tests.quota_processes import Process, World

LIMITS = caller_limits(10, 1_000)
ONE = {"requests_per_minute": 1, "requests_per_day": 1}
MINUTE = (deployment_limit("requests_per_minute", 10),)
A_REQUEST = {"requests_per_minute": 1}


def metered(world: World) -> tuple[int, int]:
    """Writes and reads since the last time."""
    found, world.dynamodb.metered = world.dynamodb.metered, Metered()
    return found.writes, found.reads


def test_a_request_in_the_same_slice_is_one_write_even_of_a_process_that_knows_nothing() -> None:
    world = World()
    Process(world).reserve("c", LIMITS, ONE)
    metered(world)
    Process(world).reserve("c", LIMITS, ONE)
    assert metered(world) == (1, 0)


def test_a_scope_used_for_the_first_time_takes_two_writes() -> None:
    world = World()
    Process(world).reserve("c", LIMITS, ONE)
    assert metered(world) == (2, 0)


def test_a_refused_scope_costs_no_write_and_one_read_a_second_until_its_retry_after() -> None:
    world = World()
    process = Process(world)
    for _ in range(10):
        process.reserve("c", LIMITS, ONE)
    first = process.reserve("c", LIMITS, ONE)
    assert isinstance(first, Denial)
    assert first.retry_after_ms is not None
    free_at_ms = world.now_ms + first.retry_after_ms
    metered(world)
    seconds = 0
    while world.now_ms + 250 < free_at_ms:
        world.now_ms += 250
        seconds += 1
        for _ in range(40):
            refused = process.reserve("c", LIMITS, ONE)
            assert refused == Denial("requests_per_minute", free_at_ms - world.now_ms)
    writes, reads = metered(world)
    assert writes == 0
    assert reads <= seconds / 4
    world.now_ms = free_at_ms
    assert isinstance(process.reserve("c", LIMITS, ONE), Reservation)


def test_a_blocked_scope_costs_no_write_and_one_read_a_second() -> None:
    world = World()
    process = Process(world)
    process.reserve("d", MINUTE, A_REQUEST)
    world.dynamodb.items["d"]["b"] = {"N": str(world.now_ms + 30_000)}
    process.reserve("d", MINUTE, A_REQUEST)
    metered(world)
    for _ in range(100):
        world.now_ms += 200
        assert isinstance(process.reserve("d", MINUTE, A_REQUEST), Denial)
    writes, reads = metered(world)
    assert writes == 0
    assert reads <= 20


def test_who_asks_for_less_than_is_free_is_not_refused_for_what_another_asked() -> None:
    world = World()
    process = Process(world)
    tokens = (deployment_limit("tokens_per_minute", 1_000),)
    process.reserve("d", tokens, {"tokens_per_minute": 900})
    assert isinstance(process.reserve("d", tokens, {"tokens_per_minute": 101}), Denial)
    assert isinstance(process.reserve("d", tokens, {"tokens_per_minute": 100}), Reservation)


def test_a_seldom_used_scope_is_read_before_it_is_written_to_once() -> None:
    world = World()
    first, second = Process(world), Process(world)
    for each in (first, second):
        each.reserve("d", MINUTE, A_REQUEST)
    writes = 0
    for number in range(20):
        world.now_ms += 7_700
        metered(world)
        (first, second)[number % 2].reserve("d", MINUTE, A_REQUEST)
        writes += metered(world)[0]
    assert writes <= 22


def test_of_shards_one_is_written_to_and_the_others_are_read_when_it_refuses() -> None:
    world = World()
    process = Process(world)
    limits = (deployment_limit("requests_per_minute", 40),)
    process.reserve("d", limits, A_REQUEST)
    world.run(process.reserver.reshape("d", 4))
    metered(world)
    process.reserve("d", limits, A_REQUEST)
    assert metered(world)[0] <= 2  # a new generation's windows may have to be moved on
    taken = 2
    while isinstance(process.reserve("d", limits, A_REQUEST), Reservation):
        taken += 1
    assert taken == 40
    metered(world)
    world.now_ms += 1_000
    process.reserve("d", limits, A_REQUEST)
    assert metered(world) == (0, 4)
    process.reserve("d", limits, A_REQUEST)
    assert metered(world) == (0, 0)


def test_a_cost_larger_than_a_shards_share_brings_the_shards_together() -> None:
    world = World()
    process = Process(world)
    tokens = (deployment_limit("tokens_per_minute", 1_000),)
    process.reserve("d", tokens, {"tokens_per_minute": 10})
    world.run(process.reserver.reshape("d", 4))
    large = Demand(tokens, {"tokens_per_minute": 600})
    assert world.run(process.reserver.reserve("d", large)) == Denial("tokens_per_minute", None)
    world.run(process.reserver.spread("d", large))
    assert isinstance(world.run(process.reserver.reserve("d", large)), Denial)  # it was changed just now
    world.now_ms += 61_000
    world.run(process.reserver.reserve("d", Demand(tokens, {"tokens_per_minute": 1})))
    world.run(process.reserver.spread("d", large))
    assert isinstance(world.run(process.reserver.reserve("d", large)), Reservation)
    assert process.memory.of("d").layout == Layout(2, 1)


def requested(world: World, process: Process, limit: int, every_ms: int) -> int:
    """How many shards a key has after three seconds of so many requests."""
    demand = Demand(caller_limits(limit, 10**9), ONE)
    for _ in range(3_000 // every_ms):
        world.now_ms += every_ms
        world.run(process.reserver.spread("c", demand))
        world.run(process.reserver.reserve("c", demand))
    assert world.item("c").total("r") == 3_000 // every_ms
    return process.memory.of("c").layout.count


def test_a_crowded_key_is_spread_as_far_as_its_limit_may_need() -> None:
    world = World()
    assert requested(world, Process(world), 60_000, 1) == 4


def test_a_large_limit_that_is_not_used_is_not_spread() -> None:
    world = World()
    assert requested(world, Process(world), 10**9, 100) == 1


def test_a_budget_is_spread_once_it_is_taken_from_too_often_for_one_item() -> None:
    world = World()
    process = Process(world)
    demand = Demand((budget_limit(10**12),), {BUDGET: 10**6})
    for _ in range(3_000):
        world.now_ms += 2
        world.run(process.reserver.spread("t", demand))
        world.run(process.reserver.reserve("t", demand))
    assert process.memory.of("t").layout.count >= 2
    assert world.item("t").total("u") == 3_000 * 10**6


def test_a_budget_for_few_reservations_is_not_spread() -> None:
    world = World()
    process = Process(world)
    demand = Demand((budget_limit(10**9),), {BUDGET: 10**7})
    for _ in range(90):
        world.now_ms += 1
        world.run(process.reserver.spread("t", demand))
        world.run(process.reserver.reserve("t", demand))
    assert process.memory.of("t").layout.count == 1


def test_takes_and_increases_may_be_sent_again_and_what_is_given_back_may_not() -> None:
    world = World()
    process = Process(world)
    tokens = (deployment_limit("tokens_per_minute", 1_000),)

    def repeats(units: int) -> list[bool]:
        taking = process.reserver.reserve("d", Demand(tokens, {"tokens_per_minute": 100}))
        sent, reservation = _sent(world, taking)
        assert all(sent)
        assert isinstance(reservation, Reservation)
        return _sent(world, process.settler.settle(reservation, Usage({"tokens_per_minute": units}, {})))[0]

    assert repeats(120) == [True]
    assert repeats(80) == [False]
    assert repeats(100) == []  # nothing changes: no write


def _sent[T](world: World, flow: Flow[T]) -> tuple[list[bool], T]:
    """Whether each write of a flow may be repeated, and what the flow returns."""
    sent: list[bool] = []
    answer: object = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return sent, result
        if isinstance(step, Write):
            sent.append(step.may_repeat)
        answer = world.carry_out(step)


def test_who_is_alone_on_a_scope_moves_it_on_from_memory_without_a_read() -> None:
    world = World()
    process = Process(world)
    process.reserve("d", MINUTE, A_REQUEST)
    metered(world)
    for _ in range(40):
        world.now_ms += 6_300
        process.reserve("d", MINUTE, A_REQUEST)
    assert metered(world) == (40, 0)
