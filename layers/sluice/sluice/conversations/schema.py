"""Schema of conversations in DynamoDB: what each item holds.

conversation            sequence    holds
<tenant>#<id>           0           the head: owner, system prompt, `next` sequence, and who has claimed the next turn;
                                    `listed_for` is the owner, or says whose it was while it is being deleted
<tenant>#<id>           1, 2, ...   the messages of one turn, and the task's inputs that made them, compressed

Of the turns, only those below `next` exist: whatever else lies in the partition is what a deletion or an expiry left.
"""

from collections.abc import Callable
from contextlib import suppress

from aws_lambda_powertools import Logger

from sluice.chat import Message
from sluice.conversations.conversation import Owner, Summary, Turn, unpack, unpack_call
from sluice.storage.client import DynamoDB
from sluice.storage.errors import ConditionFailedError
from sluice.storage.item_types import Item, TypedItem, from_item, to_item, to_typed
from sluice.storage.tables import CONVERSATIONS
from sluice.telemetry.metrics import emit_metric

HEAD = 0
"""The sequence of a head."""

logger = Logger(child=True)


class Partitions:
    """What reading, adding and deleting have in common. `clock` gives seconds since the epoch, UTC."""

    def __init__(self, table: str, clock: Callable[[], float], client: DynamoDB) -> None:
        self._table = table
        self._clock = clock
        self._client = client

    def is_over(self, head: Item) -> bool:
        """Whether a head only waits to be removed."""
        return bool(head) and ("is_deleted" in head or head["expires_at"] <= int(self._clock()))

    def turns(self, owner: Owner, conversation_id: str, last: int, limit: int) -> list[Turn]:
        """At most `limit` turns up to `last`, newest first."""
        found: list[Turn] = []
        while last > 0 and len(found) < limit:
            values = {":conversation": partition(owner, conversation_id), ":first": 1, ":last": last}
            request = {
                "TableName": self._table,
                "KeyConditionExpression": "#conversation = :conversation AND #sequence BETWEEN :first AND :last",
                "ExpressionAttributeNames": names(CONVERSATIONS.partition, CONVERSATIONS.sort),
                "ExpressionAttributeValues": to_item(values),
                # The turn before may have ended a moment ago.
                "ConsistentRead": True,
                "ScanIndexForward": False,
                "Limit": limit - len(found),
            }
            answer = self._client.call("Query", request)
            items = [from_item(item) for item in answer["Items"]]
            alive = [to_turn(item) for item in items if item["expires_at"] > int(self._clock())]
            found += alive
            # Large turns come in several answers; what is older than an expired turn has expired too.
            if "LastEvaluatedKey" not in answer or len(alive) < len(items):
                break
            last = items[-1]["sequence"] - 1
        return found

    def delete_head(self, owner: Owner, conversation_id: str, *, claimed_by: str) -> None:
        """Remove a head, if it is still claimed so; otherwise somebody else's turn or deletion is under way."""
        request = {
            "TableName": self._table,
            "Key": place(owner, conversation_id, HEAD),
            "ConditionExpression": "#claimed_by = :claimed_by",
            "ExpressionAttributeNames": names("claimed_by"),
            "ExpressionAttributeValues": {":claimed_by": to_typed(claimed_by)},
        }
        with suppress(ConditionFailedError):
            self._client.call("DeleteItem", request)


def partition(owner: Owner, conversation_id: str) -> str:
    """Where all items of a conversation lie. Tenants have no `#` in their ids."""
    return f"{owner.tenant}#{conversation_id}"


def condemned(owner: Owner) -> str:
    """What conversations of an owner are listed for while they are being deleted. Tenants have no `!` in their ids."""
    return f"!deleted#{owner.id}"


def place(owner: Owner, conversation_id: str, sequence: int) -> TypedItem:
    """The key of an item."""
    return CONVERSATIONS.key(partition(owner, conversation_id), sequence)


def names(*attributes: str) -> dict[str, str]:
    """A placeholder for each attribute: many names are reserved words."""
    return {f"#{attribute}": attribute for attribute in attributes}


def id_of(item: Item) -> str:
    """The id of the conversation that an item is of."""
    return str(item[CONVERSATIONS.partition]).split("#", 1)[1]


def to_turn(item: Item) -> Turn:
    """What an item of a turn holds."""
    messages = _unpacked(item, "messages", unpack) or ()
    call = _unpacked(item, "task_call", unpack_call) if "task_call" in item else None
    return Turn(item["sequence"], messages, item["request_id"], item["created_at"], item["expires_at"], call)


def to_system(head: Item) -> tuple[Message, ...]:
    """The system prompt of a conversation."""
    return (_unpacked(head, "system", unpack) or ()) if "system" in head else ()


def to_summary(head: Item) -> Summary:
    """What a list shows of a conversation."""
    return Summary(id_of(head), head["next"] - 1, head["created_at"], head["expires_at"])


def _unpacked[T](item: Item, attribute: str, unpacking: Callable[[bytes], T]) -> T | None:
    """What an attribute holds; a corrupt turn is as good as forgotten, rather than the end of its conversation."""
    try:
        return unpacking(item[attribute])
    except ValueError:
        logger.warning("a stored turn is corrupt", extra={"sequence": item["sequence"], "attribute": attribute})
        emit_metric("ConversationCorrupt")
        return None
