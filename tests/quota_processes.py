"""Processes that share one quota table in memory, each with a memory and a clock of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from sluice.quota.clock import Moment
from sluice.quota.item import QuotaItem
from sluice.quota.limits import Denial, Limit
from sluice.quota.memory import Memory
from sluice.quota.reservation import Reservation
from sluice.quota.reserving import Reserver
from sluice.quota.settlement import Usage
from sluice.quota.settling import Settler
from sluice.quota.shards import merged
from sluice.quota.steps import Flow, Pause, Read, Write, Written
from sluice.quota.taking import Demand
from sluice.quota.viewing import view
from sluice.quota.windows import RollingWindow, Window
from sluice.storage.errors import ConditionFailedError
from tests.fakes.dynamodb import MemoryDynamoDB

START_MS = 1_790_000_000_000
TABLE = "quota"


@dataclass
class World:
    """The table, and the true time."""

    now_ms: int = START_MS
    dynamodb: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)

    def carry_out(self, step: Read | Write | Pause) -> list[QuotaItem] | Written | None:
        """Answer one step of a flow."""
        match step:
            case Read():
                self.dynamodb.metered.reads += len(step.keys)
                return [QuotaItem(self.dynamodb.items.get(key)) for key in step.keys]
            case Write():
                request = {"TableName": TABLE, "Key": {"scope": {"S": step.key}}, **step.update.arguments()}
                try:
                    answer = self.dynamodb.call("UpdateItem", request)
                except ConditionFailedError as failed:
                    return Written(is_done=False, item=QuotaItem(failed.item))
                return Written(is_done=True, item=QuotaItem(answer["Attributes"]))
            case Pause():
                return None

    def run[T](self, flow: Flow[T]) -> T:
        """Carry out a flow alone."""
        answer: object = None
        while True:
            try:
                answer = self.carry_out(flow.send(answer))
            except StopIteration as end:
                result: T = end.value
                return result

    def item(self, scope: str) -> QuotaItem:
        """All shards of a scope together."""
        return self.run(view((scope,))).get(scope, QuotaItem())

    def check(self) -> None:
        """Each total is the sum of its slots, and no slot is of a slice that has left."""
        for typed in self.dynamodb.items.values():
            item = QuotaItem(typed)
            whole = merged([item, QuotaItem()])
            for window in ("m", "d"):
                slots = {name for name in typed if len(name) == 2 and name[0] == window}
                live = {name for name in whole.attributes if len(name) == 2 and name[0] == window}
                assert slots == live
            for code in ("r", "t", "R", "T"):
                assert item.total(code) == whole.total(code), f"{code} drifted"


class Process:
    """One process. `lag_ms` is how far its clock is behind."""

    def __init__(self, world: World, lag_ms: int = 0, seed: int = 1) -> None:
        self.world = world
        self.lag_ms = lag_ms
        self.memory = Memory()
        self.reserver = Reserver(self.memory, self.moment, Random(seed))
        self.settler = Settler(self.memory, self.moment)

    def moment(self) -> Moment:
        """Now, by this process's clock."""
        return Moment.exactly(self.world.now_ms - self.lag_ms)

    def reserve(self, scope: str, limits: tuple[Limit, ...], costs: Mapping[str, int]) -> Reservation | Denial:
        """Reserve alone."""
        return self.world.run(self.reserver.reserve(scope, Demand(limits, costs)))

    def settle(self, reservation: Reservation, units: Mapping[str, int], **usage: object) -> QuotaItem:
        """Settle alone."""
        return self.world.run(self.settler.settle(reservation, Usage(units, {}, **usage)))  # type: ignore[arg-type]  # passed on


def most_in_any_stretch(arrivals: list[tuple[float, int]], period_ms: int) -> int:
    """The most that (when, units) add up to in any stretch of the period."""
    most = first = total = 0
    arrivals = sorted(arrivals)
    for at_ms, units in arrivals:
        total += units
        while arrivals[first][0] <= at_ms - period_ms:
            total -= arrivals[first][1]
            first += 1
        most = max(most, total)
    return most


def margin_ms(window: Window) -> int:
    """How long what was reserved may be under way."""
    assert isinstance(window, RollingWindow)
    return window.margin_ms
