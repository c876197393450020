"""Text completions as chats of one message, and back. Pure.

A model is asked to answer the prompt, and not to go on with it: those that are served today are made for chats.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NoReturn, cast

from sluice.api.completions.request_models import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    TextCompletion,
)
from sluice.chat import DOCUMENTED_FIELDS, ChatChunk, ChatRequest, JsonObject
from sluice.errors import InvalidRequestError

_USUAL_MAX_TOKENS = 16
# What both APIs have, under one name and for the same.
_SHARED = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "metadata",
        "n",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "user",
    }
)
_OWN = frozenset({"best_of", "echo", "logprobs", "max_tokens", "model", "prompt", "suffix"})
# What of a message is its text, or says nothing.
_TEXTS = ("content", "refusal")
_UNSAID = frozenset({"role", "tool_calls", "function_call", *_TEXTS})


def chat_request(asked: CompletionRequest) -> ChatRequest:
    """The request as one of a chat. Raises InvalidRequestError for what can't be carried, by its name."""
    given = asked.model_dump(exclude_unset=True, exclude_none=True)
    if asked.echo:
        _refuse("echo", "a model is asked in a chat, whose answer does not repeat the prompt")
    if asked.suffix:
        _refuse("suffix", "a model is asked in a chat, and fills no gap in a text")
    if asked.best_of is not None and asked.best_of > (asked.n or 1):
        _refuse("best_of", "should be no more than `n`: nobody chooses among the answers of a chat")
    if foreign := sorted(given.keys() & DOCUMENTED_FIELDS - _SHARED - _OWN):
        _refuse(foreign[0], "a text completion has no such field, and /v1/chat/completions has")
    body = {name: value for name, value in given.items() if name not in _OWN}
    body |= {"model": asked.model, "messages": [{"role": "user", "content": _prompt(asked)}]}
    body["max_tokens"] = asked.max_tokens or _USUAL_MAX_TOKENS
    if asked.logprobs is not None:
        # That of the chosen token comes in any case.
        body["logprobs"] = True
        if asked.logprobs:
            body["top_logprobs"] = asked.logprobs
    return ChatRequest.model_validate(body)


def text_completion(body: JsonObject) -> TextCompletion:
    """The `chat.completion` in `body` as a text completion."""
    offsets: dict[int, int] = {}
    choices = [_choice(choice, choice.get("message") or {}, offsets) for choice in body.get("choices") or []]
    return _framed(body, choices)


def text_chunks(chunks: Iterable[ChatChunk]) -> Iterator[TextCompletion]:
    """The chunks of a chat as those of a text completion. Raises what `chunks` raise."""
    offsets: dict[int, int] = {}
    for chunk in chunks:
        given = chunk.body.get("choices") or []
        choices = [_choice(choice, choice.get("delta") or {}, offsets) for choice in given]
        # In a chat, the first chunk only says whose turn it is.
        said = [choice for choice in choices if choice.keys() > _EMPTY or any(choice[name] for name in _SAYING)]
        if said or not given:
            yield _framed(chunk.body, said)


# The likelihood of a token may come before its text, whose last character may be in the next one.
_SAYING: tuple[Literal["text", "logprobs", "finish_reason"], ...] = ("text", "logprobs", "finish_reason")
_EMPTY = frozenset({"index", *_SAYING})


def _framed(body: JsonObject, choices: list[CompletionChoice]) -> TextCompletion:
    rest = {name: value for name, value in body.items() if name not in ("choices", "object")}
    framed: TextCompletion = {
        "id": str(rest.pop("id", "")),
        "object": "text_completion",
        "created": rest.pop("created", 0),
        "model": str(rest.pop("model", "")),
        "choices": choices,
    }
    # What else a provider says reaches the caller.
    return cast("TextCompletion", {**framed, **rest})


def _choice(choice: JsonObject, said: JsonObject, offsets: dict[int, int]) -> CompletionChoice:
    index = int(choice.get("index") or 0)
    text = "".join(said[name] for name in _TEXTS if isinstance(said.get(name), str))
    offset = offsets.get(index, 0)
    offsets[index] = offset + len(text)
    plain: CompletionChoice = {
        "index": index,
        "text": text,
        "logprobs": _logprobs(choice.get("logprobs"), offset),
        "finish_reason": choice.get("finish_reason"),
    }
    # What was thought, for example: it is no part of the text.
    beside = {name: value for name, value in said.items() if name not in _UNSAID and value is not None}
    return cast("CompletionChoice", {**plain, **beside})


def _logprobs(given: JsonObject | None, offset: int) -> CompletionLogprobs | None:
    if not given or not given.get("content"):
        return None
    found: CompletionLogprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": None, "text_offset": []}
    others: list[dict[str, float]] = []
    for entry in given["content"]:
        found["tokens"].append(entry["token"])
        found["token_logprobs"].append(entry["logprob"])
        found["text_offset"].append(offset)
        others.append({other["token"]: other["logprob"] for other in entry.get("top_logprobs") or []})
        offset += len(entry["token"])
    if any(others):
        found["top_logprobs"] = others
    return found


def _prompt(asked: CompletionRequest) -> str:
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if not all(isinstance(each, str) for each in prompts):
        _refuse("prompt", "should be a text, or a list of one: arrays of tokens are not taken")
    if len(prompts) > 1:
        _refuse("prompt", "should be one text: several are several requests, or a batch")
    return str(prompts[0])


def _refuse(param: str, reason: str) -> NoReturn:
    raise InvalidRequestError(f"{param}: {reason}.", param=param)
