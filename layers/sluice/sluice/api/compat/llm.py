"""/api/v1/llm: a prompt or messages in, a flat answer out, over the same path as /v1/chat/completions."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, FailFast, Field

from sluice.api.chat import QUESTION
from sluice.api.labels import naming_headers
from sluice.api.route import Call, Reply, Routes
from sluice.chat import AUTO, MAX_MESSAGES, ChatRequest, ChatResponse, Count, JsonObject, Message, Metadata
from sluice.errors import SluiceError
from sluice.tenants.tenant import Role

if TYPE_CHECKING:
    from sluice.gateway.provenance import Provenance

ROUTES = Routes("Chat")

type _Name = Annotated[str, Field(min_length=1, max_length=128)]

_FIELDS = {
    "metadata.sluice_user": "user_id",
    "metadata.sluice_conversation_id": "conversation_id",
    "conversation_id": "conversation_id",
}


class LlmRequest(BaseModel, ABC):
    """What both routes take. `model` forces one, `skip_cache` a new answer; usage is kept apart by `user_id`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    user_id: _Name | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    skip_cache: bool = False
    conversation_id: _Name | None = None

    @property
    @abstractmethod
    def said(self) -> list[Message]:
        """The messages, but for the system prompt."""

    @property
    @abstractmethod
    def field_of_messages(self) -> str:
        """The field that they come from."""

    def to_chat(self) -> ChatRequest:
        """The request as the gateway takes it: what was not given is not set."""
        system = [] if self.system_prompt is None else [Message(role="system", content=self.system_prompt)]
        given = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "metadata": Metadata(sluice_user=self.user_id, sluice_conversation_id=self.conversation_id),
        }
        fields = {name: value for name, value in given.items() if value is not None}
        return ChatRequest.model_validate({"model": self.model, "messages": [*system, *self.said], **fields})

    @contextmanager
    def naming_its_fields(self) -> Iterator[None]:
        """Let an error about a field of the gateway's request name the field of this one that it came from."""
        try:
            yield
        except SluiceError as error:
            param = error.param or ""
            error.param = self.field_of_messages if param.startswith("messages") else _FIELDS.get(param, error.param)
            raise


class PromptRequest(LlmRequest):
    """The body of POST /api/v1/llm/completion."""

    prompt: Annotated[str, Field(min_length=1)]

    @property
    def said(self) -> list[Message]:
        """See LlmRequest."""
        return [Message(role="user", content=self.prompt)]

    @property
    def field_of_messages(self) -> str:
        """See LlmRequest."""
        return "prompt"


class MessagesRequest(LlmRequest):
    """The body of POST /api/v1/llm/chat."""

    # One fewer than a chat may have, for the system prompt.
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES - 1), FailFast()]

    @property
    def said(self) -> list[Message]:
        """See LlmRequest."""
        return self.messages

    @property
    def field_of_messages(self) -> str:
        """See LlmRequest."""
        return "messages"


class FlatAnswer(TypedDict):
    """An answer, what it took and what it cost. `cost_usd` is nothing for one that was `cached`."""

    content: str
    tokens_used: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    model: str
    provider: Annotated[str | None, Field(description="null for a cached answer of a credential that is gone.")]
    cached: bool
    timestamp: Annotated[str, Field(description="When it was answered: ISO 8601, UTC.")]
    response_time_ms: Annotated[int, Field(description="From the request to the answer.")]
    request_id: str


@ROUTES.post(
    "/api/v1/llm/completion",
    role=Role.CALLER,
    example={"prompt": "Why is the sky blue?", "max_tokens": 64, "user_id": "student-7"},
    asks_a_model=True,
    asks_once=True,
)
def complete_prompt(call: Call[PromptRequest]) -> Reply[FlatAnswer]:
    """Answer a prompt."""
    return _complete(call)


@ROUTES.post(
    "/api/v1/llm/chat",
    role=Role.CALLER,
    example={"messages": QUESTION, "max_tokens": 64, "user_id": "student-7"},
    asks_a_model=True,
    asks_once=True,
)
def complete_messages(call: Call[MessagesRequest]) -> Reply[FlatAnswer]:
    """Answer messages."""
    return _complete(call)


def _complete[Asked: LlmRequest](call: Call[Asked]) -> Reply[FlatAnswer]:
    skip_cache = call.skips_cache or call.body.skip_cache
    context = replace(call.context, skip_cache=skip_cache, is_prompt_fixed=True)
    started_s = time.monotonic()
    with naming_headers(call.labels), call.body.naming_its_fields():
        asked = call.body.to_chat().labelled(call.labels)
        answer = call.app.gateway.complete(asked, call.principal, context)
    return Reply(_flat(answer.body, answer.provenance, time.monotonic() - started_s), answer.provenance)


def _flat(body: JsonObject, provenance: "Provenance", response_time_s: float) -> FlatAnswer:
    """A whole answer of the gateway; token counts are those of when it was made, null if its provider said none."""
    chat = ChatResponse(body)
    usage = chat.usage
    return {
        "content": next(iter(chat.texts), ""),
        "tokens_used": usage.total_tokens if usage else None,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cost_usd": None if provenance.cost_usd is None else float(provenance.cost_usd),
        "model": provenance.model or "",
        "provider": provenance.provider,
        "cached": provenance.is_cached,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "response_time_ms": round(response_time_s * 1000),
        "request_id": provenance.request_id,
    }
