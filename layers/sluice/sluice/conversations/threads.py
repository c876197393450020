"""Threads of responses in DynamoDB: items of the table of conversations, laid out as `schema` says.

A turn of a thread has besides:    parent (the sequence it goes on from), record (all else of the response, compressed),
                                   size (of its messages as JSON)
The head's `next` grows when a response is begun, and not when it ends: so those that go on from the same one at the
same time get places of their own. One that is never ended leaves a gap.
"""

import time
from collections.abc import Callable, Sequence

from aws_lambda_powertools import Logger

from sluice.chat import JsonObject
from sluice.conversations.conversation import Owner, pack, pack_object, unpack_object
from sluice.conversations.schema import HEAD, Partitions, names, place, to_turn
from sluice.conversations.store import TTL_S, TURN_TTL_S
from sluice.conversations.thread import (
    FIRST,
    NONE,
    Ancestry,
    ReadLimits,
    ThreadPlace,
    ThreadTurn,
    ancestors_among,
    no_response,
)
from sluice.errors import StorageUnavailableError
from sluice.storage.client import DynamoDB
from sluice.storage.errors import CONDITION_FAILED, ConditionFailedError
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import CONVERSATIONS
from sluice.storage.transaction import write_or_say_why
from sluice.telemetry.metrics import emit_metric

MOST_BYTES = 390 * 1024
"""The most that a response and what it was asked with may have, compressed: DynamoDB takes 400 KB an item."""

# Others that go on from the same response make a transaction fail, though not for good.
_ATTEMPTS = 5
_PAUSE_S = 0.02
# A transaction takes a hundred writes. Of more, those that end first are refreshed.
_MOST_REFRESHED = 90
_SAID = ("sequence", "messages", "request_id", "created_at", "expires_at", "parent", "size")
_PREVIOUS = "previous_response_id"
_IS_OURS = "#owner = :owner AND #expires_at > :now AND attribute_not_exists(#is_deleted)"


logger = Logger(child=True)


class ThreadStore:
    """The threads of one table of conversations. Threads may share it. `clock` gives seconds since 1970.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(self, table: str, client: DynamoDB, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock
        self._partitions = Partitions(table, clock, client)

    def read(self, owner: Owner, where: ThreadPlace, param: str = "response_id") -> ThreadTurn:
        """A response. NotFoundError if there is none of this owner's."""
        keys = [place(owner, where.thread, sequence) for sequence in (HEAD, where.sequence)]
        found = {item["sequence"]: item for item in map(from_item, self._read(keys))}
        head, item = found.get(HEAD), found.get(where.sequence)
        is_there = head is not None and not self._partitions.is_over(head) and head["owner"] == owner.id
        if not is_there or item is None or item["expires_at"] <= self._clock() or "record" not in item:
            raise no_response(where.response_id, param)
        return _turn(owner, where.thread, item)

    def ancestry(self, owner: Owner, where: ThreadPlace, limits: ReadLimits) -> Ancestry:
        """A response and all that it goes on from, the newest of them within `limits`.

        NotFoundError if there is none of this owner's, or one before it has been deleted.
        """
        latest = self.read(owner, where, _PREVIOUS)
        turns, wanted, is_allowed = [latest], latest.parent, limits.allow([latest])
        while wanted != NONE and is_allowed:
            # Without their records, of which nothing is gone on from.
            shown = {"ProjectionExpression": ", ".join(f"#{name}" for name in _SAID)}
            query = self._before(owner, where.thread, wanted)
            query["ExpressionAttributeNames"] |= names(*_SAID)
            answer = self._client.call("Query", query | shown)
            items = [from_item(item) for item in answer["Items"]]
            alive = [each for each in items if each["expires_at"] > self._clock() and "parent" in each]
            last_wanted = wanted
            found, wanted = ancestors_among((_turn(owner, where.thread, each) for each in alive), wanted)
            turns += found
            is_allowed = limits.allow(turns)
            if wanted != NONE and (not items or wanted > items[-1]["sequence"] or wanted == last_wanted):
                raise no_response(ThreadPlace(where.thread, wanted).response_id, _PREVIOUS)
        while len(turns) > 1 and not limits.allow(turns):
            turns.pop()
        return Ancestry(tuple(turns[::-1]), is_allowed)

    def begin(self, owner: Owner, previous: ThreadPlace) -> ThreadPlace:
        """The place of a response that goes on from `previous`. NotFoundError if the thread is not this owner's."""
        values = {":owner": owner.id, ":now": int(self._clock()), ":one": 1}
        request = {
            "TableName": self._table,
            "Key": place(owner, previous.thread, HEAD),
            "UpdateExpression": "SET #next = #next + :one",
            "ConditionExpression": _IS_OURS,
            "ExpressionAttributeNames": names("next", "owner", "expires_at", "is_deleted"),
            "ExpressionAttributeValues": to_item(values),
            "ReturnValues": "UPDATED_NEW",
        }
        try:
            written = self._client.call("UpdateItem", request)
        except ConditionFailedError:
            raise no_response(previous.response_id, _PREVIOUS) from None
        return ThreadPlace(previous.thread, from_item(written["Attributes"])["next"] - 1)

    def keep(self, turn: ThreadTurn, ancestors: Sequence[ThreadTurn] = ()) -> bool:
        """Keep a response, and its `ancestors` as long as it.

        False if it is too large, or its thread has been deleted meanwhile.
        """
        now = int(self._clock())
        item = self._item(turn, now)
        if len(item["messages"]) + len(item["record"]) > MOST_BYTES:
            return _forgotten("the response is too large")
        key = place(turn.owner, turn.place.thread, turn.place.sequence)
        put = {"Put": {"TableName": self._table, "Item": key | to_item(item)}}
        head = self._first_head(turn, now) if turn.place.sequence == FIRST else self._later_head(turn, now)
        stale = sorted((each for each in ancestors if each.expires_at < now + TTL_S), key=_expiry)
        refreshing = [self._refresh(each, now + TURN_TTL_S) for each in stale]
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_S * attempt)
            reasons = write_or_say_why(self._client, [head, put, *refreshing[:_MOST_REFRESHED]])
            if not reasons:
                return True
            if reasons[0] == CONDITION_FAILED:
                return _forgotten("its thread was deleted")
            if CONDITION_FAILED in reasons:
                # One of them has just been deleted.
                refreshing = []
        raise StorageUnavailableError("Keeping a response failed: others go on from the same one.")

    def delete(self, owner: Owner, where: ThreadPlace) -> None:
        """Delete a response; NotFoundError if there is none of this owner's. Its thread goes with the last of it."""
        self.read(owner, where)
        self._client.call("DeleteItem", {"TableName": self._table, "Key": place(owner, where.thread, where.sequence)})
        answer = self._client.call("Query", {**self._before(owner, where.thread, 999_999_999), "Limit": 1})
        if not answer["Items"]:
            self._delete_head(owner, where.thread)

    def _delete_head(self, owner: Owner, thread: str) -> None:
        """Remove the head of a thread without a response. One that is being answered in it is not kept then."""
        request = {
            "TableName": self._table,
            "Key": place(owner, thread, HEAD),
            "ConditionExpression": "#owner = :owner AND attribute_not_exists(#is_deleted)",
            "ExpressionAttributeNames": names("owner", "is_deleted"),
            "ExpressionAttributeValues": to_item({":owner": owner.id}),
        }
        try:
            self._client.call("DeleteItem", request)
        except ConditionFailedError:
            return  # a deletion of the whole conversation is under way, and removes it

    def _read(self, keys: Sequence[JsonObject]) -> list[JsonObject]:
        return self._client.read_all(self._table, keys, consistently=True)

    def _before(self, owner: Owner, thread: str, last: int) -> JsonObject:
        """A Query of the responses up to `last`, newest first."""
        values = {":conversation": place(owner, thread, HEAD)[CONVERSATIONS.partition]["S"], ":first": 1, ":last": last}
        return {
            "TableName": self._table,
            "KeyConditionExpression": "#conversation = :conversation AND #sequence BETWEEN :first AND :last",
            "ExpressionAttributeNames": names(CONVERSATIONS.partition, CONVERSATIONS.sort),
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
            "ScanIndexForward": False,
        }

    def _first_head(self, turn: ThreadTurn, now: int) -> JsonObject:
        head = {
            "owner": turn.owner.id,
            "listed_for": turn.owner.id,
            "tenant": turn.owner.tenant,
            "created_at": now,
            "expires_at": now + TTL_S,
            "next": FIRST + 1,
        }
        return {
            "Put": {
                "TableName": self._table,
                "Item": place(turn.owner, turn.place.thread, HEAD) | to_item(head),
                "ConditionExpression": "attribute_not_exists(#owner)",
                "ExpressionAttributeNames": names("owner"),
            }
        }

    def _later_head(self, turn: ThreadTurn, now: int) -> JsonObject:
        values = {":owner": turn.owner.id, ":now": now, ":until": now + TTL_S}
        return {
            "Update": {
                "TableName": self._table,
                "Key": place(turn.owner, turn.place.thread, HEAD),
                "UpdateExpression": "SET #expires_at = :until",
                "ConditionExpression": _IS_OURS,
                "ExpressionAttributeNames": names("owner", "expires_at", "is_deleted"),
                "ExpressionAttributeValues": to_item(values),
            }
        }

    def _item(self, turn: ThreadTurn, now: int) -> Item:
        return {
            "messages": pack(turn.messages),
            "record": pack_object(turn.record),
            "size": turn.size,
            "parent": turn.parent,
            "request_id": turn.request_id,
            "created_at": turn.created_at,
            "expires_at": now + TURN_TTL_S,
        }

    def _refresh(self, turn: ThreadTurn, expires_at: int) -> JsonObject:
        return {
            "Update": {
                "TableName": self._table,
                "Key": place(turn.owner, turn.place.thread, turn.place.sequence),
                "UpdateExpression": "SET #expires_at = :expires_at",
                "ConditionExpression": "attribute_exists(#expires_at)",
                "ExpressionAttributeNames": names("expires_at"),
                "ExpressionAttributeValues": to_item({":expires_at": expires_at}),
            }
        }


def _expiry(turn: ThreadTurn) -> int:
    return turn.expires_at


def _forgotten(reason: str) -> bool:
    logger.warning("response not remembered", extra={"reason": reason})
    emit_metric("TurnForgotten", reason=reason)
    return False


def _turn(owner: Owner, thread: str, item: Item) -> ThreadTurn:
    said = to_turn(item)
    return ThreadTurn(
        owner=owner,
        place=ThreadPlace(thread, item["sequence"]),
        parent=item["parent"],
        request_id=said.request_id,
        created_at=said.created_at,
        expires_at=said.expires_at,
        messages=said.messages,
        size=item["size"],
        record=unpack_object(item["record"]) if "record" in item else {},
    )
