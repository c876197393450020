"""What is counted as cached, against a slow reference that keeps every answer."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as some

from sluice.cache.store import CacheChange, counted_until
from sluice.cache.sums import CacheSize, cache_size

DAY_S = 86_400


@dataclass(frozen=True)
class Kept:
    generation: int
    expires_at: int
    ttl_s: int
    bytes: int


kept = some.builds(
    Kept,
    generation=some.integers(0, 2),
    expires_at=some.integers(1, 10 * DAY_S),
    ttl_s=some.integers(1, 30 * DAY_S),
    bytes=some.integers(1, 350_000),
)


@given(some.integers(1, 2_000_000_000), some.integers(1, 400 * DAY_S))
def test_an_answer_counts_until_it_expires_and_at_most_a_sixtieth_longer(expires_at: int, ttl_s: int) -> None:
    assert 0 <= counted_until(expires_at, ttl_s) - expires_at < max(1, ttl_s / 60)


@given(some.integers(0, 2_000_000_000), some.integers(60, 400 * DAY_S))
def test_the_answers_of_one_lifetime_make_some_sixty_sums_and_never_many_more(now: int, ttl_s: int) -> None:
    step = max(1, ttl_s // 600)
    sums = {counted_until(stored_at + ttl_s, ttl_s) for stored_at in range(now, now + ttl_s, step)}
    # 120 where a lifetime is just below two minutes, whose sixtieth is a second.
    assert len(sums) <= 121


@given(some.lists(kept, max_size=30), some.integers(0, 2), some.integers(2 * DAY_S, 9 * DAY_S))
def test_the_sums_are_those_of_the_answers_one_by_one(answers: list[Kept], generation: int, now: int) -> None:
    changes = [
        CacheChange(each.generation, counted_until(each.expires_at, each.ttl_s), 1, each.bytes) for each in answers
    ]
    served = [
        each for each in answers if each.generation == generation and counted_until(each.expires_at, each.ttl_s) > now
    ]
    gone = [
        each for each in answers if each not in served and counted_until(each.expires_at, each.ttl_s) > now - 2 * DAY_S
    ]
    assert cache_size(changes, generation, now) == CacheSize(len(served), len(gone), sum(each.bytes for each in served))


def test_a_sum_below_zero_counts_as_nothing() -> None:
    taken = [CacheChange(0, 100, -1, -50), CacheChange(0, 200, 1, 50), CacheChange(0, 10, -1, -50)]
    assert cache_size(taken, 0, 50) == CacheSize(1, 0, 50)
