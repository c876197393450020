"""Scores are in 0..1, and better is never worse."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.routing.scoring import Weights, rank, score, speed

shares = st.floats(0, 1)
times = st.none() | st.floats(0, 1e9)


@given(health=shares, free=shares, time_ms=times)
def test_a_score_is_a_share(health: float, free: float, time_ms: float | None) -> None:
    assert 0 <= score(Weights(), health, free, time_ms) <= 1 + 1e-9


@given(first=shares, second=shares, other=shares, time_ms=times)
def test_more_health_or_quota_never_scores_less(
    first: float, second: float, other: float, time_ms: float | None
) -> None:
    low, high = sorted((first, second))
    assert score(Weights(), low, other, time_ms) <= score(Weights(), high, other, time_ms)
    assert score(Weights(), other, low, time_ms) <= score(Weights(), other, high, time_ms)


@given(first=st.floats(0, 1e9), second=st.floats(0, 1e9))
def test_slower_never_scores_more(first: float, second: float) -> None:
    fast, slow = sorted((first, second))
    assert speed(fast) >= speed(slow)


def test_speed_is_one_at_once_and_before_the_first_answer_and_a_half_at_two_seconds() -> None:
    assert speed(0) == speed(None) == 1
    assert speed(2000) == 0.5


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=6), prices=st.lists(st.floats(0, 9), min_size=6))
def test_the_first_is_the_cheapest_of_those_about_as_good_as_the_best(scores: list[float], prices: list[float]) -> None:
    best = max(scores)
    order = sorted(range(len(scores)), key=lambda each: rank(scores[each], best, prices[each], each))
    near = [each for each in order if scores[each] >= best - 0.2]
    assert order[: len(near)] == near
    assert prices[order[0]] == min(prices[each] for each in near)


def test_priority_decides_between_what_is_equal() -> None:
    assert rank(0.9, 0.9, 1.0, 1) < rank(0.9, 0.9, 1.0, 2)
    assert rank(0.5, 0.9, 1.0, 1) < rank(0.5, 0.9, 1.0, 2)
    assert rank(0.5, 0.9, 0.0, 1) > rank(0.9, 0.9, 9.0, 2)


def test_the_weights_are_those_of_the_design() -> None:
    assert score(Weights(), 1, 0, 1e12) < 0.401
    assert score(Weights(), 0, 1, 1e12) < 0.301
    assert score(Weights(), 0, 0, 0) == 0.3
