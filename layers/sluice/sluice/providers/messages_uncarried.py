"""What of a chat Anthropic's Messages API has no place for. Pure."""

from collections.abc import Iterator
from typing import Any

from sluice.chat import ChatRequest, JsonObject, Message
from sluice.providers.messages_request import CHOICES, EFFORTS, arguments_of, block_of

type Uncarried = tuple[str, str]
"""Where a request has what can't be carried, and why."""

# Of fields that OpenAI documents, what Anthropic has no place for, and the values that ask for nothing.
_ASKS_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "seed": (),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "verbosity": ("medium",),
    "store": (False,),
}
MOST_TEMPERATURE = 1


def uncarried(request: ChatRequest) -> Iterator[Uncarried]:
    """What of a request Anthropic has no place for."""
    extra = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    for name, nothing in _ASKS_NOTHING.items():
        value = extra.get(name, getattr(request, name, None))
        if value is not None and value not in nothing:
            yield name, f"has no equivalent there: {name!r}"
    if request.temperature is not None and request.temperature > MOST_TEMPERATURE:
        yield "temperature", f"is {MOST_TEMPERATURE} at most there"
    effort = extra.get("reasoning_effort")
    if effort not in (None, "none", *EFFORTS):
        yield "reasoning_effort", f"must be none or one of {', '.join(EFFORTS)} there"
    stop = extra.get("stop")
    if not (
        stop is None or isinstance(stop, str) or (isinstance(stop, list) and all(isinstance(s, str) for s in stop))
    ):
        yield "stop", "must be a text or a list of texts"
    if not isinstance(extra.get("service_tier", ""), str):
        yield "service_tier", "must be a text"
    yield from _uncarried_tools(extra)
    for position, message in enumerate(request.messages):
        for where, why in _uncarried_in(message):
            yield f"messages[{position}]{where}", why


def _uncarried_tools(extra: JsonObject) -> Iterator[Uncarried]:
    tools = extra.get("tools", [])
    for position, tool in enumerate(tools if isinstance(tools, list) else [None]):
        if not isinstance(tool, dict):
            yield "tools", "must be a list of objects"
        elif tool.get("type") in (None, "function"):
            function = tool.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                yield f"tools[{position}].function", "must have a name"
            elif not isinstance(function.get("parameters") or {}, dict):
                yield f"tools[{position}].function.parameters", "must be an object"
        elif tool["type"] == "custom":
            yield f"tools[{position}].type", "has no equivalent there: tools that take a text"
    choice = extra.get("tool_choice")
    named = choice.get("function") if isinstance(choice, dict) else None
    is_function = isinstance(named, dict) and isinstance(named.get("name"), str)
    if choice is not None and not is_function and not (isinstance(choice, str) and choice in CHOICES):
        yield "tool_choice", f"must be one of {', '.join(CHOICES)}, or name a function"


def _uncarried_in(message: Message) -> Iterator[Uncarried]:
    if message.role == "function":
        yield ".role", "has no equivalent there: answers of functions that are no tools"
    extra = message.model_extra or {}
    for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if not (part.type in ("text", "refusal") or block_of(part) is not None):
            yield f".content[{place}]", f"can't be carried there: {part.type[:32]!r} as it is written"
        elif message.role not in ("user", "tool") and part.type not in ("text", "refusal"):
            yield f".content[{place}].type", f"can't be said there by {message.role!r}"
    calls = extra.get("tool_calls") or []
    for place, call in enumerate(calls if isinstance(calls, list) else [None]):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            yield f".tool_calls[{place}]", "must call a function"
        elif arguments_of(function) is None:
            yield f".tool_calls[{place}].function.arguments", "must be a JSON object there"
    if extra.get("function_call") is not None:
        yield ".function_call", "has no equivalent there"
    if message.role == "tool" and not isinstance(extra.get("tool_call_id"), str):
        yield ".tool_call_id", "is missing"
