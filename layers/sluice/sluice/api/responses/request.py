"""What a response is asked with as the request of a chat, and what the response says of it. Pure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import ValidationError

from sluice.api.responses.body import ResponseQuestion, ResponseRequest
from sluice.api.responses.file_search import FileSearch, file_search_of
from sluice.api.responses.items import messages_of
from sluice.api.responses.options import (
    asks_for_summary,
    chat_format,
    chat_reasoning,
    chat_tool_choice,
    chat_tools,
)
from sluice.api.responses.reasoning import of_this_turn
from sluice.api.responses.refusal import invalid, of_type, only, refused
from sluice.chat import DOCUMENTED_FIELDS, ChatRequest, JsonObject, Metadata
from sluice.errors import SluiceError
from sluice.loading.dataclass import dataclass
from sluice.validation.body import invalid_request

LOGPROBS = "message.output_text.logprobs"
"""What `include` names the probabilities of an answer's tokens."""

# What OpenAI documents for `include`. Of tools that are not run there is nothing to include.
_INCLUDABLE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        LOGPROBS,
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
# What a response and a chat call the same.
_SHARED = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
)
# What a chat has and a response has not, and means the same to a model.
_SAMPLING = frozenset({"seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias"})
_INSTEAD = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "include",
}
_REFUSED = {
    "background": "nothing is answered in the background; leave it out, or send a batch to /v1/batches.",
    "prompt": "there are no stored prompts; /v1/tasks has prompts with inputs.",
}
# Where an error of the chat's says what is wrong, and where that is in a response.
_PLACES = {
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "metadata.sluice_conversation_id": "conversation",
    "messages": "input",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A request for a response as one for a chat.

    `instructions` says how many messages at the beginning of the chat's are these. `input` are the items it was asked
    with, as a list. `keeps_thoughts`: what was thought in earlier turns goes to the model. `search` is the tool that
    searches files, if it has one.
    """

    chat: ChatRequest
    instructions: int
    input: list[JsonObject]
    keeps_thoughts: bool
    search: FileSearch | None


def input_items(body: ResponseQuestion) -> list[JsonObject]:
    """The items of `input`, which may be a text."""
    if isinstance(body.input, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": body.input}]}]
    return body.input


def translated(body: ResponseQuestion, items: Sequence[JsonObject]) -> Translated:
    """The request of a chat that asks what `body` asks, with `items` as its input.

    Raises InvalidRequestError, which names the field, for what a chat can't carry.
    """
    reasoning = body.reasoning or {}
    asked = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else messages_of(items)
    if not asked:
        raise invalid("input", "should have an item beside what was thought.")
    keeps_thoughts = reasoning.get("context") == "all_turns"
    system = [{"role": "system", "content": body.instructions}] if body.instructions else []
    fields: JsonObject = {
        "model": body.model,
        "messages": [*system, *(asked if keeps_thoughts else of_this_turn(asked))],
        **chat_format(body.text or {}),
        **chat_reasoning(reasoning),
    }
    if body.tools:
        fields["tools"] = chat_tools(body.tools)
    if body.tool_choice is not None:
        fields["tool_choice"] = chat_tool_choice(body.tool_choice)
    fields |= {name: value for name in _SHARED if (value := getattr(body, name, None)) is not None}
    fields |= _others(body)
    if isinstance(body, ResponseRequest):
        fields |= _answering(body)
    if conversation := conversation_of(body):
        fields.setdefault("metadata", {})["sluice_conversation_id"] = conversation
    try:
        with naming_fields():
            chat = ChatRequest.model_validate(fields)
    except ValidationError as error:
        raise _renamed(invalid_request(error, fields)) from None
    return Translated(
        chat=chat,
        instructions=len(system),
        input=list(items),
        keeps_thoughts=keeps_thoughts,
        search=file_search_of(body.tools),
    )


def conversation_of(body: ResponseQuestion) -> str | None:
    """The id of the conversation that the response is a turn of, if it is of one."""
    given = body.conversation
    if isinstance(given, dict):
        only(given, {"id"}, "conversation")
        given = of_type(given.get("id"), str, "conversation.id")
    if given and body.previous_response_id:
        raise invalid("previous_response_id", "a response is of a conversation, or goes on from another: not both.")
    return given


@contextmanager
def naming_fields() -> Iterator[None]:
    """Let an error about a field of the chat name the field of the response."""
    try:
        yield
    except SluiceError as error:
        _renamed(error)
        raise


def response_frame(body: ResponseRequest) -> JsonObject:
    """What a response says of the options it was asked with, as OpenAI shows them where they are left out."""
    reasoning, text = body.reasoning or {}, body.text or {}
    conversation = conversation_of(body)
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "parallel_tool_calls": True if body.parallel_tool_calls is None else body.parallel_tool_calls,
        "previous_response_id": body.previous_response_id,
        **({"conversation": {"id": conversation}} if conversation else {}),
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": body.safety_identifier,
        "service_tier": body.service_tier or "auto",
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": {
            "format": text.get("format") or {"type": "text"},
            **({"verbosity": text["verbosity"]} if text.get("verbosity") else {}),
        },
        "tool_choice": "auto" if body.tool_choice is None else body.tool_choice,
        "tools": [_shown_tool(tool) for tool in body.tools or []],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "presence_penalty": _given(body, "presence_penalty", 0.0),
        "frequency_penalty": _given(body, "frequency_penalty", 0.0),
        "truncation": body.truncation or "disabled",
        "user": body.user,
        "metadata": body.metadata or {},
    }


def _given(body: ResponseRequest, name: str, usual: float) -> object:
    """A field that is carried to the provider, as it was given."""
    value = (body.model_extra or {}).get(name)
    return usual if value is None else value


def _shown_tool(tool: JsonObject) -> JsonObject:
    """A tool with what is null where it was left out."""
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}


def wants_summary(body: ResponseRequest) -> bool:
    """Whether what is thought is to be shown as a summary."""
    return asks_for_summary(body.reasoning)


def _answering(body: ResponseRequest) -> JsonObject:
    """The fields of a chat that say how it is to be answered."""
    fields: JsonObject = {}
    if body.background:
        raise refused("background", _REFUSED["background"])
    if body.stream_options:
        if body.stream_options.get("include_obfuscation"):
            raise refused("stream_options.include_obfuscation", "streams are not padded; leave it out.")
        only(body.stream_options, {"include_obfuscation"}, "stream_options")
    if body.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    if body.max_output_tokens is not None:
        fields["max_completion_tokens"] = body.max_output_tokens
    for index, name in enumerate(body.include or []):
        if name not in _INCLUDABLE:
            raise refused(f"include[{index}]", "there is nothing of this name to include.")
    if LOGPROBS in (body.include or []) or body.top_logprobs:
        fields["logprobs"] = True
        if body.top_logprobs is not None:
            fields["top_logprobs"] = body.top_logprobs
    # The rest of it is the response's, not the model's.
    own = {name: value for name, value in (body.metadata or {}).items() if name in Metadata.model_fields}
    return fields | ({"metadata": own} if own else {})


def _others(body: ResponseQuestion) -> JsonObject:
    """What is said beside the fields of a response: of it reaches a provider what would in a chat."""
    found: JsonObject = {}
    for name, value in (body.model_extra or {}).items():
        if value is None:
            continue
        if name in _INSTEAD:
            raise refused(name, f"a response has `{_INSTEAD[name]}` for it.")
        if name in _REFUSED or name in _UNCARRIED or (name in DOCUMENTED_FIELDS and name not in _SAMPLING):
            raise refused(name, _REFUSED.get(name, "Sluice can't carry this field to a model."))
        found[name] = value
    return found


_UNCARRIED = frozenset(
    {"access_programs", "context_management", "image", "moderation", "personality", "prompt_cache_options"}
)


def _renamed[Error: SluiceError](error: Error) -> Error:
    for name, place in _PLACES.items():
        if error.param is not None and (error.param == name or error.param.startswith((f"{name}.", f"{name}["))):
            renamed = place + ("" if place in {"input", "conversation"} else error.param.removeprefix(name))
            error.message = error.message.replace(error.param, renamed, 1)
            error.param = renamed
            break
    return error
