"""Turns a whole answer into the chunks of a stream, and chunks into a whole answer. Pure."""

from collections.abc import Iterable
from typing import Any

from sluice.chat import ChatChunk, JsonObject

ENDS = frozenset(("stop", "length", "tool_calls", "function_call", "content_filter"))
"""The values of `finish_reason` after which nothing follows; another one may stand in any chunk."""

# What a provider says once, or the same each time; the first that is not empty holds.
_STATED = frozenset({"id", "created", "model", "role", "type", "name", "index"})
# Texts that grow with each chunk, wherever they lie in a delta.
_GROWING = frozenset(
    {
        "arguments",
        "content",
        "data",
        "input",
        "reasoning",
        "reasoning_content",
        "refusal",
        "signature",
        "text",
        "thinking",
        "transcript",
    }
)
# Lists of a message whose items come in parts, each with the index of its item.
_INDEXED = ("tool_calls", "thinking_blocks")


def chunks_from_body(body: JsonObject, include_usage: bool) -> list[ChatChunk]:
    """The chunks that stream `body`, a `chat.completion` object; the last one carries usage if it is asked for."""
    frame = {name: value for name, value in body.items() if name not in {"choices", "usage"}}
    frame["object"] = "chat.completion.chunk"
    if include_usage:
        # As OpenAI does it: null on all chunks but the last.
        frame["usage"] = None
    chunks = []
    for position, choice in enumerate(body.get("choices") or []):
        rest = {name: value for name, value in choice.items() if name != "message"}
        start = {"index": position, **rest, "delta": _delta(choice.get("message") or {}), "finish_reason": None}
        end = {"index": start["index"], "delta": {}, "finish_reason": choice.get("finish_reason")}
        chunks += [{**frame, "choices": [start]}, {**frame, "choices": [end]}]
    if include_usage and body.get("usage") is not None:
        chunks.append({**frame, "choices": [], "usage": body["usage"]})
    return [ChatChunk(chunk) for chunk in chunks]


def assemble(chunks: Iterable[ChatChunk]) -> JsonObject:
    """The `chat.completion` object that `chunks` spell out. Fields that Sluice does not know are kept.

    Groq's `x_groq.usage` becomes `usage`, where a whole answer has it.
    """
    body: JsonObject = {}
    choices: dict[int, JsonObject] = {}
    usage: object = None
    for chunk in chunks:
        for name, value in chunk.body.items():
            if name == "usage":
                usage = value if value is not None else usage
            elif name != "choices":
                _state(body, name, value)
        for position, choice in enumerate(chunk.body.get("choices") or []):
            index = choice.get("index", position)
            _add_choice(choices.setdefault(index, {"index": index, "message": {}}), choice)
    extension = body.get("x_groq")
    if isinstance(extension, dict) and "usage" in extension:
        usage = usage if usage is not None else extension["usage"]
        body["x_groq"] = {name: value for name, value in extension.items() if name != "usage"}
    body["object"] = "chat.completion"
    body["choices"] = [_finished(choices[index]) for index in sorted(choices)]
    if usage is not None:
        body["usage"] = usage
    return body


def _delta(message: JsonObject) -> JsonObject:
    indexed = {
        name: [{**item, "index": index} for index, item in enumerate(message[name])]
        for name in _INDEXED
        if isinstance(message.get(name), list) and all(isinstance(item, dict) for item in message[name])
    }
    return {**message, **indexed} if indexed else message


def _add_choice(choice: JsonObject, part: JsonObject) -> None:
    for name, value in part.items():
        if name == "delta":
            _add_delta(choice["message"], value or {})
        elif name == "logprobs":
            _add_logprobs(choice, value)
        elif name != "index":
            _state(choice, name, value)


def _add_delta(message: JsonObject, delta: JsonObject) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and value is not None:
            calls = message.get("tool_calls")
            if calls is None:
                calls = message["tool_calls"] = []
            for call in value:
                _add_call(calls, call)
        elif name == "thinking_blocks" and isinstance(value, list):
            known = message.get(name)
            blocks = message[name] = known if isinstance(known, list) else []
            for block in value:
                _add_block(blocks, block)
        elif isinstance(value, str) and isinstance(message.get(name), str) and name not in _STATED:
            message[name] += value
        else:
            _merge(message, name, value)


def _add_call(calls: list[JsonObject], part: JsonObject) -> None:
    """Add a part of a tool call to the call it belongs to: by index, else by id, else the newest."""
    index, identity = part.get("index"), part.get("id")
    for call in calls:
        if call["index"] == index if index is not None else identity is not None and call.get("id") == identity:
            break
    else:
        if index is None and identity is None and calls:
            call = calls[-1]
        else:
            call = {"index": len(calls) if index is None else index}
            calls.append(call)
    for name, value in part.items():
        _merge(call, name, value)


def _add_block(blocks: list[Any], part: Any) -> None:
    """Add a part of what a model thought to its block: by index, else the newest that is of its type and unsigned."""
    if not isinstance(part, dict):
        blocks.append(part)
        return
    index = part.get("index")
    newest = blocks[-1] if blocks and isinstance(blocks[-1], dict) else {}
    if index is not None:
        known = next((each for each in blocks if isinstance(each, dict) and each.get("index") == index), None)
    else:
        known = newest if newest.get("type") == part.get("type") == "thinking" and not newest.get("signature") else None
    if known is None:
        known = {}
        blocks.append(known)
    for name, value in part.items():
        _merge(known, name, value)


def _add_logprobs(choice: JsonObject, part: JsonObject | None) -> None:
    known = choice.setdefault("logprobs", part and {})
    if part is None:
        return
    if known is None:
        known = choice["logprobs"] = {}
    for name, tokens in part.items():
        if isinstance(tokens, list) and isinstance(known.get(name), list):
            known[name] = known[name] + tokens
        elif tokens is not None or name not in known:
            known[name] = tokens


def _merge(target: JsonObject, name: str, value: Any) -> None:
    """Add what a chunk says of a field to what is known of it: texts and lists grow, the rest is stated."""
    known = target.get(name)
    if isinstance(known, dict) and isinstance(value, dict):
        merged = dict(known)
        for inner, said in value.items():
            _merge(merged, inner, said)
        target[name] = merged
    elif isinstance(known, list) and isinstance(value, list):
        target[name] = [*known, *value]
    elif name in _GROWING and isinstance(known, str) and isinstance(value, str):
        target[name] = known + value
    else:
        _state(target, name, value)


def _state(target: JsonObject, name: str, value: Any) -> None:
    """Take what a chunk says of a field: null says nothing, and what is said once holds."""
    known = target.get(name)
    if isinstance(known, dict) and isinstance(value, dict):
        target[name] = {**known, **value}
    elif name not in target or (value is not None and (name not in _STATED or not known)):
        target[name] = value


def _finished(choice: JsonObject) -> JsonObject:
    message = {"role": "assistant", "content": None, **choice["message"]}
    if isinstance(message.get("tool_calls"), list):
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"}
            for call in sorted(message["tool_calls"], key=lambda call: call["index"])
        ]
    if isinstance(message.get("thinking_blocks"), list):
        message["thinking_blocks"] = [
            {name: value for name, value in block.items() if name != "index"} if isinstance(block, dict) else block
            for block in message["thinking_blocks"]
        ]
    return {**choice, "message": message}
