"""What messages, their parts and tools carry beside OpenAI's fields, and which providers are sent it. Pure.

Clients of Anthropic's protocol mark what is to be cached (`cache_control`, on the request, parts of contents, messages
and tools), send back what a model thought (`thinking_blocks` of an assistant's message, each `{"type": "thinking",
"thinking", "signature"}` or `{"type": "redacted_thinking", "data"}`, and `reasoning_content`, its text), and say that a
tool failed (`is_error` of a tool's message). Those of the Responses API say whether an answer is a comment or the end
(`phase`). Gemini signs tool calls, in their `extra_content`. None of these changes what is asked, and many providers
refuse a field that they do not know; so who is not known to take one is asked without it. A row of the catalogue, or a
credential, names in `allowed_fields` what its provider takes: `messages.cache_control`, `messages.thinking_blocks`,
`messages.reasoning_content`, `messages.is_error`, `messages.extra_content`, `messages.phase`.

In a stream, a delta's `thinking_blocks` are parts with the `index` of their block, as those of `tool_calls` are; the
same text comes as `reasoning_content`.

What asks for something else is refused instead: a `document` (`messages.document`), and an image in what a tool answers
(`messages.tool_image`).
"""

from collections.abc import Collection, Iterator
from typing import Any

from sluice.chat import ChatRequest, ContentPart, JsonObject

CACHE_CONTROL = "cache_control"
EXTRA_CONTENT = "extra_content"
_OF_MESSAGES = frozenset({CACHE_CONTROL, "thinking_blocks", "reasoning_content", "is_error", EXTRA_CONTENT, "phase"})
_UNASKED_THINKING = frozenset({"adaptive", "between_tools", "disabled"})
_IMAGES = frozenset({"image_url", "input_image", "image"})


def without_unknown(body: JsonObject, allowed_fields: Collection[str]) -> JsonObject:
    """A request's body without what its provider is not known to take, and nothing would be otherwise for."""
    unknown = {name for name in _OF_MESSAGES if f"messages.{name}" not in allowed_fields}
    if not unknown:
        return body
    kept = {name: value for name, value in body.items() if name in allowed_fields or not is_left_out(name, value)}
    kept["messages"] = [_message(message, unknown) for message in body["messages"]]
    if CACHE_CONTROL in unknown and isinstance(tools := body.get("tools"), list):
        kept["tools"] = [_tool(tool) for tool in tools]
    return kept


def is_left_out(name: str, value: Any) -> bool:
    """Whether a field of a request is left out for who does not take it, rather than refused.

    `thinking` is, if it leaves it to the model whether to think, asks for none, or states a budget, which is no more
    than the most that it may think.
    """
    if name == "thinking":
        return isinstance(value, dict) and (value.get("type") in _UNASKED_THINKING or "budget_tokens" in value)
    return name == CACHE_CONTROL


def marks_cache(request: ChatRequest) -> bool:
    """Whether anything in a request is to be taken into its provider's cache, which may cost more than to read it."""
    extra = request.model_extra or {}
    if CACHE_CONTROL in extra or any(CACHE_CONTROL in (message.model_extra or {}) for message in request.messages):
        return True
    contents = (message.content for message in request.messages)
    parts = (part for content in contents if isinstance(content, list) for part in content)
    tools = extra.get("tools")
    marked = (tool for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict))
    return any(CACHE_CONTROL in (part.model_extra or {}) for part in parts) or any(
        CACHE_CONTROL in tool or CACHE_CONTROL in (tool.get("function") or {}) for tool in marked
    )


def refused_parts(request: ChatRequest, allowed_fields: Collection[str]) -> Iterator[tuple[str, str]]:
    """Where a part of a message is that its provider is not known to take, and the name that would allow it."""
    for position, message in enumerate(request.messages):
        for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
            name = _name_of(part, is_of_tool=message.role == "tool")
            if name is not None and name not in allowed_fields:
                yield f"messages[{position}].content[{place}].type", name


def _name_of(part: ContentPart, *, is_of_tool: bool) -> str | None:
    if part.type == "document":
        return "messages.document"
    return "messages.tool_image" if is_of_tool and part.type in _IMAGES else None


def _message(message: JsonObject, unknown: set[str]) -> JsonObject:
    content, calls = message.get("content"), message.get("tool_calls")
    changed: JsonObject = {}
    if isinstance(content, list) and CACHE_CONTROL in unknown and any(CACHE_CONTROL in part for part in content):
        changed["content"] = [_without(part, {CACHE_CONTROL}) for part in content]
    of_calls = unknown & {CACHE_CONTROL, EXTRA_CONTENT}
    if isinstance(calls, list) and any(isinstance(call, dict) and not of_calls.isdisjoint(call) for call in calls):
        changed["tool_calls"] = [_without(call, of_calls) if isinstance(call, dict) else call for call in calls]
    if not changed and unknown.isdisjoint(message):
        return message
    return _without(message, unknown) | changed


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return tool
    unmarked = _without(tool, {CACHE_CONTROL})
    function = unmarked.get("function")
    return {**unmarked, "function": _without(function, {CACHE_CONTROL})} if isinstance(function, dict) else unmarked


def _without(given: JsonObject, names: Collection[str]) -> JsonObject:
    return {name: value for name, value in given.items() if name not in names}
