"""What `make bench` measures of the quota ledger, in small: costs, use, and that nothing is overshot."""

from dataclasses import replace

import pytest

from benchmarks.quota_fleet import Figures, Fleet, Load, Reshaping
from benchmarks.quota_scale import CYCLE_S, budget, deployment, key
from sluice.quota.windows import ROLLING_MINUTE

pytestmark = pytest.mark.slow

FULL = Load((deployment(),), 60, 5, warm_s=2, full_rate=60)
BUSY = Load((key(600),), 12, CYCLE_S, warm_s=CYCLE_S, provider_s=(0.3, 0.6), instances=60)


def simulated(load: Load) -> Figures:
    return Fleet(load).run()


@pytest.mark.parametrize(
    ("load", "most"),
    [(FULL, 2.1), (replace(FULL, scopes=(key(),)), 1.05), (replace(FULL, scopes=(budget(),)), 2.05)],
    ids=["deployment", "key", "budget"],
)
def test_a_request_costs_hardly_more_than_its_writes_and_a_unit_each(load: Load, most: float) -> None:
    found = simulated(load)
    assert found.writes <= most
    assert found.units == found.writes
    assert found.largest_bytes <= 1_024


def test_a_limit_in_demand_is_used_up_and_not_overshot() -> None:
    found = simulated(BUSY)
    assert found.overshoot == 0
    assert found.used >= 0.96


def test_tokens_in_demand_are_used_up_and_not_overshot() -> None:
    found = simulated(replace(BUSY, scopes=(deployment(tokens=200_000),), provider_s=(0.5, 3.0)))
    assert found.overshoot == 0
    assert found.used >= 0.94


def test_at_six_times_the_capacity_refusals_cost_next_to_nothing() -> None:
    found = simulated(replace(BUSY, scopes=(deployment(requests=600),), rate=60))
    assert found.overshoot == 0
    assert found.writes <= 2.3


@pytest.mark.parametrize("steps", [None, 2, 3, 5, 9])
def test_shards_that_are_changed_under_load_overshoot_nothing_whoever_dies(steps: int | None) -> None:
    changes = [Reshaping(CYCLE_S + at_s, shards, steps) for at_s, shards in ((5, 4), (25, 1), (40, 8))]
    found = simulated(replace(BUSY, reshapings=tuple(changes)))
    assert found.overshoot == 0
    assert found.used >= 0.95


def test_a_crowded_item_is_spread_and_then_throttles_no_more() -> None:
    crowded = Load((budget(),), 700, 6, warm_s=6, is_spreading=True, instances=500, provider_s=(0.2, 0.4))
    found = simulated(crowded)
    assert found.shards >= 4
    assert found.throttled < 0.01
    assert found.unavailable == 0


def test_the_provider_would_notice_too_short_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ROLLING_MINUTE), "oldest_live", lambda window, head: head - 48)
    assert simulated(BUSY).overshoot > 0
