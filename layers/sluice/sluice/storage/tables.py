"""The key schemas of all tables, as template.yaml deploys them: names of attributes, in one place.

What else an item holds is said where it is written, at the top of each store.
"""

from collections.abc import Mapping
from dataclasses import field

from sluice.loading.dataclass import dataclass
from sluice.storage.item_types import TypedItem, to_typed


@dataclass(frozen=True, slots=True)
class KeySchema:
    """The attributes that find an item: the partition key and the sort key, which is "" where there is none."""

    partition: str
    sort: str = ""

    def key(self, partition: str, sort: str | int | None = None) -> TypedItem:
        """The key of one item, in DynamoDB's typed form; `sort` exactly where there is a sort key."""
        if (sort is None) == bool(self.sort):
            raise ValueError(f"the sort key is {self.sort!r}, and {sort!r} was given for it")
        key = {self.partition: to_typed(partition)}
        if sort is not None:
            key[self.sort] = to_typed(sort)
        return key


@dataclass(frozen=True, slots=True)
class TableSchema(KeySchema):
    """A table: its key, the attribute that says when DynamoDB deletes an item, if any, and the keys of its indexes."""

    ttl: str = ""
    indexes: Mapping[str, KeySchema] = field(default_factory=dict)


RESPONSE_CACHE = TableSchema("key", ttl="expires_at")
QUOTA = TableSchema("scope", ttl="expires_at")
DIRECTORY = TableSchema("owner", "entry")
USAGE = TableSchema("tenant_day", "hour_route", ttl="expires_at")
CONVERSATIONS_BY_OWNER = "by-owner"
CONVERSATIONS_BY_TENANT = "by-tenant"
CONVERSATIONS = TableSchema(
    "conversation",
    "sequence",
    ttl="expires_at",
    indexes={
        CONVERSATIONS_BY_OWNER: KeySchema("listed_for", "expires_at"),
        CONVERSATIONS_BY_TENANT: KeySchema("tenant", "created_at"),
    },
)
QUESTIONS = TableSchema("bank", "question")
REQUEST_LOG = TableSchema("tenant_shard", "request", ttl="expires_at")
BATCHES = TableSchema("collection", "entry", ttl="expires_at")
STORES = TableSchema("collection", "entry", ttl="expires_at")
VECTORS = TableSchema("scope", "chunk")
INGESTION = TableSchema("collection", "entry", ttl="expires_at")

TABLES = {
    "RESPONSE_CACHE_TABLE": RESPONSE_CACHE,
    "QUOTA_TABLE": QUOTA,
    "DIRECTORY_TABLE": DIRECTORY,
    "USAGE_TABLE": USAGE,
    "CONVERSATIONS_TABLE": CONVERSATIONS,
    "QUESTIONS_TABLE": QUESTIONS,
    "REQUEST_LOG_TABLE": REQUEST_LOG,
    "BATCHES_TABLE": BATCHES,
    "STORES_TABLE": STORES,
    "VECTORS_TABLE": VECTORS,
    "INGESTION_TABLE": INGESTION,
}
"""All tables, by the environment variable that holds a table's name."""
