"""Conversations, for their owners to list, read and delete."""

import time
from collections.abc import Callable, Iterator, Sequence

from sluice.conversations.conversation import Owner, Summary, Transcript, no_conversation, parse_page
from sluice.conversations.schema import (
    HEAD,
    Partitions,
    condemned,
    id_of,
    names,
    partition,
    place,
    to_summary,
    to_system,
)
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB, dynamodb
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, from_item, to_item
from sluice.storage.tables import CONVERSATIONS, CONVERSATIONS_BY_OWNER

# Longer than any function runs: nobody begins anew while a deletion is still under way.
_DELETION_S = 900
# Longer than any turn is kept: who deletes a user's data finds what a deletion that broke off has left.
_CONDEMNED_S = 32 * 86_400
_BATCH = 25


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of an owner's conversations, the latest first; `next_page`, if there are more, is what asks for them."""

    conversations: tuple[Summary, ...]
    next_page: str | None


class ConversationReader:
    """Lists, reads and deletes the conversations of one table. Threads may share it. `clock` gives seconds since 1970.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(self, table: str, clock: Callable[[], float] = time.time, *, client: DynamoDB | None = None) -> None:
        self._table = table
        self._clock = clock
        self._client = client or dynamodb()
        self._partitions = Partitions(table, clock, self._client)

    def listing(self, owner: Owner, *, page: str | None, limit: int) -> Listing:
        """At most `limit` of an owner's conversations, the latest first. What was done a moment ago may be missing."""
        now = int(self._clock())
        request = {
            "TableName": self._table,
            "IndexName": CONVERSATIONS_BY_OWNER,
            "KeyConditionExpression": "#listed_for = :owner AND #expires_at > :now",
            "ExpressionAttributeNames": names("listed_for", "expires_at"),
            "ExpressionAttributeValues": to_item({":owner": owner.id, ":now": now}),
            "ScanIndexForward": False,
            # One more tells whether there is a next page.
            "Limit": limit + 1,
        }
        if page is not None:
            expires_at, conversation_id = parse_page(page)
            # All that came after it has expired too, and DynamoDB takes no start outside of what is asked for.
            if expires_at <= now:
                return Listing((), None)
            listed = CONVERSATIONS.indexes[CONVERSATIONS_BY_OWNER].key(owner.id, expires_at)
            request["ExclusiveStartKey"] = listed | place(owner, conversation_id, HEAD)
        found = self._client.call("Query", request)
        summaries = tuple(to_summary(from_item(item)) for item in found["Items"])
        shown = summaries[:limit]
        last = shown[-1] if len(summaries) > limit else None
        return Listing(shown, f"{last.expires_at}:{last.id}" if last else None)

    def read(self, owner: Owner, conversation_id: str, *, before: int | None, limit: int) -> Transcript:
        """A conversation with at most `limit` of its turns, the latest or those before a sequence; else NotFoundError.

        A turn that is under way is not in it.
        """
        head = self._head(owner, conversation_id)
        last = head["next"] - 1 if before is None else min(before, head["next"]) - 1
        found = self._partitions.turns(owner, conversation_id, last, limit + 1) if last > 0 else []
        return Transcript(to_summary(head), to_system(head), tuple(found[:limit][::-1]), len(found) > limit)

    def ids(self, owner: Owner) -> Iterator[str]:
        """The ids of all of an owner's conversations, also of those whose deletion broke off.

        A conversation that was begun or ended a moment ago may be missing, or gone.
        """
        for listed_for in (owner.id, condemned(owner)):
            request = {
                "TableName": self._table,
                "IndexName": CONVERSATIONS_BY_OWNER,
                "KeyConditionExpression": "#listed_for = :owner",
                "ExpressionAttributeNames": names("listed_for"),
                "ExpressionAttributeValues": to_item({":owner": listed_for}),
            }
            for item in self._client.query(request):
                yield id_of(from_item(item))

    def delete(self, owner: Owner, conversation_id: str) -> None:
        """Delete a conversation; NotFoundError if there is none. A turn under way is answered, and not remembered.

        The id is free again when this returns. If it does not return, the conversation is gone for everybody; deleting
        it once more removes what is left sooner than its age does.
        """
        deletion = f"deletion_{time.time_ns()}"
        if not self._condemn(owner, conversation_id, deletion):
            raise no_conversation(conversation_id)
        for sequences in self._batches(owner, conversation_id):
            self._delete_turns(owner, conversation_id, sequences)
        self._partitions.delete_head(owner, conversation_id, claimed_by=deletion)

    def _head(self, owner: Owner, conversation_id: str) -> Item:
        key = place(owner, conversation_id, HEAD)
        answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True})
        head = from_item(answer.get("Item", {}))
        # One without a turn is being begun: there is nothing to read or to list yet.
        if not head or self._partitions.is_over(head) or head["owner"] != owner.id or head["next"] == 1:
            raise no_conversation(conversation_id)
        return head

    def _condemn(self, owner: Owner, conversation_id: str, deletion: str) -> bool:
        """Take a conversation away from everybody; False if there is none."""
        now = int(self._clock())
        values = {
            ":true": True,
            ":deletion": deletion,
            ":until": now + _DELETION_S,
            ":expires_at": now + _CONDEMNED_S,
            ":condemned": condemned(owner),
            ":owner": owner.id,
            ":now": now,
        }
        request = {
            "TableName": self._table,
            "Key": place(owner, conversation_id, HEAD),
            "UpdateExpression": (
                "SET #is_deleted = :true, #claimed_by = :deletion, #claimed_until = :until, "
                "#expires_at = :expires_at, #listed_for = :condemned REMOVE #system"
            ),
            "ConditionExpression": "#owner = :owner AND #expires_at > :now",
            "ExpressionAttributeNames": names(
                "is_deleted", "claimed_by", "claimed_until", "expires_at", "listed_for", "system", "owner"
            ),
            "ExpressionAttributeValues": to_item(values),
        }
        try:
            self._client.call("UpdateItem", request)
        except ConditionFailedError:
            return False
        return True

    def _batches(self, owner: Owner, conversation_id: str) -> Iterator[list[int]]:
        """The sequences of all turns, as many at a time as one request can delete."""
        while True:
            values = {":conversation": partition(owner, conversation_id), ":head": HEAD}
            request = {
                "TableName": self._table,
                "KeyConditionExpression": "#conversation = :conversation AND #sequence > :head",
                "ProjectionExpression": "#sequence",
                "ExpressionAttributeNames": names(CONVERSATIONS.partition, CONVERSATIONS.sort),
                "ExpressionAttributeValues": to_item(values),
                "ConsistentRead": True,
                "Limit": _BATCH,
            }
            answer = self._client.call("Query", request)
            sequences = [from_item(item)["sequence"] for item in answer["Items"]]
            if not sequences:
                return
            yield sequences

    def _delete_turns(self, owner: Owner, conversation_id: str, sequences: Sequence[int]) -> None:
        requests = [{"DeleteRequest": {"Key": place(owner, conversation_id, sequence)}} for sequence in sequences]
        # What DynamoDB leaves unprocessed is found, and deleted, by the next query.
        self._client.call("BatchWriteItem", {"RequestItems": {self._table: requests}})
