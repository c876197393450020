"""Many processes on one scope, their steps in any order, with answers that are lost and writes that arrive twice.

The reference is the provider: what reaches it in any stretch of a limit's period is never more than the capacity.
"""

import heapq
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.quota.limits import BUDGET, Denial, budget_limit, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.reserving import UndecidedError
from sluice.quota.settlement import Usage
from sluice.quota.shards import Layout
from sluice.quota.steps import Flow, Pause, Read, Write
from sluice.quota.taking import Demand
from sluice.quota.windows import DAY_MS, MINUTE_MS, ROLLING_MINUTE
from tests.examples import examples
from tests.quota_processes import Process, World, most_in_any_stretch

NAMES = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day")
# Together no more than the margin: how far clocks lag, and how long a request is under way.
MOST_LAG_MS, MOST_DELAY_MS = 400, 600
assert ROLLING_MINUTE.margin_ms >= MOST_LAG_MS + MOST_DELAY_MS


class LostError(Exception):
    """The answer to a write that must not be repeated never came."""


@dataclass
class Schedule:
    """What happens in some minutes, as a seed has it."""

    seed: int
    requests: int = 150
    reshapes: tuple[int, ...] = ()
    capacities: tuple[int, ...] = (15, 6_000, 40, 14_000)
    budget: int | None = None
    arrivals: list[tuple[float, int, int]] = field(default_factory=list)
    spent: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.world = World()
        self.processes = [Process(self.world, self.random.randrange(MOST_LAG_MS), seed=number) for number in range(5)]

    def run(self) -> None:
        """Begin requests at random moments, and take their steps as their answers come."""
        random = self.random
        queue: list[tuple[int, int, Iterator[None]]] = []
        at_ms = self.world.now_ms
        for number in range(self.requests):
            at_ms += random.choices((0, 20, 400, 2_500, 15_000), (20, 20, 20, 20, 1))[0]
            queue.append((at_ms, number, self._request()))
        for number, count in enumerate(self.reshapes, self.requests):
            queue.append((random.randrange(self.world.now_ms, at_ms), number, self._reshape(count)))
        heapq.heapify(queue)
        while queue:
            at_ms, number, each = heapq.heappop(queue)
            self.world.now_ms = at_ms
            try:
                next(each)
            except StopIteration:
                continue
            # Mostly answers come soon; some take longer, and some processes are frozen meanwhile.
            pause_ms = random.choices((1, 3, 8, 40, 700, 3_000, 62_000), (40, 30, 20, 10, 2, 1, 0.5))[0]
            heapq.heappush(queue, (at_ms + pause_ms, number, each))

    def _request(self) -> Iterator[None]:
        random = self.random
        process = random.choice(self.processes)
        tokens = random.randint(1, 900)
        if self.budget is None:
            limits = tuple(
                deployment_limit(name, capacity) for name, capacity in zip(NAMES, self.capacities, strict=True)
            )
            costs = dict(zip(NAMES, (1, tokens, 1, tokens), strict=True))
        else:
            limits, costs = (budget_limit(self.budget),), {BUDGET: tokens}
        for _ in range(3):
            try:
                taken = yield from self._carry_out(process.reserver.reserve("d", Demand(limits, costs)))
            except (LostError, UndecidedError):
                return
            if isinstance(taken, Denial):
                return
            assert isinstance(taken, Reservation)
            if taken.is_fresh(process.moment()):
                break
            yield from self._settle(process, taken, dict.fromkeys(taken.taken, 0))
        else:
            return
        used = random.randint(0, tokens)
        self.arrivals.append((self.world.now_ms + random.randrange(MOST_DELAY_MS), 1, used))
        self.spent += used
        yield
        if random.random() < 0.1:
            return  # the process dies
        units = {BUDGET: used} if self.budget is not None else {NAMES[1]: used, NAMES[3]: used}
        yield from self._settle(process, taken, units)

    def _settle(self, process: Process, taken: Reservation, units: dict[str, int]) -> Iterator[None]:
        try:
            yield from self._carry_out(process.settler.settle(taken, Usage(units, {})))
        except LostError:
            return

    def _reshape(self, count: int) -> Iterator[None]:
        process = self.random.choice(self.processes)
        dies_after = self.random.choice((1, 2, 3, 5, 8, 100))
        for steps, _ in enumerate(self._carry_out(process.reserver.reshape("d", count))):
            if steps >= dies_after:
                return
            yield

    def _carry_out[T](self, flow: Flow[T]) -> Generator[None, None, T]:
        answer: object = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            yield
            answer = self._answer(step)
            yield

    def _answer(self, step: Read | Write | Pause) -> object:
        random = self.random
        if isinstance(step, Write) and random.random() < 0.1:
            arrives = random.random() < 0.5
            if arrives:
                self.world.carry_out(step)  # and its answer is lost
            if not step.may_repeat:
                raise LostError
        return self.world.carry_out(step)


def check(schedule: Schedule) -> None:
    schedule.run()
    schedule.world.check()
    for column, (minute, day) in ((1, (0, 2)), (2, (1, 3))):
        taken = [(at_ms, (requests, tokens)[column - 1]) for at_ms, requests, tokens in schedule.arrivals]
        assert most_in_any_stretch(taken, MINUTE_MS) <= schedule.capacities[minute]
        assert most_in_any_stretch(taken, DAY_MS) <= schedule.capacities[day]


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32))
def test_no_order_of_steps_lets_more_through_than_the_capacity(seed: int) -> None:
    check(Schedule(seed))


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32), st.lists(st.sampled_from([1, 2, 3, 4, 8]), min_size=1, max_size=4))
def test_changing_the_number_of_shards_lets_nothing_more_through(seed: int, counts: list[int]) -> None:
    check(Schedule(seed, reshapes=tuple(counts)))


@settings(max_examples=examples(40))
@given(st.integers(0, 2**32), st.lists(st.sampled_from([1, 2, 4]), max_size=3))
def test_a_budget_is_never_passed(seed: int, counts: list[int]) -> None:
    schedule = Schedule(seed, reshapes=tuple(counts), budget=8_000)
    schedule.run()
    assert schedule.spent <= 8_000


def test_what_was_interrupted_is_finished_by_the_next_request() -> None:
    for steps in range(12):
        world = World()
        first, second = Process(world), Process(world)
        limits = (deployment_limit("requests_per_minute", 10),)
        for _ in range(4):
            first.reserve("d", limits, {"requests_per_minute": 1})
        flow = first.reserver.reshape("d", 4)
        answer: object = None
        try:
            for _ in range(steps):
                answer = world.carry_out(flow.send(answer))
        except StopIteration:
            pass
        taken = [second.reserve("d", limits, {"requests_per_minute": 1}) for _ in range(20)]
        assert sum(isinstance(each, Reservation) for each in taken) == 6
        assert world.item("d").total("r") == 10
        world.check()
        is_closed = "s" in world.dynamodb.items["d"]
        assert second.memory.of("d").layout == (Layout(1, 4) if is_closed else Layout())
