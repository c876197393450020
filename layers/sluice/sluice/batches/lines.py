"""Lines of batches in DynamoDB: each is asked by one worker at a time, and ends once.

A line is claimed by a conditional write before it is asked, for as long as asking may take. Its answer is written only
by who holds the claim, together with the sums. Who dies in between leaves a claim that runs out, and what the next one
asks is counted as asked again.
"""

import json
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from sluice.batches.asking import LineAnswer
from sluice.batches.batch import Batch, Progress
from sluice.batches.schema import PROGRESS_SHARDS, chunk_key, finished_key, line_entry, line_key, lines, progress_key
from sluice.chat import JsonObject
from sluice.files.file import part_key
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.objects import ObjectStore
from sluice.storage.tables import BATCHES
from sluice.storage.transaction import change, write_beside_transactions, write_together
from sluice.storage.update import Update

# An item of DynamoDB's has 400 KB at most.
_MOST_INLINE_BYTES = 300_000
_WRITE_BATCH = 25
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 3.0
# How long what only a batch under way needs is kept beyond its time.
_KEPT_S = 3 * 86_400


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines that stand one after another: the number of the first, how many, and where they are, in bytes."""

    number: int
    first: int
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to ask a line until a moment, in seconds since 1970.

    `is_again`: somebody else had it, and died. `failures` is how often the line was asked in vain.
    """

    line: int
    id: str
    is_again: bool
    failures: int


@dataclass(frozen=True, slots=True)
class EndedLine:
    """A line's answer."""

    number: int
    custom_id: str
    status: int
    request_id: str
    body: JsonObject


class LineStore:
    """The lines of all batches. Threads may share it. All methods raise StorageUnavailableError."""

    def __init__(
        self, table: str, objects: "ObjectStore", client: DynamoDB, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._objects = objects
        self._client = client
        self._clock = clock

    def add_chunks(self, batch: Batch, chunks: list[Chunk]) -> None:
        """Write down where chunks of a batch are. The same again changes nothing."""
        for begin in range(0, len(chunks), _WRITE_BATCH):
            waiting = [
                {
                    "PutRequest": {
                        "Item": chunk_key(batch.id, each.number)
                        | to_item(asdict(each) | {"expires_at": batch.ends_by + _KEPT_S})
                    }
                }
                for each in chunks[begin : begin + _WRITE_BATCH]
            ]
            pause_s = _PAUSE_S
            while waiting:
                answer = self._client.call("BatchWriteItem", {"RequestItems": {self._table: waiting}})
                waiting = answer.get("UnprocessedItems", {}).get(self._table, [])
                if waiting:
                    time.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def chunk(self, batch_id: str, number: int) -> Chunk | None:
        """A chunk of whose lines some have not ended; None if all have, or there is none."""
        keys = [chunk_key(batch_id, number), finished_key(batch_id, number)]
        found = [from_item(typed) for typed in self._client.read_all(self._table, keys, consistently=True)]
        if len(found) != 1 or "start" not in found[0]:
            return None
        [item] = found
        return Chunk(item["number"], item["first"], item["count"], item["start"], item["end"])

    def ended_numbers(self, batch_id: str, chunk: Chunk) -> set[int]:
        """Those lines of a chunk that have ended."""
        asked = self._query(batch_id, chunk.first, chunk.first + chunk.count - 1, with_answers=False)
        return {int(item[BATCHES.sort]) for item in asked if "status" in item}

    def claim(self, batch: Batch, line: int, hold_s: float) -> Claim | None:
        """Claim a line for so long; None if it has ended, or somebody else has it."""
        now = int(self._clock())
        claim_id = secrets.token_hex(8)
        update = Update()
        update.set("claim", claim_id)
        update.set("claimed_until", now + int(hold_s) + 1)
        update.set("expires_at", batch.ends_by + _KEPT_S)
        update.require_absent("status")
        update.require_absent_or("claimed_until", "<=", now)
        request = {"TableName": self._table, "Key": line_key(batch.id, line), **update.arguments()}
        try:
            before = write_beside_transactions(self._client, "UpdateItem", request | {"ReturnValues": "ALL_OLD"}).get(
                "Attributes"
            )
        except ConditionFailedError:
            return None
        old = from_item(before or {})
        return Claim(line, claim_id, is_again="claim" in old, failures=old.get("failures", 0))

    def release(self, batch: Batch, claim: Claim) -> None:
        """Give up a claim of a line that there is no quota for."""
        update = Update()
        update.remove("claimed_until")
        self._give_up(batch, claim, update)

    def postpone(self, batch: Batch, claim: Claim, pause_s: float) -> None:
        """Give up a claim of a line that was asked in vain, and let it be asked again in `pause_s`."""
        update = Update()
        update.set("failures", claim.failures + 1)
        update.set("claimed_until", int(self._clock() + pause_s))
        self._give_up(batch, claim, update)

    def _give_up(self, batch: Batch, claim: Claim, update: Update) -> None:
        update.remove("claim")
        update.require("claim", "=", claim.id)
        request = {"TableName": self._table, "Key": line_key(batch.id, claim.line), **update.arguments()}
        try:
            write_beside_transactions(self._client, "UpdateItem", request)
        except ConditionFailedError:
            return  # it has run out, and somebody else has it

    def end(self, batch: Batch, claim: Claim, custom_id: str, answer: LineAnswer) -> bool:
        """Keep the answer of a claimed line, and count it, both or neither.

        False if the claim was lost, or the batch has ended meanwhile: then the answer is not kept.
        """
        line, sums = Update(), Update()
        for name, value in self._packed(batch, claim, answer).items():
            line.set(name, value)
        line.set("status", answer.status)
        line.set("request_id", answer.request_id)
        line.set("custom_id", custom_id)
        line.remove("claim")
        line.remove("claimed_until")
        line.require("claim", "=", claim.id)
        counted = Progress(
            completed=int(answer.is_good),
            failed=int(not answer.is_good),
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            cached_prompt_tokens=answer.cached_prompt_tokens,
            reasoning_tokens=answer.reasoning_tokens,
            cost_nanousd=answer.cost_nanousd,
            asked_again=int(claim.is_again),
        )
        for name, number in asdict(counted).items():
            if number:
                sums.add(name, number)
        sums.require_absent("is_closed")
        return write_together(
            self._client,
            [
                change(self._table, line_key(batch.id, claim.line), line),
                change(self._table, progress_key(batch.id, claim.line % PROGRESS_SHARDS), sums),
            ],
        )

    def ended(self, batch: Batch) -> Iterator[EndedLine]:
        """The lines of a batch that have ended, in order."""
        for item in self._query(batch.id, 1, 10**6 - 1):
            if "status" in item:
                number, body = int(item[BATCHES.sort]), self._unpacked(item)
                yield EndedLine(number, item["custom_id"], item["status"], item["request_id"], body)

    def _packed(self, batch: Batch, claim: Claim, answer: LineAnswer) -> Item:
        packed = zlib.compress(json.dumps(answer.body, separators=(",", ":")).encode(), 6)
        if len(packed) <= _MOST_INLINE_BYTES:
            return {"body": packed}
        key = part_key(batch.owner, batch.id, line_entry(claim.line))
        self._objects.put(key, packed)
        return {"object": key}

    def _unpacked(self, item: Item) -> JsonObject:
        packed = item["body"] if "body" in item else b"".join(self._objects.pieces(item["object"]))
        body: JsonObject = json.loads(zlib.decompress(packed))
        return body

    def _query(self, batch_id: str, first: int, last: int, *, with_answers: bool = True) -> Iterator[Item]:
        bounds: TypedItem = to_item(
            {":partition": lines(batch_id), ":first": line_entry(first), ":last": line_entry(last)}
        )
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#partition = :partition AND #sort BETWEEN :first AND :last",
            "ExpressionAttributeNames": {"#partition": BATCHES.partition, "#sort": BATCHES.sort},
            "ExpressionAttributeValues": bounds,
            "ConsistentRead": True,
        }
        if not with_answers:
            request["ProjectionExpression"] = "#sort, #status"
            request["ExpressionAttributeNames"]["#status"] = "status"
        return map(from_item, self._client.query(request))
