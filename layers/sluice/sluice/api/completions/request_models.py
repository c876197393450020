"""The body of POST /v1/completions, and what it answers (https://platform.openai.com/docs/api-reference/completions)."""

from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, with_config

from sluice.api.chat import TokenUsage
from sluice.chat import MAX_PARTS, Count, Metadata, StreamOptions, whole_number

type _Choices = Annotated[int, Field(ge=1, le=16), BeforeValidator(whole_number)]


class CompletionRequest(BaseModel):
    """The body of POST /v1/completions. What a chat has as well means the same."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    model: str = Field(min_length=1, max_length=256)
    prompt: str | Annotated[list[JsonValue], Field(min_length=1, max_length=MAX_PARTS)]
    max_tokens: Annotated[Count | None, Field(description="16, if nothing is said.")] = None
    n: _Choices | None = None
    best_of: _Choices | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: Annotated[int, Field(ge=0, le=20), BeforeValidator(whole_number)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    metadata: Metadata | None = None


class CompletionLogprobs(TypedDict):
    """Each token, where in the text it begins, how likely it was, and which others were."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


# What a provider says reaches the caller as it came: there may be more in it.
_open = with_config(ConfigDict(extra="allow"))


@_open
class CompletionChoice(TypedDict):
    """One of `n` texts, or what is new of it."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: str | None


@_open
class TextCompletion(TypedDict):
    """OpenAI's `text_completion`, whole or the `data` of one event. The last event is `data: [DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    model: str
    choices: list[CompletionChoice]
    usage: NotRequired[TokenUsage | None]
