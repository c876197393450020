"""The provider-neutral wire types of a chat: OpenAI's shapes.

What Sluice does not interpret is carried along untouched, in both directions.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeIs

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue

type JsonObject = dict[str, Any]
"""A decoded JSON object whose keys belong to somebody else's API."""

AUTO = "auto"
"""The model of a request that leaves the choice to Sluice."""

# `metadata` also belongs to OpenAI's API: these keys are ours, the rest is the provider's.
OWN_METADATA_KEYS = frozenset({"task", "user", "conversation_id"})

# A body of 6 MB holds millions of items, and each would become an object, or several errors: so lists also fail fast.
MAX_MESSAGES = 2_048
MAX_PARTS = 2_048


class PassThrough(BaseModel):
    """Keeps fields that Sluice does not know."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ContentPart(PassThrough):
    """One part of a multi-part content; only text is read."""

    type: str
    text: str | None = None


class Message(PassThrough):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Field(max_length=MAX_PARTS), FailFast()] | None = None

    @property
    def text(self) -> str:
        """All text of the message, parts joined by newlines."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if part.text)


class StreamOptions(PassThrough):
    """`stream_options` of a chat request."""

    include_usage: bool = False


class ResponseFormat(PassThrough):
    """`response_format` of a chat request."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, JsonValue] | None = None


class Metadata(PassThrough):
    """`metadata` of a chat request: Sluice's own fields, and whatever else the provider is to see."""

    task: str | None = Field(default=None, max_length=128)
    user: str | None = Field(default=None, max_length=128)
    conversation_id: str | None = Field(default=None, max_length=128)


class ChatRequest(PassThrough):
    """The body of POST /v1/chat/completions. Fields that Sluice interprets are typed, all others pass through."""

    model: str = Field(min_length=1, max_length=256)
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1, le=16)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    response_format: ResponseFormat | None = None
    metadata: Metadata | None = None

    @property
    def completion_limit(self) -> int | None:
        """The most completion tokens the caller allows for one choice, None if unsaid."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    def body_for(self, model: str) -> JsonObject:
        """The body a provider is to see: as it came, for `model`, without Sluice's own metadata."""
        body = self.model_dump(exclude_unset=True)
        body["model"] = model
        metadata = {
            key: value for key, value in (body.pop("metadata", None) or {}).items() if key not in OWN_METADATA_KEYS
        }
        if metadata:
            body["metadata"] = metadata
        return body


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def from_body(cls, body: JsonObject) -> "Usage | None":
        """Read `usage` of an answer or chunk; None if it is missing or not what it should be."""
        usage = body.get("usage")
        if not isinstance(usage, dict):
            return None
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
        if not _is_count(prompt) or not _is_count(completion):
            return None
        return cls(prompt, completion)


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """A whole answer. `body` is the provider's `chat.completion` object, unharmed."""

    body: JsonObject

    @property
    def texts(self) -> list[str]:
        """The text of each choice, empty where it is a tool call."""
        return [choice.get("message", {}).get("content") or "" for choice in self.body.get("choices", [])]

    @property
    def usage(self) -> Usage | None:
        """Tokens as the provider counted them."""
        return Usage.from_body(self.body)


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """One event of a streamed answer. `body` is the provider's `chat.completion.chunk` object, unharmed."""

    body: JsonObject

    @property
    def deltas(self) -> list[tuple[int, str]]:
        """(choice index, new text) of each choice that has new text."""
        found = []
        for choice in self.body.get("choices") or []:
            text = (choice.get("delta") or {}).get("content")
            if text:
                found.append((int(choice.get("index", 0)), text))
        return found

    @property
    def usage(self) -> Usage | None:
        """Tokens, on the chunk that carries them (Groq also sends them as `x_groq.usage`)."""
        extension = self.body.get("x_groq")
        return Usage.from_body(self.body) or (Usage.from_body(extension) if isinstance(extension, dict) else None)


def _is_count(value: object) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
