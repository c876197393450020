"""Chat, as OpenAI's API has it: POST /v1/chat/completions, whole and streamed."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

from pydantic import ConfigDict, Field, JsonValue, with_config

from sluice.api.labels import naming_headers
from sluice.api.route import Call, EventStream, Reply, Routes
from sluice.chat import ChatRequest, JsonObject
from sluice.errors import InvalidRequestError
from sluice.tenants.tenant import Role

ROUTES = Routes("Chat")

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Why is the sky blue?"}]
"""The messages of examples."""

_ALWAYS_THERE = {"role": "assistant", "content": None, "refusal": None}

# What a provider says reaches the caller as it came: there may be more in it.
_open = with_config(ConfigDict(extra="allow"))


@_open
class TokenUsage(TypedDict):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@_open
class ChatCompletionMessage(TypedDict):
    """What the model said, or which tools it calls."""

    role: NotRequired[str]
    content: NotRequired[str | None]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[list[dict[str, JsonValue]] | None]


@_open
class ChatCompletionChoice(TypedDict):
    """One of `n` answers."""

    index: int
    message: ChatCompletionMessage
    finish_reason: NotRequired[str | None]


@_open
class ChatCompletion(TypedDict):
    """OpenAI's `chat.completion` object, as the provider sent it."""

    id: str
    object: Literal["chat.completion"]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    model: str
    choices: list[ChatCompletionChoice]
    usage: NotRequired[TokenUsage | None]


@_open
class ChatCompletionChunkChoice(TypedDict):
    """What is new of one of `n` answers."""

    index: int
    delta: dict[str, JsonValue]
    finish_reason: NotRequired[str | None]


@_open
class ChatCompletionChunk(TypedDict):
    """OpenAI's `chat.completion.chunk` object: the `data` of one event. The last event is `data: [DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    model: str
    choices: list[ChatCompletionChunkChoice]
    usage: NotRequired[TokenUsage | None]


def described(body: JsonObject) -> ChatCompletion:
    """An answer with all that OpenAI's API describes as always there: null where the provider left it out.

    Clients that read answers strictly refuse those that lack it.
    """
    choices = [
        {"logprobs": None, **choice, "message": {**_ALWAYS_THERE, **choice["message"]}} for choice in body["choices"]
    ]
    return cast("ChatCompletion", {**body, "choices": choices})


def _check(call: Call[ChatRequest]) -> int:
    asked = call.body.labelled(call.labels)
    if asked.stream:
        raise InvalidRequestError("stream: nobody waits for the answers of a batch; leave it out.", param="stream")
    return call.app.gateway.check(asked, call.principal, call.context)


@ROUTES.post(
    "/v1/chat/completions",
    role=Role.CALLER,
    example={"model": "auto", "messages": QUESTION, "max_tokens": 64},
    events=(ChatCompletionChunk,),
    asks_a_model=True,
    asks_once=True,
    check=_check,
)
def create_chat_completion(call: Call[ChatRequest]) -> Reply[ChatCompletion] | EventStream:
    """Answer a chat.

    OpenAI's API: any OpenAI client works with `/v1` as its base URL. What OpenAI documents reaches the provider as it
    is; other fields do where an operator allows them, and are refused otherwise. `model` is a model's name or alias, or
    `auto`, which lets the router choose. The header `x-sluice-conversation-id` continues a conversation,
    `x-sluice-user` keeps usage apart, `x-sluice-task` names a task in logs and cache; `metadata.sluice_user` and so on
    do the same in the body, and are not passed on. `Cache-Control: no-cache` asks for a new answer.
    With `stream` the answer is server-sent events; an error after the first one is an event of its own,
    `data: {"error": ...}`, and no `[DONE]` follows it.
    """
    gateway, asked = call.app.gateway, call.body.labelled(call.labels)
    with naming_headers(call.labels):
        if asked.stream:
            streamed = gateway.stream(asked, call.principal, call.context)
            values = (chunk.body for chunk in streamed.chunks)
            return EventStream(values, streamed.provenance, streamed.chunks.close)
        answer = gateway.complete(asked, call.principal, call.context)
    return Reply(described(answer.body), answer.provenance)
