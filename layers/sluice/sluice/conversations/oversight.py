"""A tenant's conversations, for its operators to find, read and delete, whosever they are."""

import time
from collections.abc import Callable, Iterator

from sluice.chat import JsonObject
from sluice.conversations.conversation import Owner, Summary, Transcript, no_conversation, parse_page
from sluice.conversations.reader import ConversationReader
from sluice.conversations.schema import HEAD, Partitions, id_of, names, place, to_summary
from sluice.loading.dataclass import dataclass
from sluice.storage.client import DynamoDB
from sluice.storage.item_types import Item, TypedItem, from_item, to_item
from sluice.storage.tables import CONVERSATIONS, CONVERSATIONS_BY_TENANT

# What one request reads at most: the filters read what they leave out.
_PAGE = 500
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class OwnedSummary:
    """What a list shows of a conversation, and whose it is."""

    owner: Owner
    summary: Summary


@dataclass(frozen=True, slots=True)
class TenantListing:
    """Some of a tenant's conversations, the latest begun first; `next_page`, if there may be more, asks for them."""

    conversations: tuple[OwnedSummary, ...]
    next_page: str | None


class Oversight:
    """All conversations of one table, by tenant. Threads may share it. `clock` gives seconds since 1970.

    All methods raise StorageUnavailableError when DynamoDB does not answer.
    """

    def __init__(
        self, table: str, reader: ConversationReader, client: DynamoDB, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._reader = reader
        self._client = client
        self._partitions = Partitions(table, clock, client)

    def listing(
        self, tenant: str, *, caller: str | None, user: str | None, page: str | None, limit: int
    ) -> TenantListing:
        """At most `limit` of a tenant's conversations; of one `caller`, or `user`, or of both, if they are given.

        There may be fewer of them though others follow. What was done a moment ago may be missing, and so is what
        Sluice 0.1 has stored until its next turn.
        """
        start = None if page is None else self._start(tenant, page)
        found: list[Item] = []
        for _ in range(_MOST_PAGES):
            answer = self._query(tenant, start)
            wanted = [item for item in map(from_item, answer["Items"]) if _is_of(item, caller, user)]
            found += wanted
            start = answer.get("LastEvaluatedKey")
            if len(found) > limit or start is None:
                break
        shown = found[:limit]
        heads = self._heads(tenant, [id_of(item) for item in shown])
        summaries = tuple(_owned(heads[id_of(item)]) for item in shown if id_of(item) in heads)
        if len(found) > limit:
            return TenantListing(summaries, _page(shown[-1]))
        return TenantListing(summaries, _page(from_item(start)) if start else None)

    def owner(self, tenant: str, conversation_id: str) -> Owner:
        """Whose a conversation of a tenant is, also one whose deletion broke off; NotFoundError if there is none."""
        key = place(Owner(tenant, ""), conversation_id, HEAD)
        answer = self._client.call("GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True})
        if "Item" not in answer:
            raise no_conversation(conversation_id)
        return Owner.parse(from_item(answer["Item"])["owner"])

    def of_user(self, tenant: str, user: str) -> Iterator[tuple[Owner, str]]:
        """Owners and ids of all conversations of a user, whichever caller named it, as `ConversationReader.ids`.

        All of the tenant's are read for it, a page at a time.
        """
        start, has_more = None, True
        while has_more:
            answer = self._query(tenant, start)
            for item in map(from_item, answer["Items"]):
                owner = Owner.parse(item["owner"])
                if owner.user == user:
                    yield owner, id_of(item)
            start = answer.get("LastEvaluatedKey")
            has_more = start is not None

    def read(self, owner: Owner, conversation_id: str, *, before: int | None, limit: int) -> Transcript:
        """See ConversationReader.read."""
        return self._reader.read(owner, conversation_id, before=before, limit=limit)

    def delete(self, owner: Owner, conversation_id: str) -> None:
        """See ConversationReader.delete."""
        self._reader.delete(owner, conversation_id)

    def _query(self, tenant: str, start: TypedItem | None) -> JsonObject:
        request = {
            "TableName": self._table,
            "IndexName": CONVERSATIONS_BY_TENANT,
            "KeyConditionExpression": "#tenant = :tenant",
            "ExpressionAttributeNames": names("tenant"),
            "ExpressionAttributeValues": to_item({":tenant": tenant}),
            "ScanIndexForward": False,
            "Limit": _PAGE,
        }
        return self._client.call("Query", request | ({"ExclusiveStartKey": start} if start else {}))

    def _heads(self, tenant: str, ids: list[str]) -> dict[str, Item]:
        """The heads of conversations that there are."""
        keys = [place(Owner(tenant, ""), each, HEAD) for each in ids]
        found = map(from_item, self._client.read_all(self._table, keys))
        return {id_of(head): head for head in found if not self._partitions.is_over(head) and "created_at" in head}

    def _start(self, tenant: str, page: str) -> TypedItem:
        created_at, conversation_id = parse_page(page)
        listed = CONVERSATIONS.indexes[CONVERSATIONS_BY_TENANT].key(tenant, created_at)
        return listed | place(Owner(tenant, ""), conversation_id, HEAD)


def _is_of(item: Item, caller: str | None, user: str | None) -> bool:
    owner = Owner.parse(item["owner"])
    return caller in {None, owner.caller} and user in {None, owner.user}


def _owned(head: Item) -> OwnedSummary:
    return OwnedSummary(Owner.parse(head["owner"]), to_summary(head))


def _page(item: Item) -> str:
    return f"{item['created_at']}:{id_of(item)}"
