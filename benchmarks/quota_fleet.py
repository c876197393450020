"""A fleet of ledgers on one DynamoDB, in virtual time: the product's own flows and expressions.

Updates of one item are atomic; a write costs a unit for each KB of the larger of its sizes, a failed condition as well;
an item takes 1,000 units a second, then it throttles. A round trip takes 5 ms in the median, with a tail. Each instance
serves one request at a time. The provider counts in every rolling minute and every minute of the clock.
"""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from sluice.quota.item import head_name, packed, slot_name
from sluice.quota.limits import Denial, Limit
from sluice.quota.reservation import Reservation
from sluice.quota.reserving import UndecidedError
from sluice.quota.settlement import Usage
from sluice.quota.shards import Layout, Shard
from sluice.quota.steps import Pause, Read, Write
from sluice.quota.taking import Demand
from sluice.quota.windows import MINUTE_MS, RollingWindow
from sluice.storage.update import Update
from tests.fakes.dynamodb import MemoryDynamoDB
from tests.quota_processes import START_MS, Process, World

_ITEM_UNITS_PER_S = 1_000
_BURST_S = 1.0
# Of the storage client, and of the table's own for what must not be repeated.
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.05

type _Costs = Callable[[Random], dict[str, int]]
type _Process = Generator[Read | Write | Pause | float, Any]


class ThrottledError(Exception):
    """An item was written more often than it can be."""


class LostError(Exception):
    """A request was throttled until its client gave up."""


class ThrottlingDynamoDB(MemoryDynamoDB):
    """DynamoDB whose items take so many units a second; of unused ones, a second's are kept."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self._now_s = now_s
        self._buckets: dict[str, tuple[float, float]] = {}
        self.throttled = 0

    def call(
        self, operation: str, request: Mapping[str, Any], *, attempts: int = 3, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """As MemoryDynamoDB. Raises ThrottledError."""
        if operation != "UpdateItem":
            return super().call(operation, request)
        key, now_s = request["Key"]["scope"]["S"], self._now_s()
        units, filled_s = self._buckets.get(key, (_BURST_S * _ITEM_UNITS_PER_S, now_s))
        units = min(_BURST_S * _ITEM_UNITS_PER_S, units + (now_s - filled_s) * _ITEM_UNITS_PER_S)
        if units < 1:
            self._buckets[key] = units, now_s
            self.throttled += 1
            raise ThrottledError(key)
        before = self.metered.write_units
        try:
            return super().call(operation, request)
        finally:
            self._buckets[key] = units - (self.metered.write_units - before), now_s


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request takes from: `costs` draws what is reserved, `settled` are the limits that are corrected after."""

    name: str
    limits: tuple[Limit, ...]
    costs: _Costs
    settled: tuple[str, ...] = ()
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reshaping:
    """Somebody changes the number of the first scope's shards, and dies after so many steps, or not (None)."""

    at_s: float
    shards: int
    dies_after: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a fleet is to do: so many requests a second, each from all `scopes` in turn.

    The first `warm_s` are not measured. `full_rate` fills the slots of all windows beforehand, as after a period of so
    many requests a second. `crashing` is the part of requests whose process dies before it settles.
    """

    scopes: tuple[Scope, ...]
    rate: float
    seconds: float
    warm_s: float = 0.0
    shards: int = 1
    is_spreading: bool = False
    instances: int = 200
    full_rate: float = 0.0
    skew_ms: float = 5.0
    provider_s: tuple[float, float] = (0.5, 3.0)
    crashing: float = 0.0
    reshapings: tuple[Reshaping, ...] = ()
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: by admitted request where nothing else is said, and what the provider counted."""

    admitted_per_s: float
    denied_per_s: float
    writes: float
    failed: float
    reads: float
    units: float
    largest_bytes: int
    requests_per_s_an_item: float
    median_ms: float
    p99_ms: float
    throttled: float
    unavailable: int
    shards: int
    used: float
    overshoot: int


class Fleet:
    """Runs a Load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._random = Random(load.seed)
        self._now_s = 0.0
        self.dynamodb = ThrottlingDynamoDB(lambda: self._now_s)
        self.world = World(dynamodb=self.dynamodb)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._made = 0
        self._free = deque(self._instance() for _ in range(load.instances))
        self._count: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._arrivals: list[tuple[float, int, int, int]] = []  # when, requests, tokens, billionths of a dollar
        self._prepare()

    def run(self) -> Figures:
        """All of it, and the figures."""
        load = self._load
        self._push(self._random.expovariate(load.rate), self._arrive)
        for each in load.reshapings:
            self._push(each.at_s, partial(self._begin_reshaping, each))
        is_measuring = False
        while self._queue:
            self._now_s, _, what = heapq.heappop(self._queue)
            self.world.now_ms = START_MS + int(self._now_s * 1000)
            if self._now_s >= load.warm_s and not is_measuring:
                is_measuring = True
                self._begin_measuring()
            if self._now_s >= load.warm_s + load.seconds:
                break
            what()
        self.world.check()
        return self._figures()

    def _instance(self) -> Process:
        self._made += 1
        return Process(self.world, round(self._random.gauss(0, self._load.skew_ms)), seed=self._made)

    def _push(self, at_s: float, what: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (at_s, self._sequence, what))

    def _arrive(self) -> None:
        self._push(self._now_s + self._random.expovariate(self._load.rate), self._arrive)
        if self._free:  # any of those that wait
            self._free.rotate(self._random.randrange(len(self._free)))
            process = self._free.popleft()
        else:
            process = self._instance()
        self._go_on(self._request(process), None)

    def _go_on(self, process: _Process, answer: object) -> None:
        try:
            step = process.send(answer)
        except StopIteration:
            return
        self._take_step(process, step)

    def _take_step(self, process: _Process, step: Read | Write | Pause | float) -> None:
        match step:
            case float():
                self._push(self._now_s + step, lambda: self._go_on(process, None))
            case Pause():
                pause_s = self._random.uniform(0, step.longest_s)
                self._push(self._now_s + pause_s, lambda: self._go_on(process, None))
            case _:
                self._push(self._now_s + self._half_trip_s(), lambda: self._evaluate(process, step, 1))

    def _evaluate(self, process: _Process, step: Read | Write, attempt: int) -> None:
        try:
            answer = self.world.carry_out(step)
        except ThrottledError as error:
            if attempt < _ATTEMPTS:
                pause_s = 2 * self._half_trip_s() + self._random.uniform(0, _FIRST_PAUSE_S * 2 ** (attempt - 1))
                self._push(self._now_s + pause_s, lambda: self._evaluate(process, step, attempt + 1))
            else:
                self._push(self._now_s + self._half_trip_s(), partial(self._fail, process, str(error)))
            return
        self._push(self._now_s + self._half_trip_s(), lambda: self._go_on(process, answer))

    def _fail(self, process: _Process, cause: str) -> None:
        try:
            step = process.throw(LostError(cause))
        except (StopIteration, LostError):
            return
        self._take_step(process, step)

    def _half_trip_s(self) -> float:
        """Half of a round trip: 2.5 ms in the median; one in a hundred takes several times as long."""
        seconds = 0.0025 * math.exp(self._random.gauss(0, 0.3))
        return seconds * self._random.uniform(3, 15) if self._random.random() < 0.01 else seconds

    def _request(self, process: Process) -> _Process:
        """One request: reserve from all scopes, reach the provider if that was in time, settle."""
        begun_s = self._now_s
        try:
            taken = yield from self._reserve(process)
        except (LostError, UndecidedError):
            self._count["unavailable"] += 1
            taken = None
        if taken is None:
            self._free.append(process)
            return
        self._latencies_ms.append((self._now_s - begun_s) * 1000)
        self._count["admitted"] += 1
        used = self._used(taken)
        delay_s = min(0.9, 0.03 * math.exp(self._random.gauss(0, 0.8)))
        tokens, nanousd = used.get("tokens_per_minute", 0), used.get("nanousd_per_month", 0)
        self._arrivals.append((self._now_s + delay_s, 1, tokens, nanousd))
        yield self._random.uniform(*self._load.provider_s)
        if self._random.random() < self._load.crashing:
            self._free.append(self._instance())
            return
        for scope, reservation in zip(self._load.scopes, taken, strict=True):
            if scope.settled:
                usage = Usage({name: used[name] for name in scope.settled}, dict(scope.notes))
                try:
                    yield from process.settler.settle(reservation, usage)
                except LostError:
                    self._count["unsettled"] += 1
        self._free.append(process)

    def _reserve(self, process: Process) -> Generator[Any, Any, list[Reservation] | None]:
        """Reservations from all scopes, the last of which is still fresh; None if one is denied."""
        taken: list[Reservation] = []
        for scope in self._load.scopes:
            demand = Demand(scope.limits, scope.costs(self._random))
            if self._load.is_spreading:
                yield from process.reserver.spread(scope.name, demand)
            outcome: Reservation | Denial
            for _ in range(5):
                outcome = yield from process.reserver.reserve(scope.name, demand)
                if isinstance(outcome, Denial) or outcome.is_fresh(process.moment()):
                    break
                yield from process.settler.settle(outcome, Usage(dict.fromkeys(outcome.taken, 0), {}))
            if isinstance(outcome, Denial):
                self._count["denied"] += 1
                for each in taken:
                    yield from process.settler.settle(each, Usage(dict.fromkeys(each.taken, 0), {}))
                return None
            taken.append(outcome)
        return taken

    def _used(self, taken: list[Reservation]) -> dict[str, int]:
        """What the request turns out to use, by limit."""
        share = self._random.uniform(0.3, 0.9)
        used = {}
        for scope, reservation in zip(self._load.scopes, taken, strict=True):
            for name, (_, reserved) in reservation.taken.items():
                used[name] = int(reserved * share) if name in scope.settled else reserved
        return used

    def _begin_reshaping(self, change: Reshaping) -> None:
        self._go_on(self._reshape(change), None)

    def _reshape(self, change: Reshaping) -> _Process:
        flow = self._instance().reserver.reshape(self._load.scopes[0].name, change.shards)
        answer: object = None
        steps = 0
        while change.dies_after is None or steps < change.dies_after:
            try:
                step = flow.send(answer)
            except StopIteration:
                return
            answer = yield step
            steps += 1

    def _prepare(self) -> None:
        """Items as they are when the load begins."""
        layout = Layout() if self._load.shards == 1 else Layout(1, self._load.shards)
        for scope in self._load.scopes:
            if self._load.full_rate:
                for shard in layout.shards:
                    self._fill(scope, shard)
            if layout.generation:
                root = Update()
                for head in ("hm", "hd", "hD", "hM"):
                    root.set(head, 10**11)
                root.set("S", layout.number)
                self.world.carry_out(Write(scope.name, root))
                if not self._load.full_rate:
                    for shard in layout.shards:
                        self._fill(scope, shard)
        self.dynamodb.metered = type(self.dynamodb.metered)()

    def _fill(self, scope: Scope, shard: Shard) -> None:
        """Slots as after a period of `full_rate` requests a second, so that items have their full size."""
        update = Update()
        totals: Counter[str] = Counter()
        for window in dict.fromkeys(limit.window for limit in scope.limits):
            head = window.slice_at(START_MS)
            update.set(head_name(window), head)
            if not isinstance(window, RollingWindow):
                continue
            per_slice = self._load.full_rate * window.slice_ms / 1000 / shard.count
            for index in range(window.oldest_live(head), head + 1) if per_slice else ():
                costs = scope.costs(self._random)
                amounts = {
                    limit.code: max(1, int(per_slice * costs[limit.name] * self._random.uniform(0.8, 1.2)))
                    for limit in scope.limits
                    if limit.window == window
                }
                update.set(slot_name(window, index), packed(window, amounts))
                totals.update(amounts)
        for limit in scope.limits:
            update.set(limit.code, totals[limit.code])
        self.world.carry_out(Write(shard.key(scope.name), update))

    def _begin_measuring(self) -> None:
        self.dynamodb.metered = type(self.dynamodb.metered)()
        self.dynamodb.throttled = 0
        self._count.clear()
        self._latencies_ms.clear()

    def _figures(self) -> Figures:
        metered, seconds = self.dynamodb.metered, self._load.seconds
        admitted = max(1, self._count["admitted"])
        latencies = sorted(self._latencies_ms) or [0.0]
        shards = self._shards()
        overshoot, used = self._provider()
        return Figures(
            admitted_per_s=self._count["admitted"] / seconds,
            denied_per_s=self._count["denied"] / seconds,
            writes=metered.writes / admitted,
            failed=metered.failed / admitted,
            reads=metered.reads / admitted,
            units=metered.write_units / admitted,
            largest_bytes=metered.largest_bytes,
            requests_per_s_an_item=_ITEM_UNITS_PER_S * admitted / max(1, metered.write_units),
            median_ms=latencies[len(latencies) // 2],
            p99_ms=latencies[int(len(latencies) * 0.99)],
            throttled=self.dynamodb.throttled / admitted,
            unavailable=self._count["unavailable"],
            shards=shards,
            used=used,
            overshoot=overshoot,
        )

    def _shards(self) -> int:
        root = self.dynamodb.items.get(self._load.scopes[0].name, {})
        return Layout.from_number(int(root["S"]["N"])).count if "S" in root else 1

    def _provider(self) -> tuple[int, float]:
        """The most that any minute, or the month, had too much, and how much of the scarcest limit was used."""
        overshoot, used = 0, 0.0
        begin_s, end_s = self._load.warm_s, self._load.warm_s + self._load.seconds
        for column, name in ((1, "requests_per_minute"), (2, "tokens_per_minute"), (3, "nanousd_per_month")):
            capacity = min(
                (limit.capacity for scope in self._load.scopes for limit in scope.limits if limit.name == name),
                default=0,
            )
            if not 0 < capacity < 10**14:
                continue
            arrivals = sorted((each[0], int(each[column])) for each in self._arrivals)
            if name == "nanousd_per_month":
                spent = sum(units for _, units in arrivals)
                overshoot, used = max(overshoot, spent - capacity), max(used, spent / capacity)
                continue
            overshoot = max(overshoot, _most_in_a_minute(arrivals) - capacity)
            measured = sum(units for at_s, units in arrivals if begin_s <= at_s < end_s)
            used = max(used, measured / (capacity * (end_s - begin_s) / 60))
        return max(0, overshoot), used


def _most_in_a_minute(arrivals: list[tuple[float, int]]) -> int:
    """The most in any 60 seconds, and in any minute of the clock."""
    most = total = first = 0
    minutes: Counter[int] = Counter()
    for at_s, units in arrivals:
        total += units
        while arrivals[first][0] <= at_s - 60:
            total -= arrivals[first][1]
            first += 1
        most = max(most, total)
        minutes[int(START_MS + at_s * 1000) // MINUTE_MS] += units
    return max(most, *minutes.values(), 0)
