"""Adds turns to conversations in DynamoDB.

A turn is claimed by one conditional write to the head, and added by one transaction, which needs the claim to be held
still: so turns never interleave, and a process that dies leaves a claim that runs out and nothing else.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from sluice.chat import JsonObject, Message
from sluice.conversations.conversation import Claim, Owner, TaskCall, Turn, no_conversation, pack, pack_call
from sluice.conversations.schema import HEAD, Partitions, names, place, to_system
from sluice.errors import ConflictError, StorageUnavailableError
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import (
    CONDITION_FAILED,
    ConditionFailedError,
    TransactionConflictError,
)
from sluice.storage.item_types import Item, TypedItem, from_item, to_item, to_typed
from sluice.storage.transaction import write_or_say_why

TTL_S = 30 * 86_400
"""How long a conversation is remembered after its last turn."""

TURN_TTL_S = TTL_S + 86_400
"""How long a turn is kept: a day longer, so that turns of one day live on together without being written anew."""

# A claim that somebody else asks for meanwhile makes a transaction fail, though not for good.
_ATTEMPTS = 5
_PAUSE_S = 0.02


class ConversationStore:
    """One table of conversations. Threads may share it. `clock` gives seconds since the epoch, UTC.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(self, table: str, clock: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()
        self._partitions = Partitions(table, clock, self._client)

    def claim(self, owner: Owner, conversation_id: str, request_id: str, hold_s: float) -> Claim:
        """Claim the next turn for `hold_s` seconds, in one write; a conversation that is not there is begun.

        Raises ConflictError while another request holds the claim, NotFoundError if the conversation is not `owner`'s.
        """
        until = math.ceil(self._clock() + hold_s)
        key = place(owner, conversation_id, HEAD)
        head, is_won = self._write_claim(key, owner, request_id, until)
        if not is_won and self._partitions.is_over(head) and not self._is_held(head, request_id):
            is_won = self._begin_anew(key, owner, head, request_id, until)
            head = {"next": 1} if is_won else {}
        if is_won:
            return Claim(owner, conversation_id, request_id, head["next"], to_system(head))
        if head and not self._partitions.is_over(head) and head["owner"] != owner.id:
            raise no_conversation(conversation_id, param="metadata.sluice_conversation_id")
        raise ConflictError(
            f"The conversation {conversation_id!r} is answering another request; send this one when that has ended.",
            param="metadata.sluice_conversation_id",
            code="conversation_busy",
        )

    def history(self, claim: Claim, most_turns: int) -> tuple[Turn, ...]:
        """The latest turns before the claimed one, oldest first: one Query, none for the first turn."""
        if claim.sequence == 1:
            return ()
        turns = self._partitions.turns(claim.owner, claim.conversation_id, claim.sequence - 1, most_turns)
        return tuple(turns)[::-1]

    def complete(
        self,
        claim: Claim,
        messages: Sequence[Message],
        system: Sequence[Message],
        history: Sequence[Turn] = (),
        made_of: TaskCall | None = None,
    ) -> bool:
        """Add the claimed turn and give up the claim, both or neither; False if the claim is no longer held.

        `system` is the conversation's system prompt from now on. What was read as `history` lives on with the
        conversation. Raises StorageUnavailableError, after which the turn may or may not be there.
        """
        now = int(self._clock())
        expires_at = now + TTL_S
        turn = Turn(claim.sequence, tuple(messages), claim.request_id, now, now + TURN_TTL_S, made_of)
        required = [self._advance(claim, system, now, expires_at), self._put_turn(claim, turn)]
        stale = [turn.sequence for turn in history if turn.expires_at < expires_at]
        refreshing = [self._refresh(claim, sequence, now + TURN_TTL_S) for sequence in stale]
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_S * attempt)
            reasons = write_or_say_why(self._client, [*required, *refreshing])
            if not reasons:
                return True
            if reasons[0] == CONDITION_FAILED:
                return False
            if CONDITION_FAILED in reasons:
                # One of them has just been deleted for its age.
                refreshing = []
        raise StorageUnavailableError("Adding a turn failed: others are writing the same conversation.")

    def abandon(self, claim: Claim) -> None:
        """Give up the claim, leaving the conversation as it was, or none if this was to be its first turn."""
        if claim.sequence == 1:
            self._partitions.delete_head(claim.owner, claim.conversation_id, claimed_by=claim.request_id)
            return
        request = {
            "TableName": self._table,
            "Key": place(claim.owner, claim.conversation_id, HEAD),
            "UpdateExpression": "REMOVE #claimed_by, #claimed_until",
            "ConditionExpression": "#claimed_by = :request",
            "ExpressionAttributeNames": names("claimed_by", "claimed_until"),
            "ExpressionAttributeValues": {":request": to_typed(claim.request_id)},
        }
        # It may have run out and be another request's now, or the conversation was deleted.
        with suppress(ConditionFailedError):
            self._client.call("UpdateItem", request)

    def _write_claim(self, key: TypedItem, owner: Owner, request_id: str, until: int) -> tuple[Item, bool]:
        """Claim a conversation that is the owner's and free, or not there: its head, and whether that succeeded."""
        values = {
            ":request": request_id,
            ":until": until,
            ":owner": owner.id,
            ":first": 1,
            ":now": int(self._clock()),
        }
        request = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": (
                "SET #claimed_by = :request, #claimed_until = :until, #owner = :owner, "
                "#next = if_not_exists(#next, :first), #expires_at = if_not_exists(#expires_at, :until)"
            ),
            "ConditionExpression": (
                "attribute_not_exists(#conversation) OR (#owner = :owner AND #expires_at > :now "
                "AND attribute_not_exists(#is_deleted) AND (attribute_not_exists(#claimed_until) "
                "OR #claimed_until <= :now OR #claimed_by = :request))"
            ),
            "ExpressionAttributeNames": names(
                "conversation", "claimed_by", "claimed_until", "owner", "next", "expires_at", "is_deleted"
            ),
            "ExpressionAttributeValues": to_item(values),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            written = self._client.call("UpdateItem", request)
        except TransactionConflictError:
            # A turn of the conversation was just being added.
            return {}, False
        except ConditionFailedError as error:
            return from_item(error.item or {}), False
        return from_item(written["Attributes"]), True

    def _begin_anew(self, key: TypedItem, owner: Owner, over: Item, request_id: str, until: int) -> bool:
        """Put a new head in place of one that is `over`; False if somebody else was faster."""
        head = {
            "owner": owner.id,
            "next": 1,
            "expires_at": until,
            "claimed_by": request_id,
            "claimed_until": until,
        }
        was_claimed = "claimed_by" in over
        condition = "#claimed_by = :claimed_by" if was_claimed else "attribute_not_exists(#claimed_by)"
        values = {":expires_at": over["expires_at"]}
        if was_claimed:
            values[":claimed_by"] = over["claimed_by"]
        request = {
            "TableName": self._table,
            "Item": key | to_item(head),
            "ConditionExpression": f"#expires_at = :expires_at AND {condition}",
            "ExpressionAttributeNames": names("expires_at", "claimed_by"),
            "ExpressionAttributeValues": to_item(values),
        }
        try:
            self._client.call("PutItem", request)
        except (ConditionFailedError, TransactionConflictError):
            return False
        return True

    def _is_held(self, head: Item, request_id: str) -> bool:
        return bool(head.get("claimed_until", 0) > self._clock()) and head["claimed_by"] != request_id

    def _advance(self, claim: Claim, system: Sequence[Message], now: int, expires_at: int) -> JsonObject:
        """Give up the claim and count its turn."""
        values: Item = {
            ":request": claim.request_id,
            ":owner": claim.owner.id,
            ":tenant": claim.owner.tenant,
            ":expires_at": expires_at,
            ":now": now,
            ":next": claim.sequence + 1,
        }
        set_names = ["claimed_by", "claimed_until", "expires_at", "listed_for", "tenant", "created_at", "next"]
        setting = (
            "SET #next = :next, #expires_at = :expires_at, #listed_for = :owner, #tenant = :tenant, "
            "#created_at = if_not_exists(#created_at, :now)"
        )
        if tuple(system) != claim.system:
            setting += ", #system = :system"
            set_names.append("system")
            values[":system"] = pack(system)
        return {
            "Update": {
                "TableName": self._table,
                "Key": place(claim.owner, claim.conversation_id, HEAD),
                "UpdateExpression": f"{setting} REMOVE #claimed_by, #claimed_until",
                "ConditionExpression": "#claimed_by = :request",
                "ExpressionAttributeNames": names(*set_names),
                "ExpressionAttributeValues": to_item(values),
            }
        }

    def _put_turn(self, claim: Claim, turn: Turn) -> JsonObject:
        values = {
            "messages": pack(turn.messages),
            "request_id": turn.request_id,
            "created_at": turn.created_at,
            "expires_at": turn.expires_at,
        }
        if turn.made_of is not None:
            values["task_call"] = pack_call(turn.made_of)
        key = place(claim.owner, claim.conversation_id, turn.sequence)
        return {"Put": {"TableName": self._table, "Item": key | to_item(values)}}

    def _refresh(self, claim: Claim, sequence: int, expires_at: int) -> JsonObject:
        return {
            "Update": {
                "TableName": self._table,
                "Key": place(claim.owner, claim.conversation_id, sequence),
                "UpdateExpression": "SET #expires_at = :expires_at",
                "ConditionExpression": "attribute_exists(#expires_at)",
                "ExpressionAttributeNames": names("expires_at"),
                "ExpressionAttributeValues": {":expires_at": to_typed(expires_at)},
            }
        }
