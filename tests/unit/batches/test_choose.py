"""Which lines of a tenant's batches are asked next."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sluice.batches.work import MOST_MESSAGES, OpenWork, choose


def opened(name: str, chunks: int, *, priority: int = 1, sent: int = 0, finished: int = 0) -> OpenWork:
    return OpenWork(batch=name, caller="k", priority=priority, chunks=chunks, next=sent, finished=finished)


def test_batches_of_one_priority_take_turns() -> None:
    chosen = choose([opened("a", 100), opened("b", 100)], 4)
    assert [(each.batch, number) for each, number in chosen] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_a_higher_priority_comes_first_and_a_lower_one_takes_what_is_left() -> None:
    chosen = choose([opened("low", 100, priority=0), opened("high", 2, priority=2), opened("normal", 1)], 5)
    assert [each.batch for each, _ in chosen] == ["high", "high", "normal", "low", "low"]


def test_what_is_on_its_way_takes_room() -> None:
    assert len(choose([opened("a", 100, sent=10, finished=4), opened("b", 100)])) == MOST_MESSAGES - 6
    assert choose([opened("a", 100, sent=MOST_MESSAGES)]) == []


def test_nothing_is_sent_of_what_was_sent() -> None:
    assert choose([opened("a", 3, sent=3, finished=1)]) == []
    assert choose([]) == []


def test_a_tenant_with_fifty_thousand_lines_leaves_one_with_ten_its_turn() -> None:
    """A queue that is taken from in order: each message that is done with is followed by one of its tenant."""
    tenants = {"large": [opened("l", 5_000)], "small": [opened("s", 1)]}
    queue: list[str] = []

    def feed(tenant: str) -> None:
        for each, _ in choose(tenants[tenant]):
            [one] = tenants[tenant]
            assert one == each or one.next >= each.next
            tenants[tenant] = [replace(one, next=one.next + 1)]
            queue.append(tenant)

    feed("large")
    for _ in range(100):
        done = queue.pop(0)
        [one] = tenants[done]
        tenants[done] = [replace(one, finished=one.finished + 1)]
        feed(done)
    feed("small")
    waited = 0
    while queue[0] != "small":
        done = queue.pop(0)
        [one] = tenants[done]
        tenants[done] = [replace(one, finished=one.finished + 1)]
        feed(done)
        waited += 1
    assert waited <= MOST_MESSAGES


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2), st.integers(0, 30), st.integers(0, 30)), max_size=6),
    st.integers(0, 12),
)
def test_never_more_than_the_room_and_each_chunk_once_in_order(
    shapes: list[tuple[int, int, int, int]], most: int
) -> None:
    work = [
        opened(f"b{index}", chunks, priority=priority, sent=min(sent, chunks), finished=min(finished, sent, chunks))
        for index, (chunks, priority, sent, finished) in enumerate(shapes)
    ]
    chosen = choose(work, most)
    assert len(chosen) <= max(0, most - sum(each.outstanding for each in work))
    for each in work:
        numbers = [number for one, number in chosen if one.batch == each.batch]
        assert numbers == list(range(each.next, each.next + len(numbers)))
        assert each.next + len(numbers) <= each.chunks
