"""Carries what a blocking iterator yields into an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from threading import Event

import anyio

_END = object()


async def iterate_in_thread[Item](items: Iterator[Item]) -> AsyncGenerator[Item]:
    """Yield the items of `items`, fetched by one thread: a hop for each item would cost more than the item.

    What `items` raises is raised here. Closing this generator returns once the thread has ended, with the item it was
    waiting for; only then may `items` be touched.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Item | object] = asyncio.Queue()
    is_closed = Event()

    def fetch() -> None:
        try:
            for item in items:
                loop.call_soon_threadsafe(arrived.put_nowait, item)
                if is_closed.is_set():
                    return
        finally:
            loop.call_soon_threadsafe(arrived.put_nowait, _END)

    fetching = asyncio.create_task(anyio.to_thread.run_sync(fetch))
    try:
        while (item := await arrived.get()) is not _END:
            yield item  # type: ignore[misc]  # not the end, so an Item
        await fetching
    finally:
        is_closed.set()
        # A caller who hangs up cancels whatever is not shielded.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([fetching])
        fetching.exception()
