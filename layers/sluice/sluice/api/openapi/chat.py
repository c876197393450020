"""Routes of the function chat."""

from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from sluice.api.compat.llm import MessagesRequest, PromptRequest
from sluice.api.openapi.operation import Operation, PathParameter, Shown, ShownUnharmed
from sluice.chat import ChatRequest, JsonObject
from sluice.tenants.tenant import Role


class TokenUsage(ShownUnharmed):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletionMessage(ShownUnharmed):
    """What the model said, or which tools it calls."""

    role: str = "assistant"
    content: str | None = None
    tool_calls: list[dict[str, JsonValue]] | None = None


class ChatCompletionChoice(ShownUnharmed):
    """One of `n` answers."""

    index: int
    message: ChatCompletionMessage
    finish_reason: str | None = None


class ChatCompletion(ShownUnharmed):
    """OpenAI's `chat.completion` object, as the provider sent it."""

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[ChatCompletionChoice]
    usage: TokenUsage | None = None


class ChatCompletionChunkChoice(ShownUnharmed):
    """What is new of one of `n` answers."""

    index: int
    delta: dict[str, JsonValue]
    finish_reason: str | None = None


class ChatCompletionChunk(ShownUnharmed):
    """OpenAI's `chat.completion.chunk` object: the `data` of one event. The last event is `data: [DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[ChatCompletionChunkChoice]
    usage: TokenUsage | None = None


class Model(Shown):
    """A model that answers here, or `auto`: whichever the router chooses."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Always 0: the catalogue knows none.")
    owned_by: str
    tier: Literal["fast", "smart"] | None
    context_window: int = Field(description="Tokens.")
    providers: list[str]
    aliases: list[str] = Field(description="Other names of it.")


class Models(Shown):
    """The models that the key's tenant may use, after `auto`."""

    object: Literal["list"]
    data: list[Model]


class FlatAnswer(Shown):
    """An answer, what it took and what it cost. `cost_usd` is nothing for one that was `cached`."""

    content: str
    tokens_used: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float
    model: str
    provider: str | None = Field(description="null for a cached answer of a credential that is gone.")
    cached: bool
    request_id: str


class OpenApiDocument(BaseModel):
    """An OpenAPI 3.1 document."""

    openapi: str = Field(pattern=r"^3\.1\.")
    info: JsonObject
    paths: JsonObject


_QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]

OPERATIONS = (
    Operation(
        id="createChatCompletion",
        method="POST",
        path="/v1/chat/completions",
        tag="Chat",
        summary="Answer a chat",
        description=(
            "OpenAI's API: any OpenAI client works with `/v1` as its base URL. Fields that Sluice does not know reach "
            "the provider as they are. `model` is a model's name or alias, or `auto`, which lets the router choose. "
            "`metadata.conversation_id` continues a conversation, `metadata.user` keeps usage apart; neither is passed "
            "on. `Cache-Control: no-cache` asks for a new answer. With `stream` the answer is server-sent events; an "
            'error after the first one is an event of its own, `data: {"error": ...}`, and no `[DONE]` follows it.'
        ),
        role=Role.CALLER,
        body=ChatRequest,
        example={"model": "auto", "messages": _QUESTION, "max_tokens": 64},
        answer=ChatCompletion,
        events=(ChatCompletionChunk,),
        asks_a_model=True,
    ),
    Operation(
        id="listModels",
        method="GET",
        path="/v1/models",
        tag="Chat",
        summary="List the models",
        role=Role.CALLER,
        answer=Models,
    ),
    Operation(
        id="getModel",
        method="GET",
        path="/v1/models/{id+}",
        tag="Chat",
        summary="Show a model",
        role=Role.CALLER,
        parameters={"id": PathParameter("The id or an alias of a model. It may have slashes.", "llama-3.1-8b-instant")},
        answer=Model,
    ),
    Operation(
        id="completePrompt",
        method="POST",
        path="/api/v1/llm/completion",
        tag="Chat",
        summary="Answer a prompt",
        role=Role.CALLER,
        body=PromptRequest,
        example={"prompt": "Why is the sky blue?", "max_tokens": 64, "user_id": "student-7"},
        answer=FlatAnswer,
        asks_a_model=True,
    ),
    Operation(
        id="completeMessages",
        method="POST",
        path="/api/v1/llm/chat",
        tag="Chat",
        summary="Answer messages",
        role=Role.CALLER,
        body=MessagesRequest,
        example={"messages": _QUESTION, "max_tokens": 64, "user_id": "student-7"},
        answer=FlatAnswer,
        asks_a_model=True,
    ),
    Operation(
        id="getOpenApiDocument",
        method="GET",
        path="/openapi.json",
        tag="This document",
        summary="Describe this API",
        role=None,
        answer=OpenApiDocument,
    ),
)
