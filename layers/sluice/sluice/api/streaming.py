"""Carries what a blocking iterator yields into an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from enum import Enum, auto
from threading import Event, Semaphore

import anyio
from anyio.lowlevel import RunVar

# How far the iterator may run ahead of a reader who is slow.
_MAX_WAITING_ITEMS = 256
# Each stream holds a thread for as long as it lasts. Out of the 40 that all else shares, a few dozen streams would
# leave none.
_MAX_STREAMS = 256


class _End(Enum):
    """What comes after the last item."""

    END = auto()


_streams: RunVar[anyio.CapacityLimiter] = RunVar("_streams")


async def iterate_in_thread[Item](items: Iterator[Item]) -> AsyncGenerator[Item]:
    """Yield the items of `items`, fetched by one thread: a hop for each item would cost more than the item.

    What `items` raises is raised here. Closing this generator returns once the thread has ended, with the item it was
    waiting for; only then may `items` be touched.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Item | _End] = asyncio.Queue()
    room = Semaphore(_MAX_WAITING_ITEMS)
    is_closed = Event()

    def fetch() -> None:
        try:
            for item in items:
                loop.call_soon_threadsafe(arrived.put_nowait, item)
                room.acquire()
                if is_closed.is_set():
                    return
        finally:
            loop.call_soon_threadsafe(arrived.put_nowait, _End.END)

    fetching = asyncio.create_task(anyio.to_thread.run_sync(fetch, limiter=_limiter()))
    try:
        while (item := await arrived.get()) is not _End.END:
            room.release()
            yield item
        await fetching
    finally:
        is_closed.set()
        # The thread may be waiting for room; there is none but this one that could.
        room.release()
        # A caller who hangs up cancels whatever is not shielded.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([fetching])
        fetching.exception()


def _limiter() -> anyio.CapacityLimiter:
    """The limiter of this event loop's streams: it belongs to the loop it was made in."""
    try:
        return _streams.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MAX_STREAMS)
        _streams.set(limiter)
        return limiter
