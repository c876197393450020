"""A chat as Anthropic's Messages API is asked it (https://platform.claude.com/docs/en/api/messages). Pure.

What has no place there is named by `messages_uncarried`, so that a deployment is not chosen for it. What is left out
changes nothing of what is asked: names of speakers, hints to a cache of OpenAI's, thoughts without a signature.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from sluice.chat import ChatRequest, ContentPart, JsonObject, Message
from sluice.providers.messages_schema import supported_schema

EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_TIERS = {"auto": "auto", "default": "standard_only", "standard": "standard_only"}
CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_SYSTEM = frozenset({"system", "developer"})
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,", re.ASCII)
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_DOCUMENT_FIELDS = ("source", "title", "context", "citations")
_JSON_OBJECT = "Answer with one JSON object and nothing else: no words before or after it, and no code fence."


def messages_body(
    request: ChatRequest, model: str, max_tokens: int, *, streamed: bool, allowed_fields: Collection[str] = ()
) -> JsonObject:
    """The body of POST /v1/messages.

    `max_tokens` is what is asked for where the request says nothing, and `allowed_fields` are passed on as they are.
    What `messages_uncarried` names must not be in the request.
    """
    extra = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    body: JsonObject = {name: value for name, value in extra.items() if name in allowed_fields}
    body |= {"model": model, "max_tokens": request.completion_limit or max_tokens}
    system, body["messages"] = _conversation(request)
    system += _format(request, body)
    if system:
        body["system"] = system
    for name in ("temperature", "top_p"):
        # 1 is what is done unsaid, and some models take no other.
        if (value := getattr(request, name)) is not None and value != 1:
            body[name] = value
    if stop := extra.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    _think(body, extra)
    if extra.get("tools"):
        body["tools"] = [_tool(tool) for tool in extra["tools"]]
        if choice := _tool_choice(extra):
            body["tool_choice"] = choice
    if (tier := extra.get("service_tier")) is not None:
        body["service_tier"] = _TIERS.get(tier, tier)
    if user := _user(request, extra):
        body["metadata"] = {"user_id": user}
    if streamed:
        body["stream"] = True
    return body


def _conversation(request: ChatRequest) -> tuple[list[JsonObject], list[JsonObject]]:
    """What is system, and the turns. Messages of one role in a row are one turn, as answers of tools have to be."""
    system: list[JsonObject] = []
    turns: list[JsonObject] = []
    for message in request.messages:
        if message.role in _SYSTEM:
            system += _blocks(message)
            continue
        role, blocks = _turn(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _turn(message: Message) -> tuple[str, list[JsonObject]]:
    extra = message.model_extra or {}
    if message.role == "assistant":
        calls = [_tool_use(call) for call in extra.get("tool_calls") or []]
        return "assistant", _marked([*_thoughts(extra), *_blocks(message, is_marked=False), *calls], extra)
    if message.role != "tool":
        return "user", _blocks(message)
    content = _blocks(message, is_marked=False)
    result: JsonObject = {"type": "tool_result", "tool_use_id": _id(extra["tool_call_id"])}
    if content:
        result["content"] = content
    if extra.get("is_error") is True:
        result["is_error"] = True
    return "user", _marked([result], extra)


def _blocks(message: Message, *, is_marked: bool = True) -> list[JsonObject]:
    """The parts of a message. Empty texts are refused there, and say nothing."""
    if isinstance(message.content, str):
        blocks = [{"type": "text", "text": message.content}] if message.content else []
    else:
        found = (block_of(part) for part in message.content or ())
        blocks = [block for block in found if block is not None and block.get("text") != ""]
    if refusal := (message.model_extra or {}).get("refusal"):
        blocks.append({"type": "text", "text": str(refusal)})
    return _marked(blocks, message.model_extra or {}) if is_marked else blocks


def block_of(part: ContentPart) -> JsonObject | None:
    """A part as a block; None for one that can't be carried."""
    extra = part.model_extra or {}
    block: JsonObject | None
    match part.type:
        case "text":
            block = {"type": "text", "text": part.text or ""}
        case "refusal":
            block = {"type": "text", "text": str(extra.get("refusal") or "")}
        case "image_url":
            block = _image(extra.get("image_url"))
        case "file":
            block = _file(extra.get("file"))
        case "document" if isinstance(extra.get("source"), dict) and not names_file(extra["source"]):
            block = {"type": "document", **{name: extra[name] for name in _DOCUMENT_FIELDS if name in extra}}
        case _:
            return None
    mark = extra.get("cache_control")
    return {**block, "cache_control": mark} if block is not None and mark is not None else block


def names_file(source: JsonObject) -> bool:
    """Whether a document is, or has, a file that was uploaded to the provider: its account's, whose callers may not."""
    if source.get("type") == "file" or "file_id" in source:
        return True
    content = source.get("content")
    inner = (block.get("source") for block in content if isinstance(block, dict)) if isinstance(content, list) else ()
    return any(isinstance(each, dict) and names_file(each) for each in inner)


def _image(image: Any) -> JsonObject | None:
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        return None
    if url.startswith(("http://", "https://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    data = _data(url)
    return None if data is None else {"type": "image", "source": data}


def _file(file: Any) -> JsonObject | None:
    data = _data(str(file.get("file_data") or "")) if isinstance(file, dict) else None
    if data is None or data["media_type"] != "application/pdf":
        return None
    title = file.get("filename")
    return {"type": "document", "source": data, **({"title": title} if isinstance(title, str) and title else {})}


def _data(url: str) -> JsonObject | None:
    # Only the beginning is looked at: the rest may be megabytes.
    head = _DATA_URL.match(url, 0, 200)
    if head is None or not head[1] or not head[2]:
        return None
    return {"type": "base64", "media_type": head[1], "data": url[head.end() :]}


def _thoughts(extra: JsonObject) -> Iterator[JsonObject]:
    """What the model thought. Without its provider's signature it would be refused."""
    thoughts = extra.get("thinking_blocks")
    for block in thoughts if isinstance(thoughts, list) else ():
        if not isinstance(block, dict):
            continue
        if block.get("type") == "thinking" and block.get("signature"):
            yield {
                "type": "thinking",
                "thinking": block.get("thinking") or "",
                "signature": block["signature"],
            }
        elif block.get("type") == "redacted_thinking" and block.get("data"):
            yield {"type": "redacted_thinking", "data": block["data"]}


def _tool_use(call: JsonObject) -> JsonObject:
    function = call["function"]
    used = {"type": "tool_use", "id": _id(call.get("id")), "name": function["name"], "input": arguments_of(function)}
    mark = call.get("cache_control")
    return used if mark is None else {**used, "cache_control": mark}


def _id(given: Any) -> str:
    """A call's id, in characters that ids have there. The same for the call and what answers it."""
    return _NOT_IN_AN_ID.sub("_", str(given or "")) or "_"


def arguments_of(function: JsonObject) -> JsonObject | None:
    """The arguments of a call; None if they are no JSON object."""
    text = function.get("arguments")
    if not text:
        return {}
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _marked(blocks: list[JsonObject], extra: JsonObject) -> list[JsonObject]:
    """The blocks of a message with the mark that the message has for a cache, if it has one."""
    mark = extra.get("cache_control")
    if mark is None or not blocks or "thinking" in blocks[-1]["type"]:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": mark}]


def _tool(tool: JsonObject) -> JsonObject:
    if tool.get("type") not in (None, "function"):
        # One that Anthropic runs itself, as an operator has allowed.
        return tool
    function = tool["function"]
    schema = dict(function.get("parameters") or {})
    schema.setdefault("type", "object")
    made: JsonObject = {"name": function["name"], "input_schema": schema}
    if function.get("description"):
        made["description"] = function["description"]
    if function.get("strict"):
        made["strict"] = True
    mark = tool.get("cache_control") or function.get("cache_control")
    return made if mark is None else {**made, "cache_control": mark}


def _tool_choice(extra: JsonObject) -> JsonObject | None:
    given, is_single = extra.get("tool_choice"), extra.get("parallel_tool_calls") is False
    choice: JsonObject
    if isinstance(given, dict):
        choice = {"type": "tool", "name": given["function"]["name"]}
    elif given is None and not is_single:
        return None
    else:
        choice = {"type": CHOICES[given or "auto"]}
    if is_single and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _think(body: JsonObject, extra: JsonObject) -> None:
    effort = extra.get("reasoning_effort")
    if effort == "none":
        body.setdefault("thinking", {"type": "disabled"})
    if effort in EFFORTS:
        body.setdefault("output_config", {})["effort"] = EFFORTS[effort]


def _format(request: ChatRequest, body: JsonObject) -> list[JsonObject]:
    """Put the format that is asked for into the body; returns what is to be said of it instead, if anything is."""
    asked = request.response_format
    if asked is None or asked.type not in ("json_object", "json_schema"):
        return []
    schema = (asked.json_schema or {}).get("schema")
    if asked.type == "json_object" or not isinstance(schema, dict):
        # The gateway holds the answer to it.
        return [{"type": "text", "text": _JSON_OBJECT}]
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": supported_schema(schema)}
    return []


def _user(request: ChatRequest, extra: JsonObject) -> str | None:
    own = None if request.metadata is None else (request.metadata.model_extra or {}).get("user_id")
    return next((str(each) for each in (own, extra.get("safety_identifier"), extra.get("user")) if each), None)
