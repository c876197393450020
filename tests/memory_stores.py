"""What a gateway keeps, in memory: its cache, usage records and conversations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice.cache.store import CacheChange, CachedAnswer, CacheLookup, ResponseCache
from sluice.cache.sums import CacheSums
from sluice.chat import Message
from sluice.conversations.conversation import Claim, Owner, TaskCall, Turn
from sluice.conversations.store import ConversationStore
from sluice.errors import ConflictError, StorageUnavailableError
from sluice.usage.records import UsageRecord, UsageRecords

NOW_S = 1_790_000_000.0


@dataclass
class MemoryCache(ResponseCache):
    """Answers by key, with the lifetimes that they were put with, in one generation."""

    answers: dict[str, CachedAnswer] = field(default_factory=dict)
    lifetimes_s: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    generation: int = 3
    is_down: bool = False

    def look_up(self, tenant: str, key: str | None) -> CacheLookup:
        """See ResponseCache."""
        if self.is_down:
            raise StorageUnavailableError("The cache is down.")
        self.asked.append(key)
        return CacheLookup(self.answers.get(key or ""), self.generation)

    def put(self, key: str, answer: CachedAnswer, ttl_s: int, generation: int) -> tuple[CacheChange, ...]:
        """See ResponseCache."""
        assert generation == self.generation
        self.answers[key] = answer
        self.lifetimes_s.append(ttl_s)
        return (CacheChange(generation, ttl_s, 1, 100),)


@dataclass
class MemorySums(CacheSums):
    """What was added, by tenant."""

    added: list[tuple[str, tuple[CacheChange, ...]]] = field(default_factory=list)

    def add(self, tenant: str, changes: Any) -> None:
        """See CacheSums."""
        self.added.append((tenant, tuple(changes)))


@dataclass
class MemoryRecords(UsageRecords):
    """The records that were added."""

    added: list[UsageRecord] = field(default_factory=list)
    is_down: bool = False

    def add(self, record: UsageRecord, now: object) -> None:
        """See UsageRecords."""
        if self.is_down:
            raise StorageUnavailableError("Usage is down.")
        self.added.append(record)


@dataclass
class MemoryConversations(ConversationStore):
    """Turns by the id of their conversation, and the claims there are and were."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    claimed: dict[str, Claim] = field(default_factory=dict)
    owners: list[Owner] = field(default_factory=list)
    abandoned: int = 0

    def claim(self, owner: Owner, conversation_id: str, request_id: str, hold_s: float) -> Claim:
        """See ConversationStore."""
        if conversation_id in self.claimed:
            raise ConflictError("Another request has it.", code="conversation_busy")
        claim = Claim(owner, conversation_id, request_id, len(self.turns.get(conversation_id, [])) + 1, ())
        self.claimed[conversation_id] = claim
        self.owners.append(owner)
        return claim

    def history(self, claim: Claim, most_turns: int) -> tuple[Turn, ...]:
        """See ConversationStore."""
        return tuple(self.turns.get(claim.conversation_id, [])[-most_turns:])

    def complete(
        self,
        claim: Claim,
        messages: Sequence[Message],
        system: Sequence[Message],
        history: Sequence[Turn] = (),
        made_of: TaskCall | None = None,
    ) -> bool:
        """See ConversationStore."""
        del self.claimed[claim.conversation_id]
        turn = Turn(claim.sequence, tuple(messages), claim.request_id, 0, 0, made_of)
        self.turns.setdefault(claim.conversation_id, []).append(turn)
        return True

    def abandon(self, claim: Claim) -> None:
        """See ConversationStore."""
        del self.claimed[claim.conversation_id]
        self.abandoned += 1

    def said(self, conversation_id: str) -> list[str]:
        """All texts of a conversation."""
        return [message.text for turn in self.turns.get(conversation_id, []) for message in turn.messages]
