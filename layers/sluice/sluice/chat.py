"""The provider-neutral wire types of a chat: OpenAI's shapes.

What Sluice does not interpret is carried along untouched, in both directions.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, JsonValue

from sluice.loading.dataclass import dataclass
from sluice.validation.text import IN_ANY_CASE

type JsonObject = dict[str, Any]
"""A decoded JSON object whose keys belong to somebody else's API."""

AUTO = "auto"
"""The model of a request that leaves the choice to Sluice."""

# What OpenAI documents for a chat completion (https://platform.openai.com/docs/api-reference/chat/create), and every
# provider may therefore be sent. Left out is `web_search_options`: its searches are billed beside the tokens.
DOCUMENTED_FIELDS = frozenset(
    {
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
_LIMITS = ("max_tokens", "max_completion_tokens")
# What a request may have without asking more of a model than to go on with a text.
_PLAIN_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "metadata", "user", "temperature", "top_p"})

# The names that labels had before they got a prefix.
_OLD_LABELS = frozenset({"task", "user", "conversation_id"})
MAX_LABEL_CHARACTERS = 128
"""The longest that a label may be."""

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

    role: Annotated[Literal["system", "developer", "user", "assistant", "tool", "function"], IN_ANY_CASE]
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

    include_usage: bool | None = None


class ResponseFormat(PassThrough):
    """`response_format` of a chat request. Which other types there are depends on the provider."""

    type: str = Field(min_length=1, max_length=64)
    json_schema: dict[str, JsonValue] | None = None


type _Label = Annotated[str, Field(max_length=MAX_LABEL_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a request says of itself to Sluice: for whom it is, for which task, and in which conversation."""

    user: str | None = None
    task: str | None = None
    conversation_id: str | None = None


class Metadata(PassThrough):
    """`metadata` of a chat request: Sluice's own fields, and whatever else the provider is to see."""

    sluice_user: _Label | None = None
    sluice_task: _Label | None = None
    sluice_conversation_id: _Label | None = None

    @property
    def old_labels(self) -> Labels | None:
        """Labels by the names that they had before they got a prefix, if these can mean nothing else.

        A client that has metadata of its own, or values that are no labels, means something else by them.
        """
        extra = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        is_own = self.sluice_user is None and self.sluice_task is None and self.sluice_conversation_id is None
        if is_own and extra and extra.keys() <= _OLD_LABELS and all(_is_label(value) for value in extra.values()):
            return Labels(**extra)
        return None


def _is_label(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_LABEL_CHARACTERS


def whole_number(value: object) -> object:
    """JSON has one kind of number, and some clients write all of them with a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


type Count = Annotated[int, Field(ge=1), BeforeValidator(whole_number)]
"""A number of tokens that a request allows."""
type _Choices = Annotated[int, Field(ge=1, le=16), BeforeValidator(whole_number)]


class ChatRequest(PassThrough):
    """The body of POST /v1/chat/completions. Fields that Sluice interprets are typed, all others pass through.

    Of the fields that OpenAI documents, null means the same as leaving them out.
    """

    model: str = Field(min_length=1, max_length=256)
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: _Choices | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    response_format: ResponseFormat | None = None
    metadata: Metadata | None = None

    @property
    def completion_limit(self) -> int | None:
        """The most completion tokens that one choice may have, None if unsaid: the larger of the two fields for it.

        A provider may know only one of them, and not the one that says less.
        """
        return max(
            (limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None), default=None
        )

    @property
    def labels(self) -> Labels:
        """What the request says of itself to Sluice."""
        if self.metadata is None:
            return Labels()
        own = self.metadata
        return own.old_labels or Labels(own.sluice_user, own.sluice_task, own.sluice_conversation_id)

    @property
    def is_plain(self) -> bool:
        """Whether it only has texts go on: what a provider refuses of it, it would refuse of anybody."""
        given = {name for name in self.model_fields_set | (self.model_extra or {}).keys() if self._given(name)}
        texts = all(isinstance(message.content, str | None) and not message.model_extra for message in self.messages)
        return texts and given <= _PLAIN_FIELDS

    def labelled(self, labels: Labels) -> "ChatRequest":
        """The request with `labels` in place of its own, as far as they say something.

        Old names in its metadata then are the client's own.
        """
        said = {
            f"sluice_{name}": value
            for name in ("user", "task", "conversation_id")
            if (value := getattr(labels, name)) is not None
        }
        if not said:
            return self
        kept = {} if self.metadata is None else self.metadata.model_dump(exclude_unset=True)
        return self.model_copy(update={"metadata": Metadata.model_validate(kept | said)})

    def body_for(self, model: str, limit_field: str | None = None) -> JsonObject:
        """The body a provider is to see: as it came, for `model`, without Sluice's own metadata.

        `limit_field` is what the provider calls the most completion tokens; None leaves it as it came.
        """
        body = {
            name: value
            for name, value in self.model_dump(exclude_unset=True).items()
            if value is not None or name not in DOCUMENTED_FIELDS
        }
        body["model"] = model
        own = self.metadata
        metadata = {
            name: value
            for name, value in (body.pop("metadata", None) or {}).items()
            if name not in Metadata.model_fields and not (own and own.old_labels and name in _OLD_LABELS)
        }
        if metadata:
            body["metadata"] = metadata
        if limit_field is not None and self.completion_limit is not None:
            for name in _LIMITS:
                body.pop(name, None)
            body[limit_field] = self.completion_limit
        return body

    def _given(self, name: str) -> bool:
        return getattr(self, name, None) is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the provider counted them.

    Among the prompt's are those that it had cached, and those that it took into its cache, some of them for long.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def from_body(cls, body: JsonObject) -> "Usage | None":
        """Read `usage` of an answer or chunk; None if a number is missing or can't be.

        It is believed upwards only: a total, or thoughts, beyond what it calls the completion belong to it as well.
        """
        usage = body.get("usage")
        if not isinstance(usage, dict):
            return None
        prompt, completion = _prompt_in(usage), _count(usage, "completion_tokens", "output_tokens")
        total = _count(usage, "total_tokens")
        if usage.keys().isdisjoint(_PROMPTS) and completion is not None and total is not None:
            # Which part of the total is which is not said: the larger counts as the completion, which costs more.
            prompt, completion = sorted((max(total - completion, 0), completion))
        if prompt is None or prompt < 1 or completion is None:
            return None
        thoughts = reasoning_tokens_in(body)
        said = completion + thoughts if thoughts > completion else completion
        completion = max(said, (total or 0) - prompt)
        cached = min(_cached_in(usage), prompt)
        written = min(_written_in(usage), prompt - cached)
        details = _details(usage, "prompt_tokens_details", "input_tokens_details")
        long = min(_count(details, "long_cache_write_tokens") or 0, written)
        return cls(prompt, completion, cached, written, long)


_PROMPTS = ("prompt_tokens", "input_tokens")
_MOST_DIGITS = 12


def _prompt_in(usage: JsonObject) -> int | None:
    if "prompt_tokens" in usage:
        return _count(usage, "prompt_tokens")
    # Anthropic's own counts leave out what its cache reads and takes in.
    others = [_count(usage, name) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens")]
    prompt = _count(usage, "input_tokens")
    return None if prompt is None else prompt + sum(others)


def _cached_in(usage: JsonObject) -> int:
    details = _details(usage, "prompt_tokens_details", "input_tokens_details")
    found = _count(details, "cached_tokens")
    if found is None:
        found = _count(usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    return found or 0


def _written_in(usage: JsonObject) -> int:
    details = _details(usage, "prompt_tokens_details", "input_tokens_details")
    found = _count(details, "cache_write_tokens", "cache_creation_tokens")
    return found or _count(usage, "cache_creation_input_tokens") or 0


def reasoning_tokens_in(body: JsonObject) -> int:
    """How many tokens of an answer's completion were thought and not said, as far as the provider tells."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return 0
    details = _details(usage, "completion_tokens_details", "output_tokens_details")
    return _count(details, "reasoning_tokens") or _count(usage, "reasoning_tokens") or 0


def _details(usage: JsonObject, *names: str) -> JsonObject:
    return next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})


def _count(counts: JsonObject, *names: str) -> int | None:
    """The first of `names` that is there, if it is a number of tokens."""
    value = next((counts[name] for name in names if counts.get(name) is not None), None)
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MOST_DIGITS:
        # Some servers write their counts as texts.
        value = int(value)
    value = whole_number(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


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
