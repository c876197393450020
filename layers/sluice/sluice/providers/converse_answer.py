"""Answers of Amazon Bedrock's Converse, whole and as a stream of events, in OpenAI's shape.

They are brought into the words of Anthropic's Messages API, of which Converse has all but the names.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sluice.chat import JsonObject
from sluice.providers.decoding import Decoded, UnreadableError, json_in
from sluice.providers.messages_answer import MessagesDialect
from sluice.providers.tool_calls import whole_number

_COUNTS = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_input_tokens",
    "cacheWriteInputTokens": "cache_creation_input_tokens",
}
# Words for what the gateway knows as an answer that its provider could not make.
_ENDINGS = {"malformed_model_output": "malformed_response", "malformed_tool_use": "malformed_function_call"}


class ConverseDialect(MessagesDialect):
    """What Converse says. It names neither the answer nor the model: `identity` and `model` do."""

    def __init__(self, created: int, identity: str, model: str) -> None:
        super().__init__(created)
        self._frame = {"id": identity, "model": model}

    def answer(self, body: Any) -> Any:
        """A `chat.completion` for an answer; what is none comes back as it is. Raises UnreadableError."""
        output = body.get("output") if isinstance(body, dict) else None
        message = output.get("message") if isinstance(output, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            return body
        return super().answer(
            {
                **self._frame,
                "content": [block for each in content for block in _blocks(each)],
                "stop_reason": _ending(body.get("stopReason")),
                "usage": _usage(body.get("usage")),
            }
        )

    def objects(self, parts: Iterable[bytes]) -> Iterator[Decoded]:
        """The chunks for the events of a stream. Raises UnreadableError."""
        return self.translated(Decoded(event) for event in self._events(parts))

    def _events(self, parts: Iterable[bytes]) -> Iterator[JsonObject]:
        """The events, by Anthropic's names."""
        begun: set[int] = set()
        for kind, event in _messages(parts):
            match kind:
                case "messageStart":
                    yield {"type": "message_start", "message": {**self._frame}}
                case "contentBlockStart":
                    yield from _started(event, begun)
                case "contentBlockDelta":
                    yield from _grown(event, begun)
                case "contentBlockStop":
                    yield {"type": "content_block_stop", "index": event.get("contentBlockIndex")}
                case "messageStop":
                    ended = {"stop_reason": _ending(event.get("stopReason"))}
                    yield {"type": "message_delta", "delta": ended}
                case "metadata":
                    yield {"type": "message_delta", "delta": {}, "usage": _usage(event.get("usage"))}
                    yield {"type": "message_stop"}
                case "error":
                    yield {"error": event}


def _messages(parts: Iterable[bytes]) -> Iterator[tuple[str, JsonObject]]:
    """The kind of each event, and what it holds; "error" for what went wrong. Raises UnreadableError."""
    # Imported late: it brings botocore, which few processes need.
    from botocore.eventstream import EventStreamBuffer, ParserError

    buffer = EventStreamBuffer()
    try:
        for part in parts:
            buffer.add_data(part)
            message: Any
            for message in buffer:
                headers, payload = message.headers, message.payload
                body = json_in(payload) if payload else {}
                if not isinstance(body, dict):
                    raise UnreadableError("an event of the stream is not a JSON object")
                if headers.get(":message-type") == "event":
                    yield str(headers.get(":event-type")), body
                else:
                    code = headers.get(":exception-type") or headers.get(":error-code")
                    said = body.get("message") or headers.get(":error-message")
                    yield "error", {"code": code, "message": said or "an error event"}
    except ParserError:
        raise UnreadableError("the answer is no stream of events") from None


def _started(event: JsonObject, begun: set[int]) -> Iterator[JsonObject]:
    index, start = _index(event), event.get("start")
    use = start.get("toolUse") if isinstance(start, dict) else None
    if isinstance(use, dict):
        begun.add(index)
        block = {"type": "tool_use", "id": use.get("toolUseId"), "name": use.get("name")}
        yield {"type": "content_block_start", "index": index, "content_block": block}


def _grown(event: JsonObject, begun: set[int]) -> Iterator[JsonObject]:
    """What a part of a block stands for. Only tools' blocks say that they begin."""
    index, delta = _index(event), event.get("delta")
    if not isinstance(delta, dict):
        raise UnreadableError("an event of the stream has no delta")
    kind, parts = "text", []
    if "text" in delta:
        parts = [{"type": "text_delta", "text": delta["text"]}]
    elif isinstance(use := delta.get("toolUse"), dict):
        kind, parts = "tool_use", [{"type": "input_json_delta", "partial_json": use.get("input")}]
    elif isinstance(thought := delta.get("reasoningContent"), dict):
        if "redactedContent" in thought:
            begun.add(index)
            block = {"type": "redacted_thinking", "data": thought["redactedContent"]}
            yield {"type": "content_block_start", "index": index, "content_block": block}
            return
        kind = "thinking"
        if "text" in thought:
            parts.append({"type": "thinking_delta", "thinking": thought["text"]})
        if "signature" in thought:
            parts.append({"type": "signature_delta", "signature": thought["signature"]})
    elif isinstance(citation := delta.get("citation"), dict):
        parts = [{"type": "citations_delta", "citation": citation}]
    if parts and index not in begun:
        begun.add(index)
        yield {"type": "content_block_start", "index": index, "content_block": {"type": kind}}
    for part in parts:
        yield {"type": "content_block_delta", "index": index, "delta": part}


def _blocks(block: Any) -> Iterator[JsonObject]:
    """A block of an answer, by Anthropic's names; one of unknown kind as it is."""
    if not isinstance(block, dict):
        raise UnreadableError("a block of the answer is not an object")
    thought = block.get("reasoningContent")
    if "text" in block:
        yield {"type": "text", "text": block["text"]}
    elif isinstance(use := block.get("toolUse"), dict):
        yield {"type": "tool_use", "id": use.get("toolUseId"), "name": use.get("name"), "input": use.get("input")}
    elif isinstance(thought, dict) and "redactedContent" in thought:
        yield {"type": "redacted_thinking", "data": thought["redactedContent"]}
    elif isinstance(thought, dict) and isinstance(text := thought.get("reasoningText"), dict):
        signature = {"signature": text["signature"]} if "signature" in text else {}
        yield {"type": "thinking", "thinking": text.get("text"), **signature}
    elif isinstance(cited := block.get("citationsContent"), dict):
        texts = [each.get("text") for each in cited.get("content") or () if isinstance(each, dict)]
        for position, text in enumerate(texts):
            yield {"type": "text", "text": text, "citations": [] if position else cited.get("citations")}
    else:
        yield block


def _usage(usage: Any) -> Any:
    if not isinstance(usage, dict):
        return None
    counts = {ours: usage[theirs] for theirs, ours in _COUNTS.items() if theirs in usage}
    details = usage.get("cacheDetails")
    long = [
        whole_number(each.get("inputTokens")) or 0
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and each.get("ttl") == "1h"
    ]
    return counts | ({"cache_creation": {"ephemeral_1h_input_tokens": sum(long)}} if long else {})


def _ending(reason: Any) -> Any:
    return _ENDINGS.get(reason, reason) if isinstance(reason, str) else None


def _index(event: JsonObject) -> int:
    index = whole_number(event.get("contentBlockIndex"))
    if index is None:
        raise UnreadableError("a block's index is not a number from 0 on")
    return index
