"""A chat as Amazon Bedrock's Converse is asked it, made of the body that Anthropic's Messages API has for it. Pure.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import json
import re
from base64 import b64decode
from binascii import Error as BadBase64Error
from collections.abc import Collection, Iterator
from typing import Any

from sluice.chat import ChatRequest, JsonObject
from sluice.providers.messages_request import messages_body
from sluice.providers.messages_uncarried import Uncarried, uncarried

_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
# What a document's name may have: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9()\[\] -]+|\s{2,}")
_MOST_NAME_CHARACTERS = 200
# Models know no more than Converse has fields for; the rest goes to the model as it is.
_FIELDS = frozenset(
    (
        *("model", "max_tokens", "messages", "system", "temperature", "top_p", "stop_sequences", "tools"),
        *("tool_choice", "output_config", "service_tier", "metadata", "stream", "cache_control"),
    )
)


def converse_params(request: ChatRequest, model: str, allowed_fields: Collection[str] = ()) -> JsonObject:
    """The parameters of Converse. What `converse_uncarried` names must not be in the request."""
    body = messages_body(request, model, 1, streamed=False, allowed_fields=allowed_fields)
    params: JsonObject = {
        "modelId": model,
        "messages": [{"role": turn["role"], "content": list(_blocks(turn["content"]))} for turn in body["messages"]],
    }
    if "system" in body:
        params["system"] = list(_blocks(body["system"]))
    settings = {
        "maxTokens": request.completion_limit,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": body.get("stop_sequences"),
    }
    if given := {name: value for name, value in settings.items() if value is not None}:
        params["inferenceConfig"] = given
    if "tools" in body:
        params["toolConfig"] = _tool_config(body)
    if "output_config" in body:
        params["outputConfig"] = _output_config(body["output_config"])
    if further := {name: value for name, value in body.items() if name not in _FIELDS}:
        params["additionalModelRequestFields"] = further
    return params


def converse_uncarried(request: ChatRequest) -> Iterator[Uncarried]:
    """What of a request Converse has no place for."""
    yield from uncarried(request)
    extra = request.model_extra or {}
    if extra.get("tool_choice") == "none" and extra.get("tools"):
        yield "tool_choice", "can't be 'none' there"
    if extra.get("parallel_tool_calls") is False and extra.get("tools"):
        yield "parallel_tool_calls", "can't be false there"
    if extra.get("service_tier") not in (None, "auto", "default", "standard"):
        yield "service_tier", "has no equivalent there"
    if extra.get("cache_control") is not None:
        yield "cache_control", "has no place there but on parts of messages"
    for position, message in enumerate(request.messages):
        for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.type in ("image_url", "document", "file") and not _is_inline(part.model_extra or {}):
                yield f"messages[{position}].content[{place}]", "must have its data in it there, as base64"


def _is_inline(part: JsonObject) -> bool:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str):
        kind = url[5:40].partition(";")[0]
        return url.startswith("data:") and kind in _FORMATS and _decoded(url.partition(",")[2]) is not None
    file = part.get("file")
    if isinstance(file, dict):
        return _decoded(str(file.get("file_data") or "").partition(",")[2]) is not None
    source = part.get("source")
    if not isinstance(source, dict):
        return False
    data = source.get("data")
    if source.get("type") == "text":
        return isinstance(data, str)
    is_pdf = source.get("type") == "base64" and source.get("media_type") == "application/pdf"
    return is_pdf and isinstance(data, str) and _decoded(data) is not None


def _decoded(data: str) -> bytes | None:
    try:
        return b64decode(data, validate=True) or None
    except BadBase64Error:
        return None


def _blocks(blocks: list[JsonObject]) -> Iterator[JsonObject]:
    for position, block in enumerate(blocks):
        if block["type"] == "redacted_thinking" and _decoded(str(block["data"])) is None:
            continue  # nobody has signed it
        yield _block(block, position)
        if (point := _cache_point(block)) is not None:
            yield point


def _cache_point(marked: JsonObject) -> JsonObject | None:
    mark = marked.get("cache_control")
    if not isinstance(mark, dict):
        return None
    ttl = mark.get("ttl")
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl in ("5m", "1h") else {})}}


def _block(block: JsonObject, position: int) -> JsonObject:
    match block["type"]:
        case "text":
            return {"text": block["text"]}
        case "image":
            source = block["source"]
            image = {"format": _FORMATS[source["media_type"]], "source": {"bytes": b64decode(source["data"])}}
            return {"image": image}
        case "document":
            return {"document": _document(block, position)}
        case "tool_use":
            return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
        case "tool_result":
            # It has to have something in it, and texts may not be empty.
            result: JsonObject = {
                "toolUseId": block["tool_use_id"],
                "content": list(_blocks(block.get("content") or [])) or [{"json": {}}],
            }
            return {"toolResult": {**result, "status": "error"} if block.get("is_error") else result}
        case "redacted_thinking":
            return {"reasoningContent": {"redactedContent": b64decode(block["data"])}}
    # What the model thought: `messages_request` makes no others.
    text = {"text": block["thinking"], "signature": block["signature"]}
    return {"reasoningContent": {"reasoningText": text}}


def _document(block: JsonObject, position: int) -> JsonObject:
    source = block["source"]
    title = block.get("title")
    name = _NOT_IN_A_NAME.sub(" ", title if isinstance(title, str) else "").strip()[:_MOST_NAME_CHARACTERS]
    made: JsonObject = {"name": name or f"document {position + 1}"}
    if isinstance(block.get("context"), str):
        made["context"] = block["context"]
    if isinstance(block.get("citations"), dict):
        made["citations"] = {"enabled": bool(block["citations"].get("enabled"))}
    if source["type"] == "text":
        return {**made, "format": "txt", "source": {"bytes": source["data"].encode()}}
    return {**made, "format": "pdf", "source": {"bytes": b64decode(source["data"])}}


def _tool_config(body: JsonObject) -> JsonObject:
    tools: list[JsonObject] = []
    for tool in body["tools"]:
        spec = {"name": tool.get("name"), "inputSchema": {"json": tool.get("input_schema")}}
        spec |= {name: tool[name] for name in ("description", "strict") if name in tool}
        tools.append({"toolSpec": spec})
        if (point := _cache_point(tool)) is not None:
            tools.append(point)
    choice = body.get("tool_choice")
    if choice is None:
        return {"tools": tools}
    named: Any = {"name": choice["name"]} if choice["type"] == "tool" else {}
    return {"tools": tools, "toolChoice": {choice["type"]: named}}


def _output_config(config: JsonObject) -> JsonObject:
    made: JsonObject = {}
    if "effort" in config:
        made["effort"] = config["effort"]
    if "format" in config:
        schema = {"schema": json.dumps(config["format"]["schema"]), "name": "answer"}
        made["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return made
