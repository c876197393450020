"""The body of POST /v1/messages, as https://docs.anthropic.com/en/api/messages describes it.

What no deployment could be asked is no field here and so refused; which blocks and tools can't be carried,
`chat_request` says by their names.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, FailFast, Field, JsonValue, Tag

from sluice.chat import MAX_MESSAGES, MAX_PARTS, Count, whole_number

type _Marks = dict[str, JsonValue]


class _Strict(BaseModel):
    """Takes the fields that it names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Block(_Strict):
    cache_control: _Marks | None = None


class TextBlock(_Block):
    """A text."""

    type: Literal["text"]
    text: str
    citations: list[dict[str, JsonValue]] | None = None


class Base64Source(_Strict):
    """The bytes of an image."""

    type: Literal["base64"]
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[A-Za-z0-9.+-]+$", max_length=64)]
    data: str


class UrlSource(_Strict):
    """Where an image is."""

    type: Literal["url"]
    url: str


class OtherSource(BaseModel):
    """An image that is somewhere else."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str


def _tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) and kind in _KNOWN else "other"


type _Source = Annotated[
    Annotated[Base64Source, Tag("base64")] | Annotated[UrlSource, Tag("url")] | Annotated[OtherSource, Tag("other")],
    Discriminator(_tag),
]


class ImageBlock(_Block):
    """An image."""

    type: Literal["image"]
    source: _Source


class DocumentBlock(_Block):
    """A document. Which sources there are depends on the provider."""

    type: Literal["document"]
    source: dict[str, JsonValue]
    title: str | None = None
    context: str | None = None
    citations: dict[str, JsonValue] | None = None


class ThinkingBlock(_Strict):
    """What a model thought, signed by its provider."""

    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(_Strict):
    """The same, encrypted."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(_Block):
    """A call of a tool."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1, max_length=256)]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: dict[str, JsonValue]
    caller: dict[str, JsonValue] | None = None


class ToolResultBlock(_Block):
    """What a call of a tool gave."""

    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(min_length=1, max_length=256)]
    content: "str | Blocks | None" = None
    is_error: bool | None = None


class OtherBlock(BaseModel):
    """A block of another kind."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str


type Block = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[RedactedThinkingBlock, Tag("redacted_thinking")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_tag),
]
type Blocks = Annotated[list[Block], Field(max_length=MAX_PARTS), FailFast()]

_KNOWN = frozenset(
    ("base64", "document", "image", "redacted_thinking", "text", "thinking", "tool_result", "tool_use", "url")
)


class InputMessage(_Strict):
    """A turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | Blocks


class MessageTool(BaseModel):
    """A tool of the caller's own. What only other kinds of tools have is refused with their kind."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    input_schema: dict[str, JsonValue] | None = None
    strict: bool | None = None
    cache_control: _Marks | None = None
    eager_input_streaming: bool | None = None


class MessageToolChoice(_Strict):
    """Which tool is to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class RequestMetadata(_Strict):
    """For whom the request is."""

    user_id: str | None = None


class ThinkingConfig(_Strict):
    """Whether, and how much, a model may think."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Count | None = None
    display: str | None = None


class OutputFormat(_Strict):
    """A schema that the answer has to keep to."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, serialize_by_alias=True)

    type: Literal["json_schema"]
    json_schema: Annotated[dict[str, JsonValue], Field(alias="schema")]


class OutputConfig(_Strict):
    """How the answer is to be."""

    effort: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    format: OutputFormat | None = None


class TokenCountRequest(_Strict):
    """The body of POST /v1/messages/count_tokens."""

    model: str = Field(min_length=1, max_length=256)
    messages: Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
    system: str | Blocks | None = None
    tools: Annotated[list[MessageTool], Field(max_length=MAX_PARTS), FailFast()] | None = None
    tool_choice: MessageToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    cache_control: _Marks | None = None
    context_management: dict[str, JsonValue] | None = None


class MessageRequest(TokenCountRequest):
    """The body of POST /v1/messages."""

    max_tokens: Count
    stream: bool | None = None
    stop_sequences: Annotated[list[str], Field(max_length=MAX_PARTS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0), BeforeValidator(whole_number)] | None = None
    metadata: RequestMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
