"""A cache in memory: bounded in number and in age."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock


class TtlCache[Value]:
    """Values by key, each forgotten after `lifetime_s`, the longest unused ones first when there are too many."""

    def __init__(self, *, lifetime_s: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime_s = lifetime_s
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Value]] = OrderedDict()
        # A lookup moves its entry, so readers change the order too.
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def now(self) -> float:
        """The clock that ages are measured with, to be read before a value is fetched."""
        return self._clock()

    def get(self, key: str) -> Value | None:
        """The value, None if it is not held or has grown too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            fetched_at, value = entry
            if self._clock() - fetched_at >= self._lifetime_s:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def get_or_fetch(self, key: str, fetch: Callable[[], Value]) -> Value:
        """The value, fetched and kept if it is not held. Threads that miss it at once each fetch it."""
        value = self.get(key)
        if value is None:
            fetched_at = self.now()
            value = fetch()
            self.put(key, value, fetched_at=fetched_at)
        return value

    def put(self, key: str, value: Value, *, fetched_at: float) -> None:
        """Hold a value that was asked for at `fetched_at`: its age counts from before the answer was on its way."""
        with self._lock:
            self._entries[key] = (fetched_at, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
