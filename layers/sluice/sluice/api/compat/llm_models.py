"""The bodies that /api/v1/llm takes, and its flat answer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, FailFast, Field

from sluice.chat import AUTO, MAX_MESSAGES, ChatRequest, Count, Message, Metadata
from sluice.errors import SluiceError

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
