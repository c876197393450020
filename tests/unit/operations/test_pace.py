"""When limits run out at the present rate: what is foreseen is what comes if the rate goes on."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.operations.pace import rolling_runs_out_at_s, runs_out_at_s
from sluice.quota.item import QuotaItem, head_name, packed, slot_name
from sluice.quota.limits import Limit, budget_limit
from sluice.quota.status import QuotaSnapshot
from sluice.quota.windows import ROLLING_DAY, ROLLING_MINUTE

NOW_MS = 1_764_152_652_000
TOKENS = Limit("tokens_per_day", 100_000, ROLLING_DAY)


def seen(taken: dict[int, int]) -> QuotaSnapshot:
    """A day's tokens, by how many slices ago they were taken."""
    head = ROLLING_DAY.slice_at(NOW_MS)
    attributes: dict[str, dict[str, str]] = {head_name(ROLLING_DAY): {"N": str(head)}}
    for ago, units in taken.items():
        number = packed(ROLLING_DAY, {"T": units})
        attributes[slot_name(ROLLING_DAY, head - ago)] = {"N": str(number)}
    attributes["T"] = {"N": str(sum(taken.values()))}
    return QuotaSnapshot(QuotaItem(attributes))


def test_a_budget_runs_out_when_the_rate_has_used_the_rest() -> None:
    assert runs_out_at_s(40, 100, 2, 1_000, 10_000) == 1_030
    assert runs_out_at_s(40, 100, 0, 1_000, 10_000) is None
    assert runs_out_at_s(40, 100, 2, 1_000, 1_020) is None, "it begins anew before"
    assert runs_out_at_s(100, 100, 0, 1_000, 10_000) == 1_000


def test_a_day_s_limit_runs_out_at_the_last_hour_s_rate() -> None:
    slice_s = ROLLING_DAY.slice_ms / 1000
    at_s = rolling_runs_out_at_s(TOKENS, seen({0: 10_000, 1: 10_000, 2: 10_000}), NOW_MS)
    assert at_s is not None
    # 70,000 are left; in the last two slices or so 20,000 to 30,000 were taken.
    assert 4 * slice_s < at_s - NOW_MS / 1000 < 8 * slice_s


def test_what_was_taken_long_ago_leaves_meanwhile() -> None:
    nearly_full = {24: 60_000, 23: 20_000, 0: 100}
    assert rolling_runs_out_at_s(TOKENS, seen(nearly_full), NOW_MS) is None
    assert rolling_runs_out_at_s(TOKENS, seen({5: 80_000, 0: 15_000}), NOW_MS) is not None


def test_what_is_used_up_has_run_out_now_and_what_is_not_used_never_does() -> None:
    assert rolling_runs_out_at_s(TOKENS, seen({3: 100_000}), NOW_MS) == NOW_MS // 1000
    assert rolling_runs_out_at_s(TOKENS, seen({10: 99_000}), NOW_MS) is None
    assert rolling_runs_out_at_s(TOKENS, QuotaSnapshot(QuotaItem()), NOW_MS) is None


def test_a_minute_s_and_a_month_s_limit_are_not_foreseen_here() -> None:
    for limit in (Limit("tokens_per_minute", 10, ROLLING_MINUTE), budget_limit(10)):
        assert rolling_runs_out_at_s(limit, seen({0: 9}), NOW_MS) is None


@given(taken=st.dictionaries(st.integers(0, 24), st.integers(1, 40_000), max_size=25))
def test_what_is_foreseen_lies_ahead_and_within_a_day(taken: dict[int, int]) -> None:
    at_s = rolling_runs_out_at_s(TOKENS, seen(taken), NOW_MS)
    if at_s is not None:
        assert NOW_MS // 1000 <= at_s <= NOW_MS // 1000 + 26 * ROLLING_DAY.slice_ms // 1000


@given(
    taken=st.dictionaries(st.integers(0, 24), st.integers(1, 40_000), min_size=1, max_size=25), more=st.integers(1, 50)
)
def test_a_larger_limit_runs_out_no_sooner(taken: dict[int, int], more: int) -> None:
    larger = Limit("tokens_per_day", 100_000 + 1_000 * more, ROLLING_DAY)
    first, later = (rolling_runs_out_at_s(limit, seen(taken), NOW_MS) for limit in (TOKENS, larger))
    assert later is None or (first is not None and first <= later)
