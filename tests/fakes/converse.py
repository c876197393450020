"""What a fake Amazon Bedrock takes and answers: Converse, whole and in frames of AWS's event streams. Deterministic.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html; the frames are described at
https://smithy.io/2.0/aws/amazon-eventstream.html. Usage rule: that of `messages`.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.fakes import http
from tests.fakes.messages import READ, WRITTEN, MessagesAnswer
from tests.fakes.settings import FakeSettings
from tests.fakes.vectors import vector_of

type Json = dict[str, Any]

CODES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "ValidationException",
    422: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
FIELDS = frozenset(
    ["messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig"]
)


def code_of(status: int) -> str:
    """The code of an error, which is in the header `x-amzn-errortype`."""
    return CODES.get(status, "InternalServerException")


def frame(kind: str, payload: bytes, message_type: str = "event") -> bytes:
    """One message of an event stream."""
    named = ":event-type" if message_type == "event" else ":exception-type"
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in ((named, kind), (":content-type", "application/json"), (":message-type", message_type))
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    content = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return content + struct.pack("!I", zlib.crc32(content))


@dataclass(frozen=True, slots=True)
class ConverseAnswer:
    """An answer before it is written; `said` is the same in the words of Anthropic, of which Converse has all."""

    said: MessagesAnswer

    @classmethod
    def of(cls, request: Json, number: int, created: int, settings: FakeSettings) -> "ConverseAnswer":
        """The answer to a request, which is checked as Bedrock checks it. Raises ValueError."""
        if unknown := request.keys() - FIELDS - {"model"}:
            raise ValueError(f"extraneous key [{min(unknown)}] is not permitted")
        return cls(MessagesAnswer.of(_as_messages(request), number, created, settings))

    @property
    def prompt_tokens(self) -> int:
        return self.said.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        return self.said.completion_tokens

    @property
    def tokens(self) -> int:
        return self.said.tokens

    def body(self) -> Json:
        """The whole answer."""
        whole = self.said.body()
        return {
            "output": {"message": {"role": "assistant", "content": [_block(block) for block in whole["content"]]}},
            "stopReason": whole["stop_reason"],
            "usage": self._usage(),
            "metrics": {"latencyMs": 5},
        }

    def chunks(self) -> Iterator[Json]:
        """The events of the stream, each with its kind."""
        for event in self.said.chunks():
            index = event.get("index")
            match event["type"]:
                case "message_start":
                    yield {"kind": "messageStart", "role": "assistant"}
                case "content_block_start" if event["content_block"]["type"] == "tool_use":
                    block = event["content_block"]
                    use = {"toolUse": {"toolUseId": block["id"], "name": block["name"]}}
                    yield {"kind": "contentBlockStart", "contentBlockIndex": index, "start": use}
                case "content_block_start" if event["content_block"]["type"] == "redacted_thinking":
                    redacted = {"reasoningContent": {"redactedContent": event["content_block"]["data"]}}
                    yield {"kind": "contentBlockDelta", "contentBlockIndex": index, "delta": redacted}
                case "content_block_delta":
                    yield {"kind": "contentBlockDelta", "contentBlockIndex": index, "delta": _delta(event["delta"])}
                case "content_block_stop":
                    yield {"kind": "contentBlockStop", "contentBlockIndex": index}
                case "message_delta":
                    yield {"kind": "messageStop", "stopReason": event["delta"]["stop_reason"]}
                    yield {"kind": "metadata", "usage": self._usage(), "metrics": {"latencyMs": 5}}

    def event(self, value: Json) -> bytes:
        """An event in its frame."""
        rest = {name: inner for name, inner in value.items() if name != "kind"}
        is_exception = value["kind"].endswith("Exception")
        return frame(value["kind"], http.json_bytes(rest), "exception" if is_exception else "event")

    def error(self) -> Json:
        """What is sent in place of an event when something goes wrong."""
        return {"kind": "internalServerException", "message": "Fault on demand"}

    def bent(self, body: Json, fault: str) -> Json:
        """An answer or event with what a fault changes in it."""
        usage = body.get("usage")
        wrong = {"negative_usage": -5, "huge_usage": 10**30, "string_usage": "twelve"}.get(fault)
        if usage and fault == "no_usage":
            usage.clear()
        elif usage and wrong is not None:
            usage.update(dict.fromkeys(("inputTokens", "outputTokens", "totalTokens"), wrong))
        if fault in ("empty_choices", "no_choices"):
            for name in ("output", "delta", "stopReason"):
                body.pop(name, None)
        elif fault == "choices_not_a_list" and "output" in body:
            body["output"]["message"] = [body["output"]["message"]]
        elif fault in ("choices_not_a_list", "content_not_text") and "text" in body.get("delta", {}):
            body["delta"]["text"] = 42
        elif fault == "content_not_text" and "output" in body:
            body["output"]["message"]["content"] = [{"text": 42}]
        return body

    def _usage(self) -> Json:
        counted = self.said.body()["usage"]
        read, written = counted["cache_read_input_tokens"], counted["cache_creation_input_tokens"]
        prompt, completion = counted["input_tokens"], counted["output_tokens"]
        usage: Json = {"inputTokens": prompt, "outputTokens": completion, "totalTokens": prompt + completion}
        if read or written:
            usage |= {"cacheReadInputTokens": READ, "cacheWriteInputTokens": WRITTEN}
        return usage


@dataclass(frozen=True, slots=True)
class InvokedVectors:
    """Vectors in the form of the model's maker."""

    request: Json
    prompt_tokens: int
    completion_tokens: int = 0

    @classmethod
    def of(cls, request: Json) -> "InvokedVectors":
        """The answer to a request. Raises LookupError."""
        texts = [request["inputText"]] if "titan" in request["model"] else request["texts"]
        return cls(request, sum(len(text) for text in texts))

    @property
    def tokens(self) -> int:
        return self.prompt_tokens

    def body(self) -> Json:
        """Titan's or Cohere's answer."""
        if "titan" in self.request["model"]:
            vector = vector_of(self.request["inputText"], self.request.get("dimensions", 8))
            return {"embedding": vector, "inputTextTokenCount": self.prompt_tokens}
        dimensions = self.request.get("output_dimension", 8)
        return {"embeddings": [vector_of(text, dimensions) for text in self.request["texts"]], "id": "1"}

    def chunks(self) -> Iterator[Json]:
        """There are no streams of vectors."""
        yield from ()


def model_of(path: str) -> str:
    """The model that a path names."""
    return unquote(path.partition("/model/")[2].partition("/")[0])


def _delta(delta: Json) -> Json:
    match delta["type"]:
        case "text_delta":
            return {"text": delta["text"]}
        case "input_json_delta":
            return {"toolUse": {"input": delta["partial_json"]}}
        case "thinking_delta":
            return {"reasoningContent": {"text": delta["thinking"]}}
    return {"reasoningContent": {"signature": delta["signature"]}}


def _block(block: Json) -> Json:
    match block["type"]:
        case "text":
            return {"text": block["text"]}
        case "tool_use":
            return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
        case "thinking":
            return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
    return {"reasoningContent": {"redactedContent": block["data"]}}


def _as_messages(request: Json) -> Json:
    settings = request.get("inferenceConfig") or {}
    asked: Json = {
        "model": request["model"],
        "max_tokens": settings.get("maxTokens", 4096),
        "messages": [{"role": turn["role"], "content": _parts(turn["content"])} for turn in request["messages"]],
    }
    if request.get("system"):
        asked["system"] = _parts(request["system"])
    for theirs, ours in (("temperature", "temperature"), ("topP", "top_p"), ("stopSequences", "stop_sequences")):
        if theirs in settings:
            asked[ours] = settings[theirs]
    if tools := request.get("toolConfig"):
        specs = [tool["toolSpec"] for tool in tools["tools"] if "toolSpec" in tool]
        asked["tools"] = [{"name": spec["name"], "input_schema": spec["inputSchema"]["json"]} for spec in specs]
    text = (request.get("outputConfig") or {}).get("textFormat")
    if text:
        schema = json.loads(text["structure"]["jsonSchema"]["schema"])
        asked["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return asked | (request.get("additionalModelRequestFields") or {})


def _parts(blocks: list[Json]) -> list[Json]:
    found: list[Json] = []
    for block in blocks:
        if "text" in block:
            found.append({"type": "text", "text": block["text"]})
        elif "cachePoint" in block:
            found[-1]["cache_control"] = {"type": "ephemeral", **block["cachePoint"]}
        elif "toolUse" in block:
            use = block["toolUse"]
            found.append({"type": "tool_use", "id": use["toolUseId"], "name": use["name"], "input": use["input"]})
        elif "toolResult" in block:
            result = block["toolResult"]
            content = _parts(result["content"])
            found.append({"type": "tool_result", "tool_use_id": result["toolUseId"], "content": content})
        elif "image" in block:
            base64.b64decode(block["image"]["source"]["bytes"], validate=True)
            found.append({"type": "image", "source": block["image"]})
        elif "document" in block:
            base64.b64decode(block["document"]["source"]["bytes"], validate=True)
            found.append({"type": "document", "source": block["document"]})
        elif "reasoningText" in block.get("reasoningContent", {}):
            thought = block["reasoningContent"]["reasoningText"]
            found.append({"type": "thinking", "thinking": thought["text"], "signature": thought["signature"]})
        elif "reasoningContent" in block:
            found.append({"type": "redacted_thinking", "data": block["reasoningContent"]["redactedContent"]})
        elif "json" not in block:
            raise ValueError(f"extraneous key [{min(block)}] is not permitted")
    return found
