"""What the Messages API answers and streams, as it is described."""

from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import Field, JsonValue

type StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "model_context_window_exceeded"
]


class AnswerText(TypedDict):
    """What the model said."""

    type: Literal["text"]
    text: str
    citations: list[dict[str, JsonValue]] | None


class ToolCaller(TypedDict):
    """Who calls a tool: the model itself."""

    type: Literal["direct"]


class AnswerToolUse(TypedDict):
    """A tool that the model calls."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, JsonValue]
    caller: ToolCaller


class AnswerThinking(TypedDict):
    """What the model thought. The signature is empty where its provider signs nothing."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnswerRedactedThinking(TypedDict):
    """What the model thought, encrypted by its provider."""

    type: Literal["redacted_thinking"]
    data: str


type AnswerBlock = AnswerText | AnswerToolUse | AnswerThinking | AnswerRedactedThinking


class CacheCreation(TypedDict):
    """What the provider's cache took in, by how long it keeps it."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class ThinkingTokens(TypedDict):
    """Of the tokens that were answered, those that were thought."""

    thinking_tokens: int


class MessageUsage(TypedDict):
    """Tokens as the provider counted them, 0 where it did not. What its cache had or took in is counted apart.

    What is null is not known: of most providers, in which tier and where they answer, and for how long their caches
    keep what they took in. No tool runs at a provider.
    """

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation | None
    output_tokens: int
    output_tokens_details: ThinkingTokens | None
    server_tool_use: None
    service_tier: Literal["standard", "priority", "batch"] | None
    inference_geo: str | None


class StopDetails(TypedDict):
    """Why a filter of the provider's ended the answer, which it does not say."""

    type: Literal["refusal"]
    category: None
    explanation: None


class AnswerMessage(TypedDict):
    """Anthropic's `message`. `stop_reason` is null where the provider does not say why the answer ends."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: StopReason | None
    stop_sequence: Annotated[str | None, Field(description="The one that ended it, where the provider says so.")]
    stop_details: StopDetails | None
    usage: MessageUsage
    container: None
    context_management: NotRequired[Annotated[dict[str, JsonValue], Field(description="Which edits were made: none.")]]


class MessageStart(TypedDict):
    """The first event. Its usage is 0: providers count at the end."""

    type: Literal["message_start"]
    message: AnswerMessage


class MessagePing(TypedDict):
    """An event that says nothing."""

    type: Literal["ping"]


class ContentBlockStart(TypedDict):
    """A block begins."""

    type: Literal["content_block_start"]
    index: int
    content_block: AnswerBlock


class TextDelta(TypedDict):
    """More of a text."""

    type: Literal["text_delta"]
    text: str


class InputJsonDelta(TypedDict):
    """More of the JSON of a call's input."""

    type: Literal["input_json_delta"]
    partial_json: str


class ThinkingDelta(TypedDict):
    """More of what the model thinks."""

    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(TypedDict):
    """The signature of what the model thought, whole."""

    type: Literal["signature_delta"]
    signature: str


class CitationsDelta(TypedDict):
    """A place that the text cites."""

    type: Literal["citations_delta"]
    citation: dict[str, JsonValue]


type Delta = TextDelta | InputJsonDelta | ThinkingDelta | SignatureDelta | CitationsDelta


class ContentBlockDelta(TypedDict):
    """More of the block that is open."""

    type: Literal["content_block_delta"]
    index: int
    delta: Delta


class ContentBlockStop(TypedDict):
    """A block ends."""

    type: Literal["content_block_stop"]
    index: int


class MessageEnding(TypedDict):
    """Why the answer ends."""

    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: StopDetails | None
    container: None


class MessageDelta(TypedDict):
    """What is known at the end."""

    type: Literal["message_delta"]
    delta: MessageEnding
    usage: MessageUsage
    context_management: NotRequired[dict[str, JsonValue]]


class MessageStop(TypedDict):
    """The last event of an answer that is whole."""

    type: Literal["message_stop"]


type Event = (
    MessageStart | MessagePing | ContentBlockStart | ContentBlockDelta | ContentBlockStop | MessageDelta | MessageStop
)


class MessageTokenCount(TypedDict):
    """How many tokens a request is estimated to have: no model is asked."""

    input_tokens: int
