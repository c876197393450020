"""How large a deployment's item grows when every slice of its four limits was taken from."""

from dataclasses import dataclass

from benchmarks.capacity import item_bytes
from benchmarks.meter import Meter
from sluice.quota.ledger import Ledger
from sluice.quota.limits import deployment_limit
from sluice.quota.windows import ROLLING_DAY, ROLLING_MINUTE
from sluice.storage.client import dynamodb
from sluice.storage.tables import QUOTA
from tests.fakes.dynamodb import TrustingClient

_NAMES = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day")
_SCOPE = "deployment#groq-1#llama-3.1-8b-instant"
_NOTES = {
    "success_rate": 0.987654,
    "response_time_ms": 812.345678,
    "prompt_ratio": 1.123456,
    "prompt_overhead": 41.25,
    "completion_tokens": 431.5,
}


@dataclass(frozen=True, slots=True)
class Saturated:
    """A saturated item: its size, its slots, and the write units of its next reservation and settlement."""

    size_bytes: int
    slots: int
    reserve_units: float
    settle_units: float


def saturate(meter: Meter, table: str) -> Saturated:
    """Let a ledger with a clock of its own take and settle in every slice of a day, and of the minute at its end."""
    now_s = [1_800_000_000.0]
    ledger = Ledger(table, clock=lambda: now_s[0], client=TrustingClient(dynamodb()))
    limits = tuple(deployment_limit(name, 10**9) for name in _NAMES)

    def spend() -> None:
        costs = dict.fromkeys(_NAMES[:2], 1) | dict.fromkeys(_NAMES[2:], 1234)
        reservation = ledger.reserve(_SCOPE, limits, costs)
        ledger.settle(reservation, dict.fromkeys(_NAMES[2:], 987), _NOTES)

    for window in (ROLLING_DAY, ROLLING_MINUTE):
        for _ in range(window.kept_slices + 2):
            spend()
            now_s[0] += window.slice_ms / 1000
    spend()  # moves the window on
    meter.take()
    spend()
    reserve, settle = meter.take()
    item = dynamodb().call("GetItem", {"TableName": table, "Key": QUOTA.key(_SCOPE)})["Item"]
    meter.take()
    slots = sum(len(name) == 2 and name[0] in "md" for name in item)
    return Saturated(item_bytes(item), slots, reserve.write_units, settle.write_units)
