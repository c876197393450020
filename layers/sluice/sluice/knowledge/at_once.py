"""Does the same with many things, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

_AT_ONCE = 8


def at_once[T, R](do: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """What becomes of each thing, in their order. Raises what the first of them raises, once all have ended."""
    given = list(things)
    if len(given) < 2:
        return [do(each) for each in given]
    with ThreadPoolExecutor(min(_AT_ONCE, len(given)), thread_name_prefix="at-once") as threads:
        # Each in a context of its own, which says what is left to callers who wait.
        running = [threads.submit(copy_context().run, do, each) for each in given]
        return [each.result() for each in running]
