"""Requests of the Messages API as those of a chat. Pure.

Nothing is left out but what says nothing (a null, the default said in words) and what changes nothing here, which
docs/messages.md lists. A message of both results of tools and other blocks becomes several: the results first, in
their order, and the rest after them, as an answer of text and calls is first the text, then the calls.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NoReturn

from sluice.api.anthropic.request_models import (
    Base64Source,
    Block,
    DocumentBlock,
    ImageBlock,
    InputMessage,
    MessageRequest,
    MessageTool,
    MessageToolChoice,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    TokenCountRequest,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from sluice.api.sealed import PendingExtras, is_sealed, opened
from sluice.chat import ChatRequest, JsonObject
from sluice.errors import InvalidRequestError
from sluice.providers.messages_request import names_file

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_MOST_NAMED = 64
# What a schema is called that its caller gives no name.
SCHEMA_NAME = "output"


def chat_request(asked: TokenCountRequest) -> ChatRequest:
    """The request as one of a chat. Raises InvalidRequestError for what can't be carried, by its name."""
    body: JsonObject = {"model": asked.model, "messages": _messages(asked)}
    if asked.tools:
        body["tools"] = [_tool(tool, f"tools[{position}]") for position, tool in enumerate(asked.tools)]
    if asked.tool_choice is not None:
        body |= _tool_choice(asked.tool_choice)
    if asked.thinking is not None:
        if asked.thinking.type == "enabled" and asked.thinking.budget_tokens is None:
            _refuse("thinking.budget_tokens", "this field is required")
        body["thinking"] = asked.thinking.model_dump(exclude_none=True)
    if asked.cache_control is not None:
        body["cache_control"] = asked.cache_control
    if asked.output_config is not None:
        config = asked.output_config
        if config.effort is not None:
            body["reasoning_effort"] = config.effort
        if config.format is not None:
            schema = {"name": SCHEMA_NAME, "strict": True, "schema": config.format.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if isinstance(asked, MessageRequest):
        body |= _settings(asked)
    return ChatRequest.model_validate(body)


def _settings(asked: MessageRequest) -> JsonObject:
    settings = {
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences or None,
        "user": asked.metadata.user_id if asked.metadata else None,
        # OpenAI's word for it; "auto" is what is done without it.
        "service_tier": "default" if asked.service_tier == "standard_only" else None,
        "stream": True if asked.stream else None,
        # The last event says what was used.
        "stream_options": {"include_usage": True} if asked.stream else None,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _messages(asked: TokenCountRequest) -> list[JsonObject]:
    _check_results(asked.messages)
    messages: list[JsonObject] = []
    if asked.system:
        messages.append({"role": "system", "content": _content(asked.system, "system", _SYSTEM)})
    for position, message in enumerate(asked.messages):
        place = f"messages[{position}].content"
        if isinstance(message.content, str):
            messages.append({"role": message.role, "content": message.content})
        elif message.role == "assistant":
            messages.append(_assistant(message.content, place))
        elif message.role == "system":
            messages.append({"role": "system", "content": _content(message.content, place, _SYSTEM)})
        else:
            messages += _user(message.content, place)
    return messages


def _user(blocks: Sequence[Block], place: str) -> Iterable[JsonObject]:
    others: list[JsonObject] = []
    for position, block in enumerate(blocks):
        if isinstance(block, ToolResultBlock):
            yield _tool_result(block, f"{place}[{position}]")
        else:
            others.append(_part(block, f"{place}[{position}]", _USER))
    if others or not blocks:
        yield {"role": "user", "content": _plain(others)}


def _tool_result(block: ToolResultBlock, place: str) -> JsonObject:
    message: JsonObject = {
        "role": "tool",
        "tool_call_id": block.tool_use_id,
        "content": _content(block.content or "", f"{place}.content", _RESULT),
    }
    return message | _set(cache_control=block.cache_control, is_error=block.is_error or None)


def _assistant(blocks: Sequence[Block], place: str) -> JsonObject:
    texts: list[JsonObject] = []
    calls: list[JsonObject] = []
    thoughts: list[JsonObject] = []
    unsigned: list[str] = []
    extras = PendingExtras()
    for position, block in enumerate(blocks):
        match block:
            case ToolUseBlock():
                calls.append(_call(block, f"{place}[{position}]"))
                extras.give(calls[-1])
            case ThinkingBlock(signature=""):
                # Ours, of a model whose provider signs nothing: a signature is never made up.
                unsigned.append(block.thinking)
            case RedactedThinkingBlock(data=data) if is_sealed(data):
                # Ours, of a provider that signs calls.
                extras.add(_opened(data, f"{place}[{position}].data"))
            case ThinkingBlock() | RedactedThinkingBlock():
                thoughts.append(block.model_dump())
            case _:
                texts.append(_part(block, f"{place}[{position}]", _ASSISTANT))
    extras.settle(calls)
    message: JsonObject = {"role": "assistant", "content": _plain(texts) if texts or not calls else None}
    return message | _set(
        tool_calls=calls or None,
        thinking_blocks=thoughts or None,
        reasoning_content="".join(unsigned) or None,
    )


def _opened(data: str, place: str) -> JsonObject:
    found = opened(data)
    if found is None:
        _refuse(place, "should be as it came in an answer")
    return found


def _call(block: ToolUseBlock, place: str) -> JsonObject:
    if block.caller is not None and block.caller.get("type") != "direct":
        _refuse(f"{place}.caller", "calls of tools by other tools can't be carried")
    arguments = json.dumps(block.input, ensure_ascii=False, separators=(",", ":"))
    call: JsonObject = {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }
    return call | _set(cache_control=block.cache_control)


_SYSTEM = (TextBlock,)
_ASSISTANT = (TextBlock,)
_USER = _RESULT = (TextBlock, ImageBlock, DocumentBlock)


def _content(content: str | Sequence[Block], place: str, kinds: tuple[type, ...]) -> str | list[JsonObject]:
    if isinstance(content, str):
        return content
    return _plain([_part(block, f"{place}[{position}]", kinds) for position, block in enumerate(content)])


def _plain(parts: list[JsonObject]) -> str | list[JsonObject]:
    """One text with no marks as it is: not every server takes parts."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def _part(block: Block, place: str, kinds: tuple[type, ...]) -> JsonObject:
    if not isinstance(block, kinds):
        _refuse(f"{place}.type", f"blocks of type {block.type[:_MOST_NAMED]!r} can't be carried here")
    marks = _set(cache_control=getattr(block, "cache_control", None))
    match block:
        case TextBlock():
            return {"type": "text", "text": block.text} | marks
        case ImageBlock():
            return {"type": "image_url", "image_url": {"url": _image_url(block, place)}} | marks
        case _:
            if isinstance(block, DocumentBlock) and names_file(block.source):
                _refuse(f"{place}.source", "files that were uploaded to a provider can't be carried; send the document")
            return block.model_dump(exclude_none=True)


def _image_url(block: ImageBlock, place: str) -> str:
    source = block.source
    if isinstance(source, Base64Source):
        return f"data:{source.media_type};base64,{source.data}"
    if not isinstance(source, UrlSource):
        _refuse(f"{place}.source.type", f"images of source {source.type[:_MOST_NAMED]!r} can't be carried")
    # A data URL would come back as base64.
    if not source.url.startswith(("http://", "https://")):
        _refuse(f"{place}.source.url", "must be an http or https URL")
    return source.url


def _tool(tool: MessageTool, place: str) -> JsonObject:
    if tool.type not in (None, "custom"):
        reason = f"Sluice runs no tools of a provider's, and {tool.type[:_MOST_NAMED]!r} is one"
        _refuse(f"{place}.type", reason)
    unknown = {name: value for name, value in (tool.model_extra or {}).items() if _says_something(name, value)}
    if unknown:
        _refuse(f"{place}.{min(unknown)[:_MOST_NAMED]}", "this field of a tool can't be carried")
    if tool.input_schema is None:
        _refuse(f"{place}.input_schema", "this field is required")
    function: JsonObject = {"name": tool.name, "parameters": tool.input_schema}
    function |= _set(description=tool.description, strict=tool.strict)
    return {"type": "function", "function": function} | _set(cache_control=tool.cache_control)


def _says_something(name: str, value: object) -> bool:
    # Tools are called by the model itself unless it is said otherwise.
    return bool(value) and not (name == "allowed_callers" and value == ["direct"])


def _tool_choice(choice: MessageToolChoice) -> JsonObject:
    if choice.type == "tool":
        if not choice.name:
            _refuse("tool_choice.name", "this field is required")
        chosen: object = {"type": "function", "function": {"name": choice.name}}
    else:
        chosen = _CHOICES[choice.type]
    return {"tool_choice": chosen} | _set(parallel_tool_calls=False if choice.disable_parallel_tool_use else None)


def _check_results(messages: Sequence[InputMessage]) -> None:
    """Refuse calls of tools without results, and results of calls that are not there.

    A result in the first message may be of a conversation that Sluice remembers.
    """
    called: set[str] = set()
    for position, message in enumerate(messages):
        blocks = () if isinstance(message.content, str) else message.content
        results = {block.tool_use_id for block in blocks if isinstance(block, ToolResultBlock)}
        place = f"messages[{position}].content"
        if called - results:
            _refuse(place, "a tool_use of the message before has no tool_result here")
        if position and results - called:
            _refuse(place, "a tool_result here has no tool_use in the message before")
        called = {block.id for block in blocks if isinstance(block, ToolUseBlock)}
    if called:
        _refuse(f"messages[{len(messages) - 1}].content", "calls of tools need their results in a message after them")


def _set(**fields: object) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _refuse(param: str, reason: str) -> NoReturn:
    raise InvalidRequestError(f"{param}: {reason}.", param=param)
