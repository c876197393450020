"""Blocking iterators in an event loop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from sluice.http.streaming import iterate_in_thread


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
