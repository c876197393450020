"""What the ledger sends does the same on the stand-ins for AWS as on the DynamoDB that it is simulated on."""

from random import Random

from sluice.quota.limits import BUDGET, budget_limit, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.steps import Pause, Read, Write
from sluice.storage.client import dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.tables import QUOTA
from tests.conftest import ON_BOTH_EMULATORS, Aws
from tests.quota_processes import Process, World

pytestmark = ON_BOTH_EMULATORS

NAMES = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day")


class MirroredWorld(World):
    """A world whose every write is made in a real table too."""

    table = ""
    compared = 0

    def carry_out(self, step: Read | Write | Pause) -> object:  # type: ignore[override]  # as World's
        """Answer a step, once both agree on it."""
        answer = super().carry_out(step)
        if isinstance(step, Write):
            key = QUOTA.key(step.key)
            request = {
                "TableName": self.table,
                "Key": key,
                "ReturnValues": "ALL_NEW",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                **step.update.arguments(),
            }
            try:
                item, is_done = dynamodb().call("UpdateItem", request)["Attributes"], True
            except ConditionFailedError as failed:
                item, is_done = failed.item, False
            assert (is_done, item or {}) == (answer.is_done, answer.item.attributes)  # type: ignore[union-attr]  # of a write
            self.compared += 1
        return answer


def test_every_write_does_the_same_there_as_in_memory(aws: Aws) -> None:
    random = Random(5)
    # Ahead of now: what has expired by an emulator's own clock is deleted.
    world = MirroredWorld(now_ms=1_890_000_000_500)
    world.table = aws.table("QUOTA_TABLE")
    processes = [Process(world, lag_ms=lag_ms, seed=lag_ms) for lag_ms in (0, 40, 300)]
    limits = tuple(
        deployment_limit(name, capacity) for name, capacity in zip(NAMES, (20, 9_000, 60, 30_000), strict=True)
    )
    waiting: list[tuple[Process, Reservation, str, int]] = []
    for number in range(160):
        world.now_ms += random.choices((0, 30, 900, 4_000, 70_000, 4_000_000), (30, 30, 20, 15, 3, 2))[0]
        process, tokens = random.choice(processes), random.randint(1, 900)
        costs = dict(zip(NAMES, (1, tokens, 1, tokens), strict=True))
        for scope, limited, cost in (("d", limits, costs), ("t", (budget_limit(50_000),), {BUDGET: tokens})):
            taken = process.reserve(scope, limited, cost)
            if isinstance(taken, Reservation):
                waiting.append((process, taken, scope, tokens))
        if waiting and random.random() < 0.8:
            settling, reservation, scope, reserved = waiting.pop(random.randrange(len(waiting)))
            names = (BUDGET,) if scope == "t" else (NAMES[1], NAMES[3])
            settling.settle(reservation, dict.fromkeys(names, random.randint(0, 2 * reserved)))
        if number % 40 == 39:
            for scope in ("d", "t"):
                world.run(process.reserver.reshape(scope, random.choice((1, 2, 4))))
    world.check()
    assert world.compared > 300
