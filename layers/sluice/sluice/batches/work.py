"""Which lines are asked next: a tenant has a bounded number of messages in the queue, and its batches take turns.

Since each message that is done with is followed by at most one of the same tenant, at the end of the queue, tenants
take turns as well: one with 50,000 lines has as many messages waiting as one with a few hundred.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace

from sluice.batches.batch import Batch
from sluice.batches.messages import Lines
from sluice.batches.schema import finished_key, work
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import from_item, to_item
from sluice.storage.queues import Queue
from sluice.storage.tables import BATCHES
from sluice.storage.transaction import change, creation, write_beside_transactions, write_together
from sluice.storage.update import Update

MOST_MESSAGES = 8
"""How many messages of one tenant are in the queue at a time."""
_KEPT_S = 4 * 86_400
_STRANDED = "stranded_"
# After so long, who wrote a chunk down as sent and has not said that it was is taken for dead. Less than a message
# stays with who took it: when that of the dead comes again, perhaps as the last of its batch, the chunk is sent.
_UNSENT_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """A batch whose lines are being asked: `next` is the first chunk that was not sent, `finished` how many have ended.

    `stranded` is of how many the message has come for the last time before it goes to the dead letters. `unsent` are
    chunks that are about to be sent, and since when, in seconds since 1970.
    """

    batch: str
    caller: str
    priority: int
    chunks: int
    next: int = 0
    finished: int = 0
    stranded: int = 0
    unsent: dict[str, int] = field(default_factory=dict)

    @property
    def outstanding(self) -> int:
        """How many of its messages are on their way."""
        return self.next - self.finished - self.stranded

    @property
    def is_done(self) -> bool:
        """Whether all its lines have ended."""
        return self.finished >= self.chunks


def choose(open_work: Iterable[OpenWork], most: int = MOST_MESSAGES) -> list[tuple[OpenWork, int]]:
    """Which chunks of a tenant's batches to send, so that `most` of its messages are on their way. Pure.

    The batch of the highest priority comes first; of several, the one with fewest messages on their way, then the
    oldest.
    """
    waiting = {each.batch: each for each in open_work}
    room = most - sum(each.outstanding for each in waiting.values())
    chosen: list[tuple[OpenWork, int]] = []
    while room > 0:
        ready = [each for each in waiting.values() if each.next < each.chunks]
        if not ready:
            break
        first = min(ready, key=lambda each: (-each.priority, each.outstanding, each.batch))
        chosen.append((first, first.next))
        waiting[first.batch] = replace(first, next=first.next + 1)
        room -= 1
    return chosen


class WorkStore:
    """The open work of all tenants. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(self, table: str, client: DynamoDB, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._queue = queue
        self._clock = clock

    def add(self, batch: Batch, chunks: int) -> None:
        """Have the lines of a batch asked. The same batch again changes nothing."""
        opened = OpenWork(batch=batch.id, caller=batch.caller, priority=int(batch.priority), chunks=chunks)
        values = {
            "caller": opened.caller,
            "priority": opened.priority,
            "chunks": chunks,
            "next": 0,
            "finished": 0,
            "unsent": {},
            "expires_at": batch.ends_by + 86_400,
        }
        asked = {
            "TableName": self._table,
            "Item": BATCHES.key(work(batch.tenant), batch.id) | to_item(values),
            "ConditionExpression": "attribute_not_exists(#partition)",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
        }
        try:
            self._client.call("PutItem", asked)
        except ConditionFailedError:
            return

    def remove(self, tenant: str, batch_id: str) -> None:
        """Have no more lines of a batch asked."""
        asked = {"TableName": self._table, "Key": BATCHES.key(work(tenant), batch_id)}
        write_beside_transactions(self._client, "DeleteItem", asked)

    def feed(self, tenant: str) -> Sequence[OpenWork]:
        """Send what the queue has room for of a tenant's work. Returns the work as it was.

        Whoever dies meanwhile may have written down a chunk as sent, and not have sent it: the next one to come by
        sends it. A chunk that is sent twice is asked once.
        """
        opened = self._open(tenant)
        now = int(self._clock())
        for each in opened:
            for chunk, since in each.unsent.items():
                if since <= now - _UNSENT_S:
                    self._send(tenant, each, int(chunk))
        for each, number in choose(opened):
            if self._take(tenant, each.batch, number, now):
                self._send(tenant, each, number)
        return opened

    def finish(self, message: Lines) -> None:
        """Note that all lines of a chunk have ended. The same again changes nothing."""
        sums = Update()
        sums.add("finished", 1)
        sums.remove(_stranded(message.chunk))
        sums.require_exists("chunks")
        write_together(
            self._client,
            [
                creation(self._table, finished_key(message.batch, message.chunk), {"expires_at": self._kept_until()}),
                change(self._table, BATCHES.key(work(message.tenant), message.batch), sums),
            ],
        )

    def strand(self, message: Lines) -> None:
        """Take no place for a chunk whose message may be in the dead letters soon, until it has ended."""
        update = Update()
        update.set(_stranded(message.chunk), True)
        update.require_exists("chunks")
        self._write(message.tenant, message.batch, update)

    def _open(self, tenant: str) -> list[OpenWork]:
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition},
            "ExpressionAttributeValues": to_item({":partition": work(tenant)}),
            "ConsistentRead": True,
        }
        return [
            OpenWork(
                batch=item[BATCHES.sort],
                caller=item["caller"],
                priority=item["priority"],
                chunks=item["chunks"],
                next=item["next"],
                finished=item["finished"],
                stranded=sum(name.startswith(_STRANDED) for name in item),
                unsent=item["unsent"],
            )
            for item in map(from_item, self._client.query(request))
            # DynamoDB deletes what has expired when it finds the time.
            if item["expires_at"] > self._clock()
        ]

    def _kept_until(self) -> int:
        return int(self._clock()) + _KEPT_S

    def _take(self, tenant: str, batch: str, chunk: int, now: int) -> bool:
        update = Update()
        update.set("next", chunk + 1)
        update.set_in("unsent", str(chunk), now)
        update.require("next", "=", chunk)
        return self._write(tenant, batch, update)

    def _send(self, tenant: str, opened: OpenWork, chunk: int) -> None:
        message = Lines(tenant=tenant, caller=opened.caller, batch=opened.batch, chunk=chunk)
        self._queue.send(message.model_dump(), group=tenant)
        update = Update()
        update.remove_in("unsent", str(chunk))
        update.require_exists("unsent")
        self._write(tenant, opened.batch, update)

    def _write(self, tenant: str, batch: str, update: Update) -> bool:
        asked = {"TableName": self._table, "Key": BATCHES.key(work(tenant), batch), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", asked)
        except ConditionFailedError:
            return False
        return True


def _stranded(chunk: int) -> str:
    """The attribute that says that a chunk takes no place: one that goes by itself, whoever dies."""
    return f"{_STRANDED}{chunk}"
