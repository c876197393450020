"""The body of POST /v1/responses, and the types of its answers, as the API's description has them."""

from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import BaseModel, ConfigDict, FailFast, Field, with_config

from sluice.chat import MAX_MESSAGES, Count, JsonObject, PassThrough

type _Items = Annotated[list[JsonObject], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
type _Id = Annotated[str, Field(min_length=1, max_length=128)]
type _Short = Annotated[str, Field(max_length=256)]

# What is said of a response may be more than is told here.
_open = with_config(ConfigDict(extra="allow"))


class ResponseQuestion(PassThrough):
    """What a response is asked with: of POST /v1/responses, and of POST /v1/responses/input_tokens.

    `input` is a text, or items: messages, calls of functions and their outputs, reasoning, references to items.
    """

    # Built when the first of them comes: most processes see none.
    model_config = ConfigDict(defer_build=True)

    model: str = Field(min_length=1, max_length=256)
    input: str | _Items
    instructions: str | None = None
    previous_response_id: _Id | None = None
    conversation: _Id | JsonObject | None = None
    tools: Annotated[list[JsonObject], Field(max_length=512)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    text: JsonObject | None = None
    reasoning: JsonObject | None = None
    truncation: Literal["auto", "disabled"] | None = None


class ResponseRequest(ResponseQuestion):
    """The body of POST /v1/responses. Null means the same as leaving a field out.

    With `store`, which is so unless it is false, the response can be read later, and gone on from with
    `previous_response_id`.
    """

    stream: bool | None = None
    stream_options: JsonObject | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: Annotated[list[_Short], Field(max_length=32)] | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None
    user: _Short | None = None
    safety_identifier: _Short | None = None
    prompt_cache_key: _Short | None = None
    prompt_cache_retention: _Short | None = None
    service_tier: _Short | None = None


class ResponseQuery(BaseModel):
    """The query of what has no options; clients send some all the same."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class ReadResponseQuery(ResponseQuery):
    """The query of GET /v1/responses/{response_id}: `stream` can't be asked for."""

    stream: Literal["true", "false"] | None = None


class InputItemsQuery(ResponseQuery):
    """The query of a list of items: at most `limit` of them, the latest first unless `order` is `asc`, `after` one."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[str, Field(max_length=128)] | None = None


@_open
class ResponseItem(TypedDict):
    """An item that was asked or answered: a message, a call of a function, what was thought, and so on."""

    type: str
    id: NotRequired[str]


class InputTokensDetails(TypedDict):
    """Of the tokens that were asked, those that the provider had in its cache, and those that it put there."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(TypedDict):
    """Of the tokens that were answered, those that were thought."""

    reasoning_tokens: int


class ResponseUsage(TypedDict):
    """Tokens as the provider counted them."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseFailure(TypedDict):
    """Why a response failed."""

    code: str
    message: str


class IncompleteDetails(TypedDict):
    """Why an answer ends before its end."""

    reason: str | None


@_open
class Response(TypedDict):
    """OpenAI's `response` object: what was answered, and the options it was answered with.

    `store` says whether it is kept, which is not so if it is too large, or `Cache-Control: no-store` was sent.
    """

    id: str
    object: Literal["response"]
    created_at: Annotated[int, Field(description="Seconds since 1970.")]
    completed_at: Annotated[int | None, Field(description="Seconds since 1970.")]
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseFailure | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[ResponseItem]
    previous_response_id: str | None
    store: bool
    usage: ResponseUsage | None
    metadata: dict[str, str]


@_open
class ResponseEvent(TypedDict):
    """An event of a streamed response. `sequence_number` counts them from 0.

    `type` is also the event's name: `response.created`, `response.output_text.delta`, `response.completed` and so on.
    """

    type: str
    sequence_number: int


class ResponseItems(TypedDict):
    """A page of the items that a response was asked with."""

    object: Literal["list"]
    data: list[ResponseItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedResponse(TypedDict):
    """A response that is gone."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputTokens(TypedDict):
    """How many tokens a response would be asked with, at the most that is likely."""

    object: Literal["response.input_tokens"]
    input_tokens: int
