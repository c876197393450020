"""Providers that answer as a script says, and what they were asked."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sluice.chat import ChatChunk, ChatRequest, ChatResponse, JsonObject
from sluice.chat_stream import chunks_from_body
from sluice.embeddings.vectors import TextBatch
from sluice.providers.base import Provider, ProviderResponse, ProviderStream, ProviderVectors, RateLimitHeaders
from sluice.providers.deployment import Deployment
from sluice.providers.registry import Registry

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


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
