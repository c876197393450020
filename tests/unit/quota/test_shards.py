"""How a scope's counters are dealt out, and that nothing is lost or found when their number changes."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.quota.item import CLOSED, QuotaItem
from sluice.quota.limits import BUDGET, budget_limit, deployment_limit, share
from sluice.quota.marks import restarting
from sluice.quota.reservation import Reservation
from sluice.quota.settling import everywhere
from sluice.quota.shards import Layout, Shard, closing, merged, next_generation
from sluice.quota.steps import Write
from sluice.quota.viewing import prefetch
from sluice.quota.windows import month_at, month_start_ms
from tests.quota_processes import START_MS, Process, World

LIMIT = deployment_limit("tokens_per_minute", 0)


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_shares_add_up_to_the_capacity(capacity: int, count: int) -> None:
    assert sum(share(LIMIT, capacity, number, count) for number in range(count)) == capacity


@given(st.integers(0, 10**4), st.integers(0, 10**4), st.integers(1, 64))
def test_a_part_of_what_is_used_fits_the_part_of_what_may_be_used(used: int, more: int, count: int) -> None:
    for number in range(count):
        assert share(LIMIT, used, number, count) <= share(LIMIT, used + more, number, count)


@given(
    st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 40)), min_size=1, max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_all_slices_and_totals_survive_any_number_of_changes(steps: list[tuple[int, int]], counts: list[int]) -> None:
    world = World()
    process = Process(world)
    limits = (deployment_limit("requests_per_minute", 10**5), deployment_limit("tokens_per_minute", 10**5))
    for gap_ms, tokens in steps:
        world.now_ms += gap_ms
        process.reserve("d", limits, {"requests_per_minute": 1, "tokens_per_minute": tokens})
    before = world.item("d")
    for count in counts:
        world.run(process.reserver.reshape("d", count))
        world.check()
        after = world.item("d")
        assert {name: after.number(name) for name in ("hm", "r", "t")} == {
            name: before.number(name) for name in ("hm", "r", "t")
        }
        assert [after.total(code) for code in "rt"] == [before.total(code) for code in "rt"]
        for shard in process.memory.of("d").layout.shards:
            item = QuotaItem(world.dynamodb.items[shard.key("d")])
            assert item.total("t") == share(limits[1], before.total("t"), shard.number, shard.count)


def test_only_the_latest_month_of_the_shards_counts() -> None:
    world = World()
    process = Process(world)
    limits = (budget_limit(10_000),)
    process.reserve("t", limits, {BUDGET: 400})
    world.run(process.reserver.reshape("t", 4))
    world.now_ms = month_start_ms(month_at(START_MS) + 1)
    process.reserve("t", limits, {BUDGET: 70})
    world.run(process.reserver.reshape("t", 2))
    assert world.item("t").total("u") == 70


def test_what_was_taken_from_a_closed_item_is_settled_where_it_went() -> None:
    world = World()
    process, other = Process(world), Process(world)
    limits = (budget_limit(10_000),)
    low, high = (process.reserve("t", limits, {BUDGET: 400}) for _ in range(2))
    world.run(other.reserver.reshape("t", 4))
    assert isinstance(low, Reservation)
    assert isinstance(high, Reservation)
    process.settle(low, {BUDGET: 300})
    process.settle(high, {BUDGET: 500})
    assert world.item("t").total("u") == 800


def test_more_tokens_than_were_reserved_are_counted_where_they_went_and_fewer_stay() -> None:
    world = World()
    process, other = Process(world), Process(world)
    limits = (deployment_limit("tokens_per_minute", 10_000),)
    low, high = (process.reserve("d", limits, {"tokens_per_minute": 400}) for _ in range(2))
    world.run(other.reserver.reshape("d", 4))
    assert isinstance(low, Reservation)
    assert isinstance(high, Reservation)
    process.settle(low, {"tokens_per_minute": 300})
    process.settle(high, {"tokens_per_minute": 500})
    assert world.item("d").total("t") == 900
    world.check()


def test_a_closed_item_is_neither_taken_from_nor_settled_nor_closed_again() -> None:
    world = World()
    process = Process(world)
    limits = (deployment_limit("requests_per_minute", 10),)
    reservation = process.reserve("d", limits, {"requests_per_minute": 1})
    assert isinstance(reservation, Reservation)
    update = closing(QuotaItem(world.dynamodb.items["d"]), Shard(), 2, world.now_ms)
    world.dynamodb.call("UpdateItem", {"Key": {"scope": {"S": "d"}}, **update.arguments()})
    closed = world.dynamodb.items["d"]
    Process(world).reserve("d", limits, {"requests_per_minute": 1})
    process.settle(reservation, {"requests_per_minute": 0})
    root = {name: value for name, value in world.dynamodb.items["d"].items() if name != "S"}
    assert root == closed
    assert closed["hm"] == {"N": str(CLOSED)}


def test_what_the_next_generation_holds_depends_on_nothing_but_the_closed_items() -> None:
    world = World()
    process = Process(world)
    for _ in range(5):
        process.reserve("d", (deployment_limit("requests_per_minute", 100),), {"requests_per_minute": 1})
        world.now_ms += 1_300
    item = QuotaItem(
        world.dynamodb.items["d"] | {"b": {"N": "7"}, "cr": {"N": "90"}, "g": {"N": "2"}, "ns": {"N": "0.5"}}
    )
    made = [[update.arguments() for update in next_generation([item], 3, START_MS)] for _ in range(2)]
    assert made[0] == made[1]
    assert merged([item, QuotaItem()]).notes == {"success_rate": 0.5}
    assert Layout.from_number(Layout(3, 8).number) == Layout(3, 8)


def test_the_scopes_own_item_is_kept_for_ever_once_it_only_says_where_to_look() -> None:
    world = World()
    process = Process(world)
    limits = (deployment_limit("requests_per_minute", 100),)
    process.reserve("d", limits, {"requests_per_minute": 1})
    assert "expires_at" in world.dynamodb.items["d"]
    world.run(process.reserver.reshape("d", 2))
    assert "expires_at" not in world.dynamodb.items["d"]
    assert all("expires_at" in world.dynamodb.items[shard.key("d")] for shard in Layout(1, 2).shards)


def test_shards_that_have_expired_begin_with_nothing() -> None:
    world = World()
    process = Process(world)
    limits = (deployment_limit("requests_per_minute", 8),)
    for _ in range(8):
        process.reserve("d", limits, {"requests_per_minute": 1})
    world.run(process.reserver.reshape("d", 2))
    for shard in Layout(1, 2).shards:
        del world.dynamodb.items[shard.key("d")]
    world.now_ms += 41 * 86_400_000
    fresh = Process(world)
    taken = [fresh.reserve("d", limits, {"requests_per_minute": 1}) for _ in range(10)]
    assert sum(isinstance(each, Reservation) for each in taken) == 8


def test_a_month_that_is_begun_anew_is_the_same_for_all_shards() -> None:
    world = World()
    process = Process(world)
    limit = budget_limit(100_000)
    process.reserve("t", (limit,), {BUDGET: 400})
    world.run(process.reserver.reshape("t", 4))
    world.now_ms = month_start_ms(month_at(START_MS) + 1)
    process.reserve("t", (limit,), {BUDGET: 70})  # moves one of the four on
    restart = everywhere(process.memory, "t", lambda item: restarting(limit, item, world.now_ms), world.now_ms)
    world.run(restart)
    assert world.item("t").total("u") == 0
    for _ in range(20):
        assert isinstance(process.reserve("t", (limit,), {BUDGET: 5}), Reservation)
    assert world.item("t").total("u") == 100
    world.run(process.reserver.reshape("t", 1))
    assert world.item("t").total("u") == 100


def test_a_process_that_only_looks_finds_the_shards_and_writes_nothing() -> None:
    world = World()
    process, looking = Process(world), Process(world)
    limit = deployment_limit("requests_per_minute", 100)
    for _ in range(5):
        process.reserve("d", (limit,), {"requests_per_minute": 1})
    flow = process.reserver.reshape("d", 4)
    answer: object = None
    written = 0
    while True:
        before = dict(world.dynamodb.items)
        assert world.item("d").total("r") == 5
        world.run(prefetch(looking.memory, ["d"], world.now_ms, world.now_ms + 1))
        assert world.dynamodb.items == before
        try:
            step = flow.send(answer)
        except StopIteration:
            break
        written += isinstance(step, Write)
        answer = world.carry_out(step)
    assert written == 6
    assert looking.memory.of("d").layout == Layout(1, 4)
