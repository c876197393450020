"""A gateway with all that it speaks to in memory: quotas, a cache, usage records, conversations, and providers.

Everything is done in the thread that asks, so that what is there after a request is all that the request did.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sluice.cache.store import CacheChange, CachedAnswer, CacheLookup, ResponseCache
from sluice.cache.sums import CacheSums
from sluice.catalog.catalog import catalog
from sluice.chat import ChatChunk, ChatRequest, ChatResponse, JsonObject, Message
from sluice.chat_stream import chunks_from_body
from sluice.conversations.conversation import Claim, Owner, TaskCall, Turn
from sluice.conversations.store import ConversationStore
from sluice.conversations.turns import Conversations
from sluice.embeddings.vectors import TextBatch
from sluice.errors import ConflictError, StorageUnavailableError
from sluice.gateway.admission import Admission
from sluice.gateway.counting import CallerCounter
from sluice.gateway.guard_models import GuardModels
from sluice.gateway.pipeline import Answer, Gateway, StreamedAnswer
from sluice.gateway.request import RequestContext
from sluice.gateway.settlement import Settlement
from sluice.gateway.shared_answers import SharedAnswers
from sluice.providers.base import Provider, ProviderResponse, ProviderStream, ProviderVectors, RateLimitHeaders
from sluice.providers.credentials import parse_credentials
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry
from sluice.quota.item import QuotaItem
from sluice.quota.ledger import Ledger
from sluice.quota.limits import BUDGET
from sluice.quota.scopes import deployment_scope, key_scope, tenant_scope
from sluice.request_log.record import RequestRecord
from sluice.request_log.trace import RequestTrace
from sluice.routing.deadline import Deadline
from sluice.routing.deployment_quota import DeploymentQuota
from sluice.routing.router import RetryLimits, Router
from sluice.routing.scoring import Weights
from sluice.settings import Settings
from sluice.tenants.principal import Principal
from sluice.tenants.tenant import ApiKey, Role, Tenant
from sluice.usage.records import UsageRecord, UsageRecords
from tests.counted import counted
from tests.credentials import model, secret
from tests.executors import Inline
from tests.fakes.dynamodb import MemoryDynamoDB

NOW_S = 1_790_000_000.0
HELLO = ({"role": "user", "content": "Hello there"},)
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
COST_NANOUSD = 20_000
"""What that costs at the price of `model()`: a dollar and two for a million tokens."""


def body(content: str | None = "Good morning.", *, usage: JsonObject | None = USAGE, **more: Any) -> JsonObject:
    """A `chat.completion` of one choice; `more` are fields of it, or `finish_reason` and `message` of its choice."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **more.pop("message", {})},
        "finish_reason": more.pop("finish_reason", "stop"),
    }
    counted_ = {} if usage is None else {"usage": usage}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **counted_,
        **more,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a provider answers: a body, whole or in chunks; `error` breaks a stream off before its end."""

    body: JsonObject = field(default_factory=body)
    chunks: Sequence[JsonObject] | None = None
    error: BaseException | None = None
    rate_limits: RateLimitHeaders = field(default_factory=RateLimitHeaders)
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a provider."""

    alias: str
    model: str
    request: ChatRequest
    timeout_s: float
    pause_s: float | None = None
    """None where the whole answer was asked for."""


class ScriptedStream(ProviderStream):
    """A reply in chunks."""

    def __init__(self, reply: Reply) -> None:
        self.rate_limits = reply.rate_limits
        self.closed = 0
        self.reply = reply

    def __iter__(self) -> Iterator[ChatChunk]:
        """See ProviderStream."""
        chunks = self.reply.chunks
        yield from chunks_from_body(self.reply.body, True) if chunks is None else map(ChatChunk, chunks)
        if self.reply.error is not None:
            raise self.reply.error

    def close(self) -> None:
        """See ProviderStream."""
        self.closed += 1

    def cost_usd(self, body: JsonObject) -> Decimal | None:
        """See ProviderStream."""
        return self.reply.cost_usd


@dataclass
class Script:
    """What providers answer, by alias: each reply once, then `Reply()`. It notes the calls.

    An exception is raised, and a function is called for what is answered.
    """

    replies: dict[str, list[Reply | BaseException | Callable[[], Reply]]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    streams: list[ScriptedStream] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)

    def next(self, call: Call) -> Reply:
        """What is answered to a call."""
        self.calls.append(call)
        waiting = self.replies.get(call.alias)
        reply = waiting.pop(0) if waiting else Reply()
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Reply) else reply()


class ScriptedProvider(Provider):
    """A provider that answers what its script says."""

    def __init__(self, deployment: Deployment, script: Script) -> None:
        super().__init__(deployment.config)
        self._script = script

    def warm_up(self) -> None:
        """See Provider."""
        self._script.warmed.append(self.config.alias)

    def complete(self, request: ChatRequest, model: str, timeout_s: float) -> ProviderResponse:
        """See Provider."""
        reply = self._script.next(Call(self.config.alias, model, request, timeout_s))
        return ProviderResponse(ChatResponse(reply.body), reply.rate_limits, reply.cost_usd)

    def stream(self, request: ChatRequest, model: str, timeout_s: float, pause_s: float = math.inf) -> ProviderStream:
        """See Provider."""
        reply = self._script.next(Call(self.config.alias, model, request, timeout_s, pause_s))
        self._script.streams.append(ScriptedStream(reply))
        return self._script.streams[-1]

    def embed(self, batch: TextBatch, model: str, timeout_s: float) -> ProviderVectors:
        """Not here."""
        raise NotImplementedError


class ScriptedRegistry(Registry):
    """A registry whose providers answer what a script says."""

    script: Script

    def provider(self, deployment: Deployment) -> Provider:
        """See Registry."""
        return ScriptedProvider(deployment, self.script)


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


def entry(alias: str, **models: Any) -> dict[str, Any]:
    """A credential of models; without any, of `small`, which is of the tier `fast`."""
    url = f"http://{alias}.example.com/v1"
    return {
        "provider": "gateway",
        "alias": alias,
        "api_key": "k",
        "base_url": url,
        "models": models or {"small": model()},
    }


class MemoryGateway:
    """A gateway for one tenant and one API key of it. `environment` is what its settings are read from."""

    def __init__(
        self,
        *credentials: dict[str, Any],
        environment: Mapping[str, str] | None = None,
        key: Mapping[str, Any] | None = None,
        user: str | None = None,
        **tenant: Any,
    ) -> None:
        self.settings = Settings.from_environment(environment or {})
        self.principal = Principal(
            ApiKey("key00001", "acme", Role.CALLER, "Web shop", **(key or {})),
            Tenant("acme", "Acme", **tenant),
            user=user,
        )
        self.script = Script()
        self.dynamodb = MemoryDynamoDB()
        self.cache, self.sums = MemoryCache(), MemorySums()
        self.records, self.conversations = MemoryRecords(), MemoryConversations()
        known = parse_credentials(secret(*(credentials or (entry("one"),))))
        registry = ScriptedRegistry.build(catalog(), known)
        assert isinstance(registry, ScriptedRegistry)
        assert not registry.broken, registry.broken
        registry.script = self.script
        self.registry = registry
        self.ledger = self.process()
        self.executor = Inline()
        self.shared = SharedAnswers(self.cache, self.sums)
        quota = DeploymentQuota(self.ledger)
        callers = CallerCounter(self.ledger, self.settings, self.executor)
        # A second round waits for a second.
        router = Router(quota, Weights(), RetryLimits(retries=0))
        turns = Conversations(self.conversations)
        self.admission = Admission(lambda _: registry, callers, self.shared, turns, self.settings, self.executor)
        self.settlement = Settlement(self.ledger, callers, quota, self.shared, self.records, self.executor)
        guards = GuardModels(router, self.ledger, self.records, self.executor, self.executor)
        self.gateway = Gateway(self.admission, router, self.settlement, guards)

    def process(self) -> Ledger:
        """A ledger that has seen nothing."""
        return Ledger("quota", lambda: NOW_S, client=self.dynamodb)

    def complete(self, **fields: Any) -> Answer:
        """Ask for a whole answer. Fields are the request's, or its context's by the names of those."""
        context = self.context(fields)
        return self.gateway.complete(self.request(fields), self.principal, context)

    def stream(self, **fields: Any) -> StreamedAnswer:
        """Ask for a stream."""
        context = self.context(fields)
        return self.gateway.stream(self.request({"stream": True, **fields}), self.principal, context)

    def read(self, **fields: Any) -> list[JsonObject]:
        """Ask for a stream and read it to its end."""
        return [chunk.body for chunk in self.stream(**fields).chunks]

    def context(self, fields: dict[str, Any]) -> RequestContext:
        """The context that `fields` name, which are taken from them."""
        names = RequestContext.__dataclass_fields__.keys() & fields.keys()
        given = {name: fields.pop(name) for name in names}
        usual = RequestContext("req_1", Deadline.after(60.0))
        self.last = replace(usual, **given)
        return self.last

    def request(self, fields: Mapping[str, Any]) -> ChatRequest:
        """A request, which says hello to `small` unless the fields say otherwise."""
        return ChatRequest.model_validate({"model": "small", "messages": HELLO, **fields})

    @property
    def trace(self) -> RequestTrace:
        """What was noted of the last request."""
        return self.last.trace

    def logged(self) -> RequestRecord:
        """The record of the last request, as of now."""
        return self.trace.record()

    def used(self, scope: str) -> dict[str, int]:
        """What counts of a scope's limits, without what is 0."""
        item = self.dynamodb.items.get(scope)
        totals = counted(QuotaItem(item)).totals if item else {}
        return {name: units for name, units in totals.items() if units}

    def counted(self) -> int:
        """The requests that count for the API key."""
        return self.used(key_scope("acme", "key00001")).get("requests_per_minute", 0)

    def spent(self) -> int:
        """What counts of the tenant's budget, in billionths of a dollar."""
        return self.used(tenant_scope("acme")).get(BUDGET, 0)

    def taken(self, deployment: str) -> dict[str, int]:
        """What counts of a deployment's limits of a minute."""
        used = self.used(deployment_scope(deployment))
        return {name.removesuffix("_per_minute"): units for name, units in used.items() if name.endswith("minute")}

    def asked(self) -> list[str]:
        """The aliases of the providers that were asked, in this order."""
        return [call.alias for call in self.script.calls]
