"""Blocking iterators in an event loop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from starlette.concurrency import run_in_threadpool

from sluice.api.streaming import iterate_in_thread


def test_items_come_in_order_and_from_one_thread() -> None:
    seen: set[int] = set()

    def numbers() -> Iterator[int]:
        for number in range(500):
            seen.add(threading.get_ident())
            yield number

    async def collect() -> list[int]:
        return [item async for item in iterate_in_thread(numbers())]

    assert asyncio.run(collect()) == list(range(500))
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_items_arrive_before_the_iterator_ends() -> None:
    may_end = threading.Event()

    def two() -> Iterator[str]:
        yield "first"
        may_end.wait(10)
        yield "second"

    async def collect() -> list[str]:
        arrived = []
        async for item in iterate_in_thread(two()):
            arrived.append(item)
            may_end.set()
        return arrived

    assert asyncio.run(collect()) == ["first", "second"]


def test_what_the_iterator_raises_is_raised_after_what_it_yielded() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    arrived: list[int] = []

    async def collect() -> None:
        async for item in iterate_in_thread(broken()):
            arrived.append(item)  # noqa: PERF401 -- what has arrived before the error is the point

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(collect())
    assert arrived == [1]


def test_closing_waits_until_the_iterator_is_nobody_elses() -> None:
    is_inside = threading.Event()
    began = threading.Event()

    def slow() -> Iterator[int]:
        for number in range(100):
            yield number
            is_inside.set()
            began.set()
            time.sleep(0.1)
            is_inside.clear()

    async def leave_early(cancel: bool) -> None:
        items = slow()
        inner = iterate_in_thread(items)

        async def read() -> None:
            async with aclosing(inner):
                async for _ in inner:
                    await asyncio.to_thread(began.wait, 5)
                    if cancel:
                        await asyncio.sleep(60)
                    return

        task = asyncio.create_task(read())
        if cancel:
            await asyncio.to_thread(began.wait, 5)
            task.cancel()
        await asyncio.wait([task])
        assert not is_inside.is_set()
        items.close()  # type: ignore[attr-defined]  # a generator; raises ValueError if it is still running

    asyncio.run(leave_early(cancel=False))
    asyncio.run(leave_early(cancel=True))


class Endless:
    """Counts up, at once and for ever."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.taken += 1
        return self.taken


def taken_until_it_rests(items: Endless) -> int:
    before = -1
    while items.taken != before:
        before = items.taken
        time.sleep(0.1)
    return before


def test_the_iterator_does_not_run_away_from_a_slow_reader() -> None:
    async def read() -> None:
        items = Endless()
        async with aclosing(iterate_in_thread(items)) as inner:
            for expected in range(1, 5001):
                assert await anext(inner) == expected
            assert await asyncio.to_thread(taken_until_it_rests, items) < 6000

    asyncio.run(asyncio.wait_for(read(), 60))


@pytest.mark.parametrize("cancel", [False, True])
def test_closing_ends_an_iterator_that_waits_for_its_reader(cancel: bool) -> None:
    items = Endless()

    async def read() -> None:
        async with aclosing(iterate_in_thread(items)) as inner:
            await anext(inner)
            await asyncio.to_thread(taken_until_it_rests, items)
            if cancel:
                await asyncio.sleep(60)

    async def leave() -> None:
        task = asyncio.create_task(read())
        if cancel:
            await asyncio.to_thread(time.sleep, 0.5)
            task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done

    asyncio.run(leave())
    rested = taken_until_it_rests(items)
    assert items.taken == rested


def test_streams_leave_threads_for_everybody_else() -> None:
    may_end = threading.Event()

    def waiting() -> Iterator[int]:
        yield 1
        may_end.wait(30)
        yield 2

    async def read(begun: asyncio.Semaphore) -> list[int]:
        arrived = []
        async for item in iterate_in_thread(waiting()):
            arrived.append(item)
            begun.release()
        return arrived

    async def serve() -> None:
        begun = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            streams = [group.create_task(read(begun)) for _ in range(64)]
            try:
                # All have begun, and none can end before somebody else has had a thread.
                for _ in streams:
                    await asyncio.wait_for(begun.acquire(), 20)
                assert await asyncio.wait_for(run_in_threadpool(lambda: "answered"), 20) == "answered"
            finally:
                may_end.set()
        assert all(stream.result() == [1, 2] for stream in streams)

    asyncio.run(serve())
