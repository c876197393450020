"""Answers of Anthropic's Messages API in OpenAI's shape, whole and streamed. Pure.

https://platform.claude.com/docs/en/api/messages, https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sluice.chat import JsonObject
from sluice.providers.decoding import Decoded, UnreadableError, objects_in
from sluice.providers.tool_calls import whole_number

# A turn that Anthropic wants to go on with ends where a limit does: what it says is not whole.
_ENDINGS = {"pause_turn": "length"}
_KEPT_COUNTS = (
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "inference_geo",
    "service_tier",
)


class MessagesDialect:
    """What Anthropic says, as an OpenAI-compatible provider would say it. `created` is in seconds since 1970."""

    def __init__(self, created: int) -> None:
        self._created = created

    def answer(self, body: Any) -> Any:
        """A `chat.completion` for a message; what is none comes back as it is. Raises UnreadableError."""
        if not isinstance(body, dict) or body.get("error") or not isinstance(body.get("content"), list):
            return body
        message = _message(body["content"])
        choice: JsonObject = {"index": 0, "message": message, "finish_reason": _ending(body.get("stop_reason"))}
        if body.get("stop_sequence") is not None:
            choice["stop_sequence"] = body["stop_sequence"]
        answer = {
            "id": body.get("id"),
            "object": "chat.completion",
            "created": self._created,
            "model": body.get("model"),
            "choices": [choice],
        }
        usage = usage_of(body.get("usage"))
        return answer if usage is None else {**answer, "usage": usage}

    def objects(self, parts: Iterable[bytes]) -> Iterator[Decoded]:
        """The chunks for the events of a stream. Raises UnreadableError."""
        return self.translated(objects_in(parts))

    def translated(self, objects: Iterable[Decoded]) -> Iterator[Decoded]:
        """The chunks for events of Anthropic's that are decoded. Raises UnreadableError."""
        stream = _Stream(self)
        for decoded in objects:
            body = decoded.body
            if body is None:
                yield decoded
                continue
            for chunk in stream.chunks(body):
                yield Decoded(chunk, decoded.may_have_halves)
            if body.get("type") == "message_stop":
                yield Decoded(None)

    @property
    def created(self) -> int:
        """In seconds since 1970."""
        return self._created


class _Stream:
    """The blocks of a message that is on its way."""

    def __init__(self, dialect: MessagesDialect) -> None:
        self._dialect = dialect
        self._frame: JsonObject = {"object": "chat.completion.chunk", "created": dialect.created}
        self._usage: JsonObject = {}
        self._kinds: dict[int, str] = {}
        # Of tool calls, their place among the calls; of thoughts, theirs among the thoughts.
        self._places: dict[int, int] = {}
        self._inputs: dict[int, Any] = {}
        self._has_ended = False

    def chunks(self, event: JsonObject) -> Iterator[JsonObject]:
        match event.get("type"):
            case "message_start":
                yield from self._begin(_object(event, "message"))
            case "content_block_start":
                yield from self._start(_index(event), _object(event, "content_block"))
            case "content_block_delta":
                yield from self._go_on(_index(event), _object(event, "delta"))
            case "content_block_stop":
                yield from self._stop(_index(event))
            case "message_delta":
                yield from self._end(event)
            case "message_stop" | "ping":
                return
            case "message":
                yield self._dialect.answer(event)
            case _ if event.get("error"):
                yield event
            case None if event.get("choices") is not None:
                # Whoever is in between may speak OpenAI's protocol.
                yield event

    def _begin(self, message: JsonObject) -> Iterator[JsonObject]:
        self._frame |= {"id": message.get("id"), "model": message.get("model")}
        self._count(message.get("usage"))
        yield self._chunk({"role": "assistant", "content": ""})

    def _start(self, index: int, block: JsonObject) -> Iterator[JsonObject]:
        kind = str(block.get("type"))
        self._places[index] = sum(known == kind or {known, kind} <= _THOUGHTS for known in self._kinds.values())
        self._kinds[index] = kind
        if kind == "tool_use":
            self._inputs[index] = block.get("input")
            function = {"name": block.get("name"), "arguments": ""}
            yield self._call(index, {"id": block.get("id"), "type": "function", "function": function})
        elif kind == "redacted_thinking":
            yield self._thought(index, {"type": kind, "data": block.get("data")})
        elif kind == "thinking":
            yield from self._go_on(index, {"type": "thinking_delta", "thinking": block.get("thinking") or ""})
        elif kind == "text" and block.get("text"):
            yield self._chunk({"content": block["text"]})

    def _go_on(self, index: int, delta: JsonObject) -> Iterator[JsonObject]:
        match delta.get("type"):
            case "text_delta":
                yield self._chunk({"content": _text(delta, "text")})
            case "input_json_delta" if self._kinds.get(index) == "tool_use":
                if part := _text(delta, "partial_json"):
                    self._inputs.pop(index, None)
                    yield self._call(index, {"function": {"arguments": part}})
            case "thinking_delta":
                text = _text(delta, "thinking")
                chunk = self._thought(index, {"type": "thinking", "thinking": text})
                if text:
                    chunk["choices"][0]["delta"]["reasoning_content"] = text
                yield chunk
            case "signature_delta":
                yield self._thought(index, {"type": "thinking", "signature": _text(delta, "signature")})
            case "citations_delta" if isinstance(delta.get("citation"), dict):
                yield self._chunk({"citations": [delta["citation"]]})

    def _stop(self, index: int) -> Iterator[JsonObject]:
        if index in self._inputs:
            # No part of the arguments came: there are none, or they came with the beginning.
            yield self._call(index, {"function": {"arguments": _json(self._inputs.pop(index))}})

    def _end(self, event: JsonObject) -> Iterator[JsonObject]:
        delta = _object(event, "delta")
        self._count(event.get("usage"))
        reason = _ending(delta.get("stop_reason"))
        if reason is not None:
            chunk = self._chunk({}, reason)
            if delta.get("stop_sequence") is not None:
                chunk["choices"][0]["stop_sequence"] = delta["stop_sequence"]
            yield chunk
        self._has_ended = self._has_ended or reason is not None
        usage = usage_of(self._usage) if self._has_ended else None
        if usage is not None:
            yield {**self._frame, "choices": [], "usage": usage}

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            # Later counts are of all so far.
            self._usage |= {name: value for name, value in usage.items() if value is not None}

    def _call(self, index: int, part: JsonObject) -> JsonObject:
        return self._chunk({"tool_calls": [{"index": self._places.get(index, 0), **part}]})

    def _thought(self, index: int, part: JsonObject) -> JsonObject:
        return self._chunk({"thinking_blocks": [{"index": self._places.get(index, 0), **part}]})

    def _chunk(self, delta: JsonObject, reason: str | None = None) -> JsonObject:
        return {**self._frame, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def usage_of(usage: Any) -> JsonObject | None:
    """OpenAI's counts, in which what was cached is part of the prompt; None if a number is missing or can't be."""
    if not isinstance(usage, dict):
        return None
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counts = [0 if usage.get(name) is None and "cache" in name else whole_number(usage.get(name)) for name in names]
    prompt, completion, read, written = counts
    if prompt is None or completion is None or read is None or written is None:
        return None
    prompt += read + written
    details: JsonObject = {"cached_tokens": read, "cache_write_tokens": written}
    by_age = usage.get("cache_creation")
    long = whole_number(by_age.get("ephemeral_1h_input_tokens")) if isinstance(by_age, dict) else None
    if long:
        details["long_cache_write_tokens"] = min(long, written)
    found = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
    }
    of_output = usage.get("output_tokens_details")
    thoughts = whole_number(of_output.get("thinking_tokens")) if isinstance(of_output, dict) else None
    if thoughts is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": min(thoughts, completion)}
    return found | {name: usage[name] for name in _KEPT_COUNTS if usage.get(name) is not None}


def _message(content: list[Any]) -> JsonObject:
    texts: list[str] = []
    calls: list[JsonObject] = []
    thoughts: list[JsonObject] = []
    citations: list[Any] = []
    others: list[JsonObject] = []
    for block in content:
        if not isinstance(block, dict):
            raise UnreadableError("a block of the answer is not an object")
        match block.get("type"):
            case "text":
                texts.append(_text(block, "text"))
                said = block.get("citations")
                citations += said if isinstance(said, list) else []
            case "tool_use":
                function = {"name": block.get("name"), "arguments": _json(block.get("input"))}
                calls.append({"id": block.get("id"), "type": "function", "function": function})
            case "thinking" | "redacted_thinking":
                thoughts.append(block)
            case _:
                others.append(block)
    message: JsonObject = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    thought = "".join(_text(block, "thinking") for block in thoughts if block["type"] == "thinking")
    for name, value in (
        ("tool_calls", calls),
        ("reasoning_content", thought),
        ("thinking_blocks", thoughts),
        ("citations", citations),
        ("content_parts", others),
    ):
        if value:
            message[name] = value
    return message


def _ending(reason: Any) -> Any:
    return _ENDINGS.get(reason, reason) if isinstance(reason, str) else None


def _json(value: Any) -> str:
    if value is None:
        return "{}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object(event: JsonObject, name: str) -> JsonObject:
    value = event.get(name)
    if not isinstance(value, dict):
        raise UnreadableError(f"an event of the stream has no {name}")
    return value


def _index(event: JsonObject) -> int:
    index = whole_number(event.get("index"))
    if index is None:
        raise UnreadableError("a block's index is not a number from 0 on")
    return index


def _text(value: JsonObject, name: str) -> str:
    text = value.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise UnreadableError(f"a block's {name} is not a text")
    return text
