"""The way back: chats as requests of the Messages API, and messages as answers of a chat."""

import json
from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]


def messages_body(chat: Json) -> Json:
    """The body of POST /v1/messages that a chat's body came from, with each content as a list of blocks."""
    body: Json = {"model": chat["model"], "messages": []}
    messages = [*chat["messages"]]
    if messages[0]["role"] == "system":
        body["system"] = _blocks(messages.pop(0)["content"])
    for message in messages:
        role = "user" if message["role"] == "tool" else message["role"]
        blocks = list(_of_message(message))
        last = body["messages"][-1] if body["messages"] else None
        if last is not None and last["role"] == role == "user" and _is_result(last["content"][-1]):
            last["content"] += blocks
        else:
            body["messages"].append({"role": role, "content": blocks})
    renamed = {
        **dict.fromkeys(("max_tokens", "temperature", "top_p", "top_k", "stream", "thinking", "cache_control")),
        "stop": "stop_sequences",
    }
    body |= {new or old: chat[old] for old, new in renamed.items() if old in chat}
    if "user" in chat:
        body["metadata"] = {"user_id": chat["user"]}
    if chat.get("service_tier") == "default":
        body["service_tier"] = "standard_only"
    if "tools" in chat:
        body["tools"] = [_tool(tool) for tool in chat["tools"]]
    if "tool_choice" in chat:
        chosen = chat["tool_choice"]
        named = isinstance(chosen, dict)
        kind = "tool" if named else {"auto": "auto", "required": "any", "none": "none"}[chosen]
        body["tool_choice"] = {"type": kind} | ({"name": chosen["function"]["name"]} if named else {})
        if chat.get("parallel_tool_calls") is False:
            body["tool_choice"]["disable_parallel_tool_use"] = True
    config = {"effort": chat.get("reasoning_effort")}
    if "response_format" in chat:
        config["format"] = {"type": "json_schema", "schema": chat["response_format"]["json_schema"]["schema"]}
    if config := {name: value for name, value in config.items() if value is not None}:
        body["output_config"] = config
    return body


def chat_answer(message: Json) -> Json:
    """The `chat.completion` that a message came from."""
    said: Json = {"role": "assistant", "content": None}
    texts = [block["text"] for block in message["content"] if block["type"] == "text"]
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    thoughts = [block for block in message["content"] if "thinking" in block["type"]]
    if texts:
        said["content"] = "".join(texts)
    if calls:
        said["tool_calls"] = [_call(block) for block in calls]
    if thoughts and all(block.get("signature", "-") for block in thoughts):
        said["thinking_blocks"] = thoughts
    elif thoughts:
        said["reasoning_content"] = "".join(block["thinking"] for block in thoughts)
    reasons = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    choice: Json = {"index": 0, "message": said}
    choice["finish_reason"] = reasons.get(message["stop_reason"], "content_filter")
    if message["stop_sequence"] is not None:
        choice["stop_sequence"] = message["stop_sequence"]
    counted = message["usage"]
    read, made = counted["cache_read_input_tokens"], counted["cache_creation_input_tokens"]
    prompt = counted["input_tokens"] + read + made
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": counted["output_tokens"],
        "total_tokens": prompt + counted["output_tokens"],
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": made},
    }
    for name in ("cache_creation", "service_tier", "inference_geo"):
        if counted[name] is not None:
            usage[name] = counted[name]
    if counted["output_tokens_details"] is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": counted["output_tokens_details"]["thinking_tokens"]}
    return {
        "id": message["id"],
        "object": "chat.completion",
        "created": 0,
        "model": message["model"],
        "choices": [choice],
        "usage": usage,
    }


def _of_message(message: Json) -> Iterator[Json]:
    if message["role"] == "tool":
        block = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": _blocks(message["content"])}
        yield block | {name: message[name] for name in ("is_error", "cache_control") if name in message}
        return
    yield from message.get("thinking_blocks") or []
    if message.get("reasoning_content"):
        yield {"type": "thinking", "thinking": message["reasoning_content"], "signature": ""}
    yield from _blocks(message.get("content"))
    for call in message.get("tool_calls") or []:
        marks = {"cache_control": call["cache_control"]} if "cache_control" in call else {}
        yield _call_block(call) | marks


def _call_block(call: Json) -> Json:
    function = call["function"]
    arguments = json.loads(function["arguments"])
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}


def _call(block: Json) -> Json:
    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


def _blocks(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part) for part in content or []]


def _block(part: Json) -> Json:
    if part["type"] != "image_url":
        return part
    url, marks = part["image_url"]["url"], {name: part[name] for name in ("cache_control",) if name in part}
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}} | marks
    media_type, data = url.removeprefix("data:").split(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}} | marks


def _tool(tool: Json) -> Json:
    function = tool["function"]
    named = {name: function[name] for name in ("name", "description", "strict") if name in function}
    marks = {"cache_control": tool["cache_control"]} if "cache_control" in tool else {}
    return named | {"input_schema": function["parameters"]} | marks


def _is_result(block: Json) -> bool:
    return bool(block["type"] == "tool_result")
