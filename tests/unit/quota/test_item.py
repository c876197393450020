"""How large an item gets, and what it makes of attributes that it does not know."""

import pytest

from benchmarks.capacity import item_bytes
from sluice.quota import marks
from sluice.quota.item import BlockReason, QuotaItem, note_attribute, note_value
from sluice.quota.limits import Limit, deployment_limit
from sluice.quota.reservation import Reservation
from sluice.quota.shards import Shard
from sluice.quota.status import Alert
from sluice.quota.steps import Flow, write
from sluice.quota.windows import DAY_MS, ROLLING_DAY, ROLLING_MINUTE, month_at
from sluice.storage.update import Update
from tests.quota_processes import Process, World

NAMES = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day", "characters_per_month")
# As much as one item takes before its scope is spread over several: 250 requests a second of 4,000 tokens each.
PER_MINUTE = {"requests_per_minute": 15_000, "tokens_per_minute": 59_999_999}
PER_DAY = {"requests_per_day": 21_599_999, "tokens_per_day": 86_399_999_999}
SCOPES = [
    "deployment#groq-production-1#meta-llama/llama-4-maverick-17b-128e-instruct",
    "deployment#openrouter-1#nousresearch/hermes-3-llama-3.1-405b-instruct:extended",
    Shard(3, 12, 16).key("deployment#groq-1#meta-llama/llama-4-scout-17b-16e-instruct"),
]
NOTES = {
    "success_rate": 0.98765,
    "response_time_ms": 1234.567,
    "prompt_ratio": 1.34567,
    "prompt_overhead": 43.6543,
    "completion_tokens": 4321.5,
}


def reserve(process: Process, scope: str, limits: tuple[Limit, ...], costs: dict[str, int]) -> Reservation:
    outcome = process.reserve(scope, limits, costs)
    assert isinstance(outcome, Reservation), outcome
    return outcome


@pytest.mark.parametrize("scope", SCOPES)
def test_the_largest_item_has_no_more_than_one_kilobyte(scope: str) -> None:
    world = World()
    process = Process(world)
    limits = tuple(deployment_limit(name, 10**14) for name in NAMES)
    for _ in range(ROLLING_DAY.kept_slices + 1):
        share = {name: units // (ROLLING_DAY.kept_slices + 1) for name, units in PER_DAY.items()}
        reserve(process, scope, limits, share | {"characters_per_month": 399_999_999})
        world.now_ms += ROLLING_DAY.slice_ms
    for _ in range(ROLLING_MINUTE.kept_slices + 1):
        reservation = reserve(
            process,
            scope,
            limits,
            {name: units // (ROLLING_MINUTE.kept_slices + 1) for name, units in PER_MINUTE.items()},
        )
        world.now_ms += ROLLING_MINUTE.slice_ms
    world.run(_everything_else(process, reservation, limits))
    item = world.dynamodb.items[scope]
    world.check()
    assert len(item) >= 105
    assert item_bytes(item) <= 1_024, f"{item_bytes(item)} bytes"


def _everything_else(process: Process, reservation: Reservation, limits: tuple[Limit, ...]) -> Flow[None]:
    """What else can be in an item, all at once."""
    key, now_ms = reservation.key, process.world.now_ms
    seen = QuotaItem(process.world.dynamodb.items[key])
    learned = (15_000, 59_900_000, 21_600_000, 86_400_000_000)
    yield from write(key, marks.learning(dict(zip(limits, learned, strict=False)), seen))
    yield from write(key, marks.blocking(now_ms + 123_456, BlockReason.MODEL_NOT_SERVED, QuotaItem(), now_ms))
    for limit in limits[2:]:
        period = month_at(now_ms) if limit.name.endswith("month") else now_ms // DAY_MS
        yield from write(key, marks.alerting(Alert(limit.name, limit.code, 90, period * 10 + 9), seen))
    suspicion = marks.suspicion("tenant", seen, now_ms)
    assert suspicion is not None
    yield from write(key, suspicion)
    rest = Update()
    for name, value in (("f", 100), ("o", now_ms // 1000 + 3_600), ("p", 19), ("g", 99)):
        rest.set(name, value)
    for name, note in NOTES.items():
        rest.set(note_attribute(name), note_value(note))
    yield from write(key, rest)


@pytest.mark.parametrize(
    ("later_ms", "reason", "minutes"),
    [
        (60_000, BlockReason.CREDENTIAL_REFUSED, 2),
        (599_000, BlockReason.CREDENTIAL_REFUSED, 11),
        (660_000, BlockReason.CREDENTIAL_REFUSED, 1),
        (60_000, BlockReason.MODEL_NOT_SERVED, 1),
    ],
)
def test_a_refusal_that_goes_on_began_when_the_first_did(later_ms: int, reason: BlockReason, minutes: int) -> None:
    world = World()
    began_ms, key = world.now_ms, "deployment#a#b"
    first = marks.blocking(began_ms + 60_000, BlockReason.CREDENTIAL_REFUSED, QuotaItem(), began_ms)
    world.run(write(key, first))
    seen = QuotaItem(world.dynamodb.items[key])
    assert (seen.block_reason, seen.refused_since_ms) == (BlockReason.CREDENTIAL_REFUSED, began_ms)
    now_ms = began_ms + later_ms
    world.run(write(key, marks.blocking(now_ms + 60_000, reason, seen, now_ms)))
    item = QuotaItem(world.dynamodb.items[key])
    assert item.block_reason is reason
    assert item.refused_since_ms == now_ms + 60_000 - minutes * 60_000


def test_a_block_of_an_earlier_version_says_why_and_not_since_when() -> None:
    item = QuotaItem({"b": {"N": "1800000000000"}, "w": {"N": "2"}})
    assert (item.block_reason, item.refused_since_ms) == (BlockReason.MODEL_NOT_SERVED, None)
