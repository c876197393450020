"""/api/v1/llm: a prompt or messages in, a flat answer out, over the same path as /v1/chat/completions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from sluice.chat import AUTO, MAX_MESSAGES, ChatRequest, ChatResponse, JsonObject, Message, Metadata
from sluice.errors import SluiceError
from sluice.gateway.provenance import Provenance

type _Name = Annotated[str, Field(min_length=1, max_length=128)]

_FIELDS = {
    "metadata.user": "user_id",
    "metadata.conversation_id": "conversation_id",
    "conversation_id": "conversation_id",
}


class LlmRequest(BaseModel, ABC):
    """What both routes take. `model` forces one, `skip_cache` a new answer; usage is kept apart by `user_id`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    user_id: _Name | None = None
    model: Annotated[str, Field(min_length=1, max_length=256)] = AUTO
    max_tokens: Annotated[int, Field(ge=1)] | None = None
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
            "metadata": Metadata(user=self.user_id, conversation_id=self.conversation_id),
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


def flat(body: JsonObject, provenance: Provenance) -> JsonObject:
    """A whole answer of the gateway as both routes show it.

    Token counts are those of the answer when it was made, null if its provider did not say; the cost is what this
    request cost, so nothing when `cached`. `provider` is null for a cached answer of a credential that is gone.
    """
    chat = ChatResponse(body)
    usage = chat.usage
    return {
        "content": next(iter(chat.texts), ""),
        "tokens_used": usage.total_tokens if usage else None,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cost_usd": float(provenance.cost_usd or 0),
        "model": provenance.model,
        "provider": provenance.provider,
        "cached": provenance.is_cached,
        "request_id": provenance.request_id,
    }
