"""Work that was begun and has to be done, whoever dies meanwhile.

Each piece is written down before it is begun, with the message that has it done, and struck off once it is done. Every
hour what is still written down, and due, is sent to the queue again: whoever takes such a message may find the work
done already, half done, or not begun.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from itertools import batched

from sluice.chat import JsonObject
from sluice.knowledge.table import WRITE_BATCH, StoresTable
from sluice.loading.dataclass import dataclass
from sluice.storage.queues import Queue
from sluice.storage.tables import STORES

DUE_S = 3_600
"""When work that was not struck off is taken for stuck. No function runs for more than a quarter of it."""
_SHARDS = 16
_MOST_AT_ONCE = 500
_MOMENT_DIGITS = 13


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """Where a piece of work is written down."""

    collection: str
    entry: str


class OpenWork:
    """What is to be done in all stores. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: StoresTable, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._queue = queue
        self._clock = clock

    def begin(self, message: JsonObject, *, due_in_s: float = DUE_S) -> OpenEntry:
        """Write down work that `message` has done, if it is not struck off until it is due."""
        entry = OpenEntry(_shard(), self._new_entry(due_in_s))
        self._table.put(entry.collection, entry.entry, {"message": message})
        return entry

    def begin_all(self, messages: Sequence[JsonObject]) -> list[OpenEntry]:
        """Write down several pieces of work, which are due in an hour."""
        begun: list[OpenEntry] = []
        for some in batched(messages, WRITE_BATCH, strict=False):
            shard = _shard()
            entries = [OpenEntry(shard, self._new_entry(DUE_S)) for _ in some]
            items = [(entry.entry, {"message": message}) for entry, message in zip(entries, some, strict=True)]
            self._table.put_all(entries[0].collection, items)
            begun += entries
        return begun

    def repeat(self, entry: OpenEntry, message: JsonObject, *, every_s: int) -> None:
        """Write down that work is due again, a whole number of periods after it was. The same again changes nothing."""
        due, token = entry.entry.split("#")
        period_ms = every_s * 1000
        late_ms = max(0, int(self._clock() * 1000) - int(due))
        again_ms = int(due) + (late_ms // period_ms + 1) * period_ms
        self._table.put(entry.collection, f"{again_ms:0{_MOMENT_DIGITS}d}#{token}", {"message": message})

    def done(self, entry: OpenEntry) -> None:
        """Strike off what is done. The same again changes nothing."""
        self._table.delete(entry.collection, entry.entry)

    def send(self, message: JsonObject, *, delay_s: int = 0) -> None:
        """Have a message's work done, in `delay_s` at the earliest."""
        self._queue.send(message, group=str(message["tenant"]), delay_s=delay_s)

    def send_begun(self, messages: Sequence[JsonObject], entries: Sequence[OpenEntry]) -> None:
        """Have the work of messages done, which strikes off where it is written down. Messages are of one tenant."""
        known = [
            {**message, "open": [entry.collection, entry.entry]}
            for message, entry in zip(messages, entries, strict=True)
        ]
        if known:
            self._queue.send_all(known, group=str(known[0]["tenant"]))

    def send_due(self) -> int:
        """Send what is due to the queue again. Returns how many messages that were.

        Each carries where it is written down, so that who has done it can strike it off.
        """
        now = f"{int(self._clock() * 1000):0{_MOMENT_DIGITS}d}"
        sent = 0
        for shard in range(_SHARDS):
            collection = f"open#{shard:02d}"
            for number, item in enumerate(self._table.query(collection, before=now)):
                if number == _MOST_AT_ONCE:
                    break  # the rest is due in an hour as well
                entry = item[STORES.sort]
                self.send({**item["message"], "open": [collection, entry]})
                sent += 1
        return sent

    def _new_entry(self, due_in_s: float) -> str:
        due_ms = int((self._clock() + due_in_s) * 1000)
        return f"{due_ms:0{_MOMENT_DIGITS}d}#{secrets.token_hex(8)}"


def _shard() -> str:
    return f"open#{secrets.randbelow(_SHARDS):02d}"
